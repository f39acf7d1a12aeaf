"""What the cases share: an installation of their own, its API, a mail server that can be told to misbehave."""

import atexit
import base64
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time
from urllib.parse import quote

TENON = os.environ.get("TENON", "tenon")
PASSWORD = "correct horse battery"
SCOPES = ["read-account", "write-account", "read-workspaces", "write-workspaces", "read-projects", "write-projects"]
wrong = []
at_end = []


def check(holds, what):
    """Says what was seen, and whether it is right."""
    print(("ok    " if holds else "WRONG ") + what, flush=True)
    if not holds:
        wrong.append(what)
    return holds


def finish():
    """Ends the case."""
    sys.exit(1 if wrong else 0)


def skip(why):
    """Ends a case that cannot be tried here."""
    print(f"SKIP {why}")
    sys.exit(77)


@atexit.register
def clean_up():
    for undo in reversed(at_end):
        try:
            undo()
        except Exception as error:  # What was started later must still be stopped.
            print(f"      {error}")


def until(holds, seconds=15):
    """Waits for a condition; answers whether it came."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.05)
    return bool(holds())


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body) if self.body else None

    @property
    def code(self):
        try:
            return self.json.get("code")
        except (ValueError, AttributeError):
            return None

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


class Installation:
    """`tenon up` in a directory of its own, with an administrator."""

    def __init__(self, **settings):
        self.dir = tempfile.mkdtemp(prefix="tenon-case-", dir=os.environ.get("CASES_TMP", "/tmp"))
        os.chmod(self.dir, 0o755)
        at_end.append(lambda: shutil.rmtree(self.dir, ignore_errors=True))
        self.port = free_port()
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("TENON")}
        self.env |= {
            "TENON__DATA_DIR": f"{self.dir}/data",
            "TENON__SERVER__LISTEN": f"127.0.0.1:{self.port}",
            # These cases are about other things, but for the one that says so.
            "TENON__RATE_LIMITS__SESSION": "100000/1m",
            "TENON__RATE_LIMITS__TOKEN": "100000/1m",
            "TENON__RATE_LIMITS__ANONYMOUS": "100000/1m",
            "TENON__RATE_LIMITS__LOGIN": "1000/1m",
        }
        self.env |= {name: str(value) for name, value in settings.items()}
        self.process = None
        self.start()
        at_end.append(self.stop)
        self.cli("user", "create", "--name", "Root", "--username", "root", "--admin", "--password-stdin",
                 "root@example.org", stdin=PASSWORD)
        self.admin = self.token("root", [*SCOPES, "admin"])

    def start(self):
        with open(f"{self.dir}/log", "ab") as log:
            self.process = subprocess.Popen([TENON, "up"], env=self.env, cwd=self.dir, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)

        def is_ready():
            if self.process.poll() is not None:
                raise SystemExit(f"`tenon up` ended: {self.log()[-2000:]}")
            try:
                return self.call("GET", "/readiness").status == 200
            except OSError:
                return False
        if not until(is_ready, 120):
            raise SystemExit(f"never ready: {self.log()[-2000:]}")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def log(self):
        with open(f"{self.dir}/log", errors="replace") as log:
            return log.read()

    def run(self, *arguments, stdin=None):
        """A command of the program; answers what became of it."""
        return subprocess.run([TENON, *arguments], env=self.env, cwd=self.dir, input=stdin, capture_output=True,
                              text=True, timeout=120)

    def cli(self, *arguments, stdin=None):
        """A command of the program that must succeed."""
        done = self.run(*arguments, stdin=stdin)
        if done.returncode:
            raise SystemExit(f"{arguments}: {done.returncode} {done.stdout} {done.stderr}")
        return done.stdout

    def call(self, method, path, body=None, token=None, headers=None):
        """One request on a connection of its own; `body` is JSON unless it is bytes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = dict(headers or {})
        if token:
            sent["Authorization"] = f"Bearer {token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path if path.startswith("/api/") else f"/api/v1{path}", body, sent)
            response = connection.getresponse()
            received = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, received, response.read())
        finally:
            connection.close()

    def must(self, method, path, body=None, token=None, headers=None):
        """A request that must succeed; answers what it brought."""
        response = self.call(method, path, body, token, headers)
        if response.status >= 300:
            raise SystemExit(f"{method} {path}: {response}")
        return response.json

    def session(self, login):
        return self.must("POST", "/auth/sign-in", {"login": login, "password": PASSWORD})["access_token"]

    def token(self, login, scopes=None):
        wish = {"name": "case", "scopes": scopes or SCOPES}
        return self.must("POST", "/me/tokens", wish, self.session(login))["token"]

    def person(self, name):
        """Somebody with an account; `token` is theirs."""
        username = name + secrets.token_hex(3)
        wish = {"email": f"{username}@example.org", "full_name": name, "username": username, "password": PASSWORD}
        person = self.must("POST", "/users", wish, self.admin)
        return person | {"email": wish["email"], "token": self.token(username)}

    def project(self, token):
        """A project in a workspace of its own: its path, and the ids of its columns."""
        workspace = self.must("POST", "/workspaces", {"name": "Case"}, token)
        wish = {"name": "Case", "template": "kanban"}
        project = self.must("POST", f"/workspaces/{workspace['id']}/projects", wish, token)
        path = f"/projects/{project['id']}"
        board = self.must("GET", f"{path}/workflows/main", token=token)
        return path, [status["id"] for status in board["statuses"]]

    def story(self, path, status, token, title="Story"):
        return self.must("POST", f"{path}/stories", {"title": title, "status_id": status}, token)

    def join(self, path, owner, person, role="member"):
        """Lets a person into a project."""
        roles = self.must("GET", f"{path}/roles", token=owner["token"])
        roles = roles.get("items", roles) if isinstance(roles, dict) else roles
        role = next(one for one in roles if one["name"].lower() == role)
        wish = {"invitations": [{"email": person["email"], "role_id": role["id"]}]}
        self.must("POST", f"{path}/invitations", wish, owner["token"])
        mine = self.must("GET", "/me/invitations", token=person["token"])["items"]
        self.must("POST", f"/me/invitations/{mine[0]['id']}/accept", token=person["token"])


class MailServer(socketserver.ThreadingTCPServer):
    """Takes mail, and answers a command with what `answer(verb, connection)` says instead: bytes, or None to hang up."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), MailSession)
        self.received, self.connections, self.answer = [], 0, lambda verb, connection: b""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        at_end.append(self.shutdown)

    def settings(self):
        return {
            "TENON__MAIL__BACKEND": "smtp", "TENON__MAIL__HOST": "127.0.0.1",
            "TENON__MAIL__PORT": self.server_address[1], "TENON__MAIL__TLS": "none",
        }


class MailSession(socketserver.StreamRequestHandler):
    def handle(self):
        self.server.connections += 1
        number, to = self.server.connections, []
        self.wfile.write(b"220 case ESMTP\r\n")
        for line in self.rfile:
            verb = line[:4].upper().decode("latin-1").strip()
            told = self.server.answer(verb, number)
            if told is None:
                return
            if told:
                self.wfile.write(told + b"\r\n")
                continue
            if verb == "RCPT":
                to.append(line.decode("latin-1").split("<")[1].split(">")[0])
            if verb == "DATA":
                self.wfile.write(b"354 go on\r\n")
                text = b""
                for line in self.rfile:
                    if line == b".\r\n":
                        break
                    text += line
                self.server.received.append((to, text.decode("latin-1")))
                to = []
            self.wfile.write(b"221 bye\r\n" if verb == "QUIT" else b"250 ok\r\n")


class Socket:
    """The websocket for events."""

    def __init__(self, installation, token):
        self.socket = socket.create_connection(("127.0.0.1", installation.port), 10)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{installation.port}\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.socket.recv(4096)
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise SystemExit(f"no websocket: {head!r}")

    def send(self, frame):
        text, mask = json.dumps(frame).encode(), os.urandom(4)
        length = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + struct.pack(">H", len(text))
        self.socket.sendall(b"\x81" + length + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(text)))

    def take(self, count):
        while len(self.buffer) < count:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("closed")
            self.buffer += more
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def receive(self, seconds=5):
        """The next frame of text; None when none comes."""
        self.socket.settimeout(seconds)
        try:
            while True:
                kind, length = self.take(2)
                length &= 0x7F
                if length == 126:
                    length = struct.unpack(">H", self.take(2))[0]
                elif length == 127:
                    length = struct.unpack(">Q", self.take(8))[0]
                body = self.take(length)
                if kind & 0xF == 1:
                    return json.loads(body)
                if kind & 0xF == 8:
                    return None
        except (TimeoutError, ConnectionError):
            return None
