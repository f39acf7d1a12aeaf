"""PGQueuer over asyncpg and uvloop. Arguments: the URL, and how many jobs are taken at once."""

import asyncio
import logging
import sys
import time
from datetime import timedelta

import asyncpg
import uvloop
from pgqueuer import AsyncpgDriver, AsyncpgPoolDriver, QueueManager
from pgqueuer.queries import Queries

from phases import serve

logging.disable(logging.CRITICAL)
url, batch = sys.argv[1], int(sys.argv[2])


async def main():
    pool = await asyncpg.create_pool(url, min_size=10, max_size=20)
    queries = Queries(AsyncpgPoolDriver(pool))
    if not await pool.fetchval("SELECT to_regclass('pgqueuer') IS NOT NULL"):
        await queries.install()
    state = {"left": 0}
    empty, picked = asyncio.Event(), asyncio.Event()

    async def singly(count):
        for _ in range(count):
            await queries.enqueue("nothing", None)

    async def ten(count):
        await asyncio.gather(*(singly(count // 10) for _ in range(10)))

    async def thousands(count):
        for _ in range(count // 1000):
            await queries.enqueue(["nothing"] * 1000, [None] * 1000, [0] * 1000)

    async def worker():
        connection = await asyncpg.connect(url)
        manager = QueueManager(Queries(AsyncpgDriver(connection)))

        @manager.entrypoint("nothing")
        async def nothing(_job):
            state["left"] -= 1
            picked.set()
            if state["left"] == 0:
                empty.set()

        running = asyncio.create_task(manager.run(dequeue_timeout=timedelta(seconds=2), batch_size=batch))

        async def end():
            manager.shutdown.set()
            await asyncio.gather(running, return_exceptions=True)
            await connection.close()

        return end

    async def run(count):
        state["left"] = count
        empty.clear()
        end = await worker()
        await empty.wait()
        # Ending waits for the last poll, which is no part of the work.
        state["end"] = asyncio.create_task(end())

    async def pick_up(count):
        await state["end"]
        end = await worker()
        await asyncio.sleep(1)
        waits = []
        for _ in range(count):
            picked.clear()
            began = time.perf_counter()
            await queries.enqueue("nothing", None)
            await picked.wait()
            waits.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.02)
        await end()
        return waits

    await serve({"singly": singly, "ten": ten, "thousands": thousands, "run": run, "pick-up": pick_up})


uvloop.run(main())
