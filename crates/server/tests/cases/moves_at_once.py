"""People who move cards within and between columns at once lose none and double none, and all see the same order."""
from support import *
import random

tenon = Installation()
ada = tenon.person("ada")
token = ada["token"]
path, columns = tenon.project(token)
for i in range(20):
    tenon.story(path, columns[i % 3], token)
statuses = []


def move(seed):
    chance = random.Random(seed)
    for _ in range(15):
        refs = chance.sample(range(1, 21), chance.choice([1, 1, 2, 3]))
        wish = {"refs": refs, "status_id": chance.choice(columns[:4])}
        side = chance.choice([None, "after", "before"])
        if side:
            wish[side] = chance.choice([ref for ref in range(1, 21) if ref not in refs])
        statuses.append(tenon.call("POST", f"{path}/stories/move", wish, token).status)


movers = [threading.Thread(target=move, args=(seed,)) for seed in range(6)]
for mover in movers:
    mover.start()
for mover in movers:
    mover.join()
check(all(status in (200, 422) for status in statuses), f"statuses {sorted(set(statuses))}")
board = tenon.must("GET", f"{path}/workflows/main", token=token)["stories"]
check(sorted(story["ref"] for story in board) == list(range(1, 21)), "every card is on the board once")
check(len({(story["status_id"], story["rank"]) for story in board}) == 20, "no two at one place")
pages, cursor = [], ""
while cursor is not None:
    page = tenon.must("GET", f"{path}/stories?limit=7{cursor}", token=token)
    pages += page["items"]
    cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else None
place = lambda stories: sorted((story["status_id"], story["rank"], story["ref"]) for story in stories)
check(place(pages) == place(board), "pages and board agree")
finish()
