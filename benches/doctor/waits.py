"""What it costs to see what a hundred thousand tasks wait for.

One line for each round: how long the loop stood still for all pictures together and for the longest slice, both by
the doctor's own account, and the longest gap that a task of the program saw meanwhile. On a machine that does nothing
else.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time

import treadle
import treadle.doctor


async def inner(event: asyncio.Event) -> None:
    """Wait."""
    await event.wait()


async def outer(event: asyncio.Event, lock: asyncio.Lock) -> None:
    """Wait inside of an ``async with``, two coroutines deep."""
    async with lock:
        await inner(event)


async def main(count: int) -> float:
    """Have so many tasks wait, and return the longest gap while they were looked at."""
    event = asyncio.Event()
    tasks = [asyncio.create_task(outer(event, asyncio.Lock())) for _ in range(count)]
    await asyncio.sleep(0)
    last, longest = time.perf_counter(), 0.0
    end = last + 3
    while last < end:
        await asyncio.sleep(0.0005)
        now = time.perf_counter()
        if now > end - 2.7:
            longest = max(longest, now - last)
        last = now
    event.set()
    await asyncio.wait(tasks)
    return longest


def once(count: int) -> None:
    """Run it in this process."""
    with tempfile.TemporaryFile() as words:
        treadle.doctor.watch(output="json", to=words.fileno(), settings=False)
        longest = treadle.run(main(count))
        treadle.doctor.finish()
        words.seek(0)
        *_, summary = (json.loads(line) for line in words)
    print(
        f"{count} tasks, {summary['inspections']} answers: {summary['inspection_seconds'] * 1e3:.0f} ms,"
        f" longest slice {summary['longest_inspection_seconds'] * 1e3:.1f} ms, longest gap {longest * 1e3:.1f} ms"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for _ in range(arguments.rounds):
        # The doctor keeps code for ever, so each round is a process.
        child = os.fork()
        if child == 0:
            once(arguments.tasks)
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(child, 0)
