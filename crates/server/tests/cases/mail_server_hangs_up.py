"""A mail server that says 421 or hangs up on a connection that waited costs nobody anything: each mail arrives at once, and once."""
from support import *

mail = MailServer()
tenon = Installation(**mail.settings())
ada = tenon.person("ada")
for told, name in [(b"", "as usual"), (b"421 4.4.2 idle for too long", "421"), (None, "hangs up"), (b"", "again")]:
    before, old = len(mail.received), mail.connections
    mail.answer = lambda verb, number, told=told, old=old: told if number <= old and verb in ("NOOP", "MAIL", "RSET") else b""
    began = time.monotonic()
    tenon.must("POST", "/auth/reset-password/request", {"email": ada["email"]})
    check(until(lambda: len(mail.received) > before), f"{name}: arrives after {time.monotonic() - began:.1f} s")
    check(time.monotonic() - began < 5, f"{name}: at once")
check(len(mail.received) == 4, f"four mails: {len(mail.received)}")
finish()
