"""Who is no member of a project cannot make members see presence there, whatever was asked for before."""
from support import *

tenon = Installation()
ada, eve = tenon.person("ada"), tenon.person("eve")
path, _ = tenon.project(ada["token"])
stream = "project:" + path.rsplit("/", 1)[1]
inside, outside = Socket(tenon, ada["token"]), Socket(tenon, eve["token"])
inside.send({"op": "subscribe", "id": 1, "stream": stream})
check((inside.receive() or {}).get("op") == "subscribed", "a member subscribes")
outside.send({"op": "subscribe", "id": 1, "stream": stream})
refusal = outside.receive() or {}
check(refusal.get("op") == "error", f"a stranger is refused: {refusal}")
outside.send({"op": "presence", "stream": stream, "state": {"looking": "closely"}})
heard = inside.receive(2)
check(heard is None or heard.get("op") != "presence", f"the member hears: {heard}")
finish()
