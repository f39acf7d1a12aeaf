"""An entity tag that a proxy made weak, or gave a suffix, still stands for the version that it names."""
from support import *

tenon = Installation()
ada = tenon.person("ada")
path, columns = tenon.project(ada["token"])
tenon.story(path, columns[0], ada["token"])
story = f"{path}/stories/1"
tag = lambda: tenon.call("GET", story, token=ada["token"]).headers["etag"]
edit = lambda sent: tenon.call("PATCH", story, {"title": secrets.token_hex(4)}, ada["token"], {"If-Match": sent})
for name, change in [
    ("as it was", lambda t: t),
    ("weak", lambda t: t if t.startswith("W/") else "W/" + t),
    ("with a suffix", lambda t: t[:-1] + '-gzip"'),
    ("in a list", lambda t: f'"0-0", {t}'),
]:
    sent = change(tag())
    response = edit(sent)
    check(response.status == 200, f"{name}: {sent} {response.status}")
old = tag()
edit(old)
check(edit("W/" + old.removeprefix("W/")).status == 412, "a stale one is refused, weak or not")
finish()
