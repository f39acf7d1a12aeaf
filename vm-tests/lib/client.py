"""What people do with Tenon, as commands for test scripts: `client.py COMMAND …`, answers as JSON.

Sessions are kept between calls, so that a test can be somebody for as long as it lasts. TLS is verified, against
Caddy's own authority or the certificate in /tmp/ca.crt.
"""

import argparse
import base64
import email
import email.policy
import hashlib
import http.client
import json
import os
import pathlib
import re
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse
from typing import Any

SESSIONS = pathlib.Path("/var/tmp/client")
MAILS = pathlib.Path("/var/lib/sink")
AUTHORITIES = ("/tmp/ca.crt", "/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt")
PASSWORD = "difference engine 2"
PATIENCE = 60


class Refused(Exception):
    """The server answered with an error."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status} {body}")
        self.status = status


class UnixConnection(http.client.HTTPConnection):
    """HTTP through a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("tenon.test", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = self.opened()

    def opened(self) -> socket.socket:
        """The bare connection."""
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(self.timeout)
        made.connect(self._path)
        return made


class Server:
    """The instance that is talked to: `https://…`, `http://…`, or `unix:/path` of its socket."""

    def __init__(self, url: str) -> None:
        self.place = urllib.parse.urlsplit(url)
        self.host = self.place.hostname or ""
        self.port = self.place.port or (443 if self.place.scheme == "https" else 80)
        self.tls: ssl.SSLContext | None = None
        if self.place.scheme == "https":
            authority = next(path for path in AUTHORITIES if os.path.exists(path))
            self.tls = ssl.create_default_context(cafile=authority)

    def connection(self, timeout: float = 30) -> http.client.HTTPConnection:
        """A connection that was not used before."""
        if self.place.scheme == "unix":
            return UnixConnection(self.place.path, timeout)
        if self.tls:
            return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.tls)
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def socket(self) -> socket.socket:
        """A bare connection, for a websocket."""
        if self.place.scheme == "unix":
            return UnixConnection(self.place.path, PATIENCE).opened()
        plain = socket.create_connection((self.host, self.port), timeout=PATIENCE)
        return self.tls.wrap_socket(plain, server_hostname=self.host) if self.tls else plain

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
        """The body of the answer; `Refused` when it is an error."""
        connection = self.connection()
        try:
            connection.request(method, f"/api/v1{path}", body, headers or {})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            raise Refused(answer.status, content.decode(errors="replace"))
        return content

    def post(self, path: str, value: Any) -> Any:
        """Posts JSON without credentials."""
        return _json(self.ask("POST", path, json.dumps(value).encode(), {"Content-Type": "application/json"}))


def _json(content: bytes) -> Any:
    return json.loads(content) if content else None


def _bearer(name: str) -> dict[str, str]:
    """What somebody shows; `-` is nobody."""
    if name == "-":
        return {}
    session = json.loads((SESSIONS / f"{name}.json").read_text())
    return {"Authorization": f"Bearer {session['access_token']}"}


def sign_up(server: Server, name: str) -> Any:
    """Makes an account; the mail that proves the address is on its way then."""
    person = {"email": f"{name}@example.org", "full_name": name.title(), "password": PASSWORD}
    return server.post("/auth/sign-up", person | {"accept_terms": True, "accept_privacy": True})


def mailed(name: str) -> str:
    """The token of the newest link that was mailed to somebody."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for path in sorted(MAILS.glob("*.eml"), reverse=True):
            mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            if f"{name}@" not in str(mail["to"]):
                continue
            text = mail.get_body(("plain",))
            links = re.findall(r"/#/[a-z-]+/([\w-]+)", text.get_content() if text else "")
            if links:
                return str(links[0])
        time.sleep(0.1)
    raise SystemExit(f"no mail for {name} within {PATIENCE} s; there are {len(list(MAILS.glob('*.eml')))}")


def sign_in(server: Server, name: str) -> None:
    """Begins a session, and keeps it, even when the machine loses its power."""
    session = server.post("/auth/sign-in", {"login": f"{name}@example.org", "password": PASSWORD, "delivery": "body"})
    SESSIONS.mkdir(parents=True, exist_ok=True)
    with open(SESSIONS / f"{name}.json", "w") as file:
        json.dump(session, file)
        file.flush()
        os.fsync(file.fileno())


def join(server: Server, name: str) -> Any:
    """From nothing to a session, by way of the mail."""
    sign_up(server, name)
    server.post("/auth/verify-email", {"token": mailed(name)})
    sign_in(server, name)
    return call(server, name, "GET", "/me")


def call(server: Server, name: str, method: str, path: str, body: Any = None) -> Any:
    """A request of somebody who is signed in."""
    headers = _bearer(name)
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    if body is not None:
        headers["Content-Type"] = kind
    return _json(server.ask(method, path, None if body is None else json.dumps(body).encode(), headers))


def project(server: Server, name: str) -> Any:
    """A workspace with a project on the kanban template: the project, and the ids of its statuses."""
    workspace = call(server, name, "POST", "/workspaces", {"name": f"Engines of {name}"})
    made = call(
        server, name, "POST", f"/workspaces/{workspace['id']}/projects", {"name": "Cards", "template": "kanban"}
    )
    board = call(server, name, "GET", f"/projects/{made['id']}/workflows/main")
    return {"id": made["id"], "workspace": workspace["id"], "statuses": [status["id"] for status in board["statuses"]]}


def upload(server: Server, name: str, path: str, file: str) -> Any:
    """Attaches a file to a story."""
    headers = _bearer(name) | {"Content-Type": "application/octet-stream"}
    name_of_file = urllib.parse.quote(pathlib.Path(file).name)
    return _json(server.ask("POST", f"{path}?name={name_of_file}", pathlib.Path(file).read_bytes(), headers))


def download(server: Server, name: str, path: str) -> str:
    """The SHA-256 of what is attached."""
    return hashlib.sha256(server.ask("GET", path, None, _bearer(name))).hexdigest()


def listen(server: Server, name: str, stream: str, count: int, file: str) -> list[Any]:
    """Subscribes to a stream and writes each frame to `file` as a line, until `count` changes have come."""
    connection = server.socket()
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        "GET /api/v1/events HTTP/1.1", f"Host: {server.host or 'tenon.test'}",
        "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", f"Authorization: {_bearer(name)['Authorization']}",
    ]  # fmt: skip
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    frames = connection.makefile("rb")
    if b" 101 " not in (first := frames.readline()):
        raise SystemExit(f"the server did not agree to a websocket: {first!r}")
    while frames.readline().strip():
        pass
    wish = json.dumps({"op": "subscribe", "id": 1, "stream": stream}).encode()
    connection.sendall(bytes([0x81, 0x80 | len(wish)]) + bytes(4) + wish)
    seen: list[Any] = []
    with open(file, "w") as out:
        while sum(frame["op"] == "change" for frame in seen) < count:
            kind, size = frames.read(2)
            if size == 126:
                (size,) = struct.unpack(">H", frames.read(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", frames.read(8))
            body = frames.read(size)
            if kind & 15 == 9:
                connection.sendall(bytes([0x8A, 0x80 | len(body)]) + bytes(4) + body)
            elif kind & 15 == 8:
                raise SystemExit(f"the server closed: {body!r}")
            elif kind & 15 == 1:
                seen.append(json.loads(body))
                print(json.dumps(seen[-1]), file=out, flush=True)
    return seen


def load(server: Server, name: str, path: str, seconds: float, people: int, posts: bool) -> Any:
    """Several people who ask as fast as they can, half of them over new connections each time."""
    end = time.monotonic() + seconds
    failures: list[str] = []
    failed_at: list[float] = []
    slowest = [0.0] * people
    counts = [0] * people
    headers = _bearer(name)

    def person(number: int) -> None:
        connection = None
        while time.monotonic() < end:
            began = time.monotonic()
            try:
                if connection is None or number % 2:
                    connection = server.connection(60)
                if posts:
                    body = json.dumps({"body": f"{number}-{counts[number]}"})
                    connection.request("POST", f"/api/v1{path}", body, headers | {"Content-Type": "application/json"})
                else:
                    connection.request("GET", f"/api/v1{path}", None, headers)
                answer = connection.getresponse()
                content = answer.read()
                if answer.status >= 400:
                    failures.append(f"{answer.status} {content[:200]!r}")
            except (OSError, http.client.HTTPException) as error:
                failures.append(repr(error))
                connection = None
            if len(failures) > len(failed_at):
                failed_at.append(time.monotonic())
                # So that an outage is not a race.
                time.sleep(0.1)
            counts[number] += 1
            slowest[number] = max(slowest[number], time.monotonic() - began)

    threads = [threading.Thread(target=person, args=(number,)) for number in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "requests": sum(counts), "failed": len(failures), "failures": failures[:5], "slowest": round(max(slowest), 3),
        "outage": round(max(failed_at) - min(failed_at), 3) if failed_at else 0,
    }  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default="https://tenon.test")
    parser.add_argument("--output", type=pathlib.Path, help="where the answer goes; unset, standard output")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, *words: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name)
        for word in words:
            made.add_argument(word)
        return made

    command("join", "name")
    command("sign-up", "name")
    command("sign-in", "name")
    command("mailed", "name")
    command("project", "name")
    command("call", "name", "method", "path").add_argument("body", nargs="?", type=json.loads)
    command("upload", "name", "path", "file")
    command("download", "name", "path")
    listening = command("listen", "name", "stream", "file")
    listening.add_argument("--count", type=int, default=1)
    loading = command("load", "name", "path")
    loading.add_argument("--seconds", type=float, default=10)
    loading.add_argument("--people", type=int, default=4)
    loading.add_argument("--posts", action="store_true")
    return parser.parse_args()


def answer(server: Server, given: argparse.Namespace) -> Any:
    """Does what the command line says."""
    match given.command:
        case "join":
            return join(server, given.name)
        case "sign-up":
            return sign_up(server, given.name)
        case "sign-in":
            return sign_in(server, given.name)
        case "mailed":
            return mailed(given.name)
        case "project":
            return project(server, given.name)
        case "call":
            return call(server, given.name, given.method, given.path, given.body)
        case "upload":
            return upload(server, given.name, given.path, given.file)
        case "download":
            return download(server, given.name, given.path)
        case "listen":
            return listen(server, given.name, given.stream, given.count, given.file)
        case "load":
            return load(server, given.name, given.path, given.seconds, given.people, given.posts)


def main() -> None:
    """The command line."""
    given = _arguments()
    try:
        text = json.dumps(answer(Server(given.url), given))
    except Refused as refusal:
        sys.exit(str(refusal))
    if given.output is None:
        print(text)
    else:
        half = given.output.with_suffix(".half")
        half.write_text(text)
        half.rename(given.output)


main()
