"""A mail server that answers with a NUL and nonsense leaves a dead job with a plain error; others are sent meanwhile, and it can be retried."""
from support import *

mail = MailServer()
tenon = Installation(**mail.settings())
people = [tenon.person(f"p{i}") for i in range(3)]
jobs = lambda state: tenon.must("GET", f"/jobs?name=send_mail&state={state}", token=tenon.admin)["items"]
mail.answer = lambda verb, connection: b"550 5.1.1 no\0such\x1b[31m person" if verb == "RCPT" else b""
tenon.must("POST", "/auth/reset-password/request", {"email": people[0]["email"]})
check(until(lambda: len(jobs("dead")) == 1), f"dead: {[job['error'] for job in jobs('dead')]}")
error = (jobs("dead") or [{"error": ""}])[0]["error"]
check("550" in error or "refused" in error, f"its error: {error!r}")
check("\0" not in error and "\x1b" not in error, "nothing of it turns a screen around")
mail.answer = lambda verb, connection: b""
for person in people[1:]:
    tenon.must("POST", "/auth/reset-password/request", {"email": person["email"]})
check(until(lambda: len(mail.received) == 2), f"others are sent: {len(mail.received)}")
for job in jobs("dead"):
    tenon.must("POST", f"/jobs/{job['id']}/retry", token=tenon.admin)
check(until(lambda: len(mail.received) == 3), f"retried and sent: {len(mail.received)}")
check(until(lambda: jobs("running") == []), "nothing runs for ever")
finish()
