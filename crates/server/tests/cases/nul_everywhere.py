"""A NUL, or what else no database keeps, in any text of a request is the client's mistake and never a 5xx."""
from support import *

tenon = Installation()
ada = tenon.person("ada")
token = ada["token"]
path, columns = tenon.project(token)
tenon.story(path, columns[0], token)
story, nul = f"{path}/stories/1", "a\0b"
wishes = [
    ("POST", "/workspaces", {"name": nul}),
    ("PATCH", path, {"name": nul}),
    ("PATCH", path, {"description": nul}),
    ("POST", f"{path}/stories", {"title": nul, "status_id": columns[0]}),
    ("POST", f"{path}/stories", {"title": "x", "description": nul, "status_id": columns[0]}),
    ("PATCH", story, {"title": nul}),
    ("POST", f"{story}/comments", {"body": nul}),
    ("PATCH", "/me", {"full_name": nul}),
    ("PATCH", "/me", {"username": nul}),
    ("PATCH", "/me", {"timezone": nul}),
    ("POST", "/me/tokens", {"name": nul, "scopes": ["read-account"]}),
    ("POST", f"{path}/workflows", {"name": nul}),
    ("POST", f"{path}/roles", {"name": nul, "permissions": []}),
    ("POST", "/auth/sign-in", {"login": nul, "password": nul}),
    ("POST", "/auth/reset-password/request", {"email": nul}),
    ("POST", "/auth/verify-email", {"token": nul}),
    ("GET", f"{path}/stories?cursor={quote(nul)}", None),
    ("GET", f"{path}/workflows/{quote(nul)}", None),
    ("GET", f"{path}/stories/{quote(nul)}", None),
]
for method, address, wish in wishes:
    headers = {"If-Match": "*"} if method == "PATCH" else {}
    response = tenon.call(method, address, wish, token, headers)
    check(400 <= response.status < 500, f"{method} {address.replace(path, '…')} {wish}: {response.status} {response.code}")
for method, address in [
    ("GET", f"/users?search={quote(nul)}"), ("GET", f"/jobs?queue={quote(nul)}"),
    ("POST", f"/queues/{quote(nul)}/pause"), ("POST", f"/schedules/{quote(nul)}/run-now"),
]:
    response = tenon.call(method, address, token=tenon.admin)
    check(response.status < 500, f"{method} {address}: {response.status} {response.code}")
for body in [b'{"body": "\\ud800"}', b'{"body": "\xff"}', b'{"body": "a\x00b"}']:
    response = tenon.call("POST", f"{story}/comments", body, token, {"Content-Type": "application/json"})
    check(400 <= response.status < 500, f"{body!r}: {response.status} {response.code}")
for name in ("Idempotency-Key", "X-Correlation-ID", "If-Match", "User-Agent"):
    response = tenon.call("POST", f"{story}/comments", {"body": "x"}, token, {name: "\xff\xfe\x80"})
    check(response.status < 500, f"{name} of bytes that are no text: {response.status}")
finish()
