"""Procrastinate: the async worker over psycopg. Arguments: the URL, and how many jobs run at once."""

import asyncio
import logging
import sys
import time

import procrastinate

from phases import serve

logging.disable(logging.CRITICAL)
url, concurrency = sys.argv[1], int(sys.argv[2])
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url, min_size=10, max_size=20))
left = 0
empty = asyncio.Event()
picked = asyncio.Event()


@app.task(name="nothing")
async def nothing():
    global left
    left -= 1
    picked.set()
    if left == 0:
        empty.set()


async def singly(count):
    for _ in range(count):
        await nothing.defer_async()


async def ten(count):
    await asyncio.gather(*(singly(count // 10) for _ in range(10)))


async def thousands(count):
    for _ in range(count // 1000):
        await nothing.batch_defer_async(*({} for _ in range(1000)))


def worker():
    return asyncio.create_task(
        app.run_worker_async(
            concurrency=concurrency, install_signal_handlers=False, delete_jobs="never", wait=True
        )
    )


async def end(task):
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def run(count):
    global left
    left = count
    empty.clear()
    task = worker()
    await empty.wait()
    await end(task)


async def pick_up(count):
    task = worker()
    await asyncio.sleep(1)
    waits = []
    for _ in range(count):
        picked.clear()
        began = time.perf_counter()
        await nothing.defer_async()
        await picked.wait()
        waits.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.02)
    await end(task)
    return waits


async def main():
    async with app.open_async():
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        await serve({"singly": singly, "ten": ten, "thousands": thousands, "run": run, "pick-up": pick_up})


asyncio.run(main())
