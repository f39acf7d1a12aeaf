"""An upload that breaks off leaves no attachment, and its connection harms nobody; the same file can be sent again."""
from support import *

tenon = Installation()
ada = tenon.person("ada")
path, columns = tenon.project(ada["token"])
tenon.story(path, columns[0], ada["token"])
files = f"{path}/stories/1/attachments"
head = (f"POST /api/v1{files}?name=a.bin HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {ada['token']}\r\n"
        "Content-Type: application/octet-stream\r\nContent-Length: 1000000\r\n\r\n")
for _ in range(3):
    with socket.create_connection(("127.0.0.1", tenon.port), 10) as connection:
        connection.sendall(head.encode() + b"x" * 100_000)
listed = lambda: tenon.must("GET", files, token=ada["token"])
items = lambda: listed().get("items", []) if isinstance(listed(), dict) else listed()
check(until(lambda: items() == []), f"nothing is attached: {items()}")
check(tenon.call("GET", "/readiness").status == 200, "and it serves")
finish()
