"""What every Python peer has in common: it reads phases from standard input and answers each with a line of JSON.

A phase is `singly N`, `ten N`, `thousands N`, `run N`, or `pick-up N`; the answer has `seconds` and the processor time
of this process, `cpu`, or for `pick-up` the `waits` in milliseconds.
"""

import asyncio
import json
import resource
import sys
import time


def processor():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def serve(phases):
    """`phases` maps a name to an async function of the count, which may answer a list of waits."""
    loop = asyncio.get_running_loop()
    while line := (await loop.run_in_executor(None, sys.stdin.readline)).split():
        name, count = line
        began, used = time.perf_counter(), processor()
        waits = await phases[name](int(count))
        answer = {"seconds": time.perf_counter() - began, "cpu": processor() - used}
        print(json.dumps({"waits": waits} if waits else answer), flush=True)
