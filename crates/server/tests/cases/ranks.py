"""A card put between the same two neighbours hundreds of times is where it was put, its rank stays short, and nobody's edit goes stale by it."""
from support import *

tenon = Installation()
ada = tenon.person("ada")
path, columns = tenon.project(ada["token"])
for _ in range(4):
    tenon.story(path, columns[0], ada["token"])
seen = tenon.call("GET", f"{path}/stories/4", token=ada["token"]).headers["etag"]
longest = 0
for i in range(250):
    moved = 2 + i % 2
    wish = {"refs": [moved], "status_id": columns[0], "after": 1}
    tenon.must("POST", f"{path}/stories/move", wish, ada["token"])
    longest = max(longest, len(tenon.must("GET", f"{path}/stories/{moved}", token=ada["token"])["rank"]))
board = tenon.must("GET", f"{path}/workflows/main", token=ada["token"])["stories"]
order = [story["ref"] for story in sorted(board, key=lambda story: story["rank"])]
check(order == [1, 3, 2, 4], f"order {order}")
check(longest <= 32, f"longest rank {longest}")
check(len({story["rank"] for story in board}) == 4, "each has a rank of its own")
edit = tenon.call("PATCH", f"{path}/stories/4", {"title": "Edited"}, ada["token"], {"If-Match": seen})
check(edit.status == 200, f"an edit of what was seen before: {edit.status}")
finish()
