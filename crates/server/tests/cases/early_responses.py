"""A response that comes before the body was read leaves a connection that can be used, or says that it is closed."""
from support import *

tenon = Installation()
ada = tenon.person("ada")
for status, path, headers in [
    (401, "/workspaces", {}),
    (404, "/nowhere", {}),
    (415, "/workspaces", {"Authorization": f"Bearer {ada['token']}", "Content-Type": "text/csv"}),
]:
    connection = http.client.HTTPConnection("127.0.0.1", tenon.port, timeout=10)
    lost = 0
    for _ in range(10):
        connection.request("POST", f"/api/v1{path}", b"x" * 60_000, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        response.read()
        if response.status != status:
            check(False, f"{status} was to come, and {response.status} came")
        if response.getheader("connection", "").lower() == "close":
            connection.close()
            continue
        try:
            connection.request("GET", "/api/v1/health")
            lost += connection.getresponse().read() is None
        except (OSError, http.client.HTTPException):
            lost += 1
            connection.close()
    check(lost == 0, f"after {status}: {lost} of 10 requests that followed were lost")
finish()
