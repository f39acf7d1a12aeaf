"""A paused queue hands out nothing, over a restart too, then everything once; a cancelled job never runs; a mistyped queue is refused with the nearest name."""
from support import *

mail = MailServer()
tenon = Installation(**mail.settings())
people = [tenon.person(f"p{i}") for i in range(3)]
jobs = lambda: tenon.must("GET", "/jobs?name=send_mail", token=tenon.admin)["items"]
mistyped = tenon.run("jobs", "pause", "mial")
check(mistyped.returncode != 0 and "mail" in mistyped.stderr, f"pause mial: {mistyped.returncode} {mistyped.stderr!r}")
refused = tenon.call("POST", "/queues/nosuch/pause", token=tenon.admin)
check(refused.status == 404 and "mail" in refused.json["detail"], f"by the API: {refused}")
filtered = tenon.call("GET", "/jobs?queue=mial", token=tenon.admin)
check(filtered.status == 422, f"as a filter: {filtered}")
tenon.cli("jobs", "pause", "mail")
for person in people:
    tenon.must("POST", "/auth/reset-password/request", {"email": person["email"]})
check(until(lambda: len(jobs()) == 3), "three mails wait")
tenon.stop()
tenon.start()
tenon.cli("jobs", "run-now", "purge_expired")
purge = lambda: tenon.must("GET", "/jobs?name=purge_expired&state=done", token=tenon.admin)["items"]
check(until(lambda: purge() != []), "a job of another queue runs")
check(mail.received == [], f"nothing of the paused one: {len(mail.received)}")
cancelled = jobs()[0]
check(tenon.call("POST", f"/jobs/{cancelled['id']}/cancel", token=tenon.admin).status == 200, "one is cancelled")
tenon.cli("jobs", "resume", "mail")
check(until(lambda: len(mail.received) == 2), f"the others are sent: {len(mail.received)}")
check(len({to[0] for to, _ in mail.received}) == 2, "each once")
state = tenon.must("GET", f"/jobs/{cancelled['id']}", token=tenon.admin)["state"]
check(state == "cancelled", f"the cancelled one: {state}")
finish()
