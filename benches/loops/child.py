"""The process under test: one loop, one row, once.

It prints a line of JSON: the address it serves at, and then serves until it is killed; or what it measured.
"""

import argparse
import asyncio
import json
import os
import resource
import sys
import time
from contextlib import AsyncExitStack

from benches.loops import backends, batches, dialling, servers


def settle_heap() -> None:
    """Free one big block, so that glibc's threshold for mapping blocks is where a program of some age has it."""
    block = bytearray(4 << 20)
    del block


def resident() -> int:
    """Return this process's resident memory in bytes."""
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123  (pathlib would grow the heap)
        return int(statm.read().split()[1]) * resource.getpagesize()


async def measure(operation: str, peer: str, seconds: float) -> dict[str, float]:
    """Repeat batches until the time is over; the rate is that of the median batch."""
    async with AsyncExitStack() as stack:
        if operation in batches.BATCHES:
            batch = batches.BATCHES[operation]
        else:
            batch = await stack.enter_async_context(dialling.PREPARED[operation](peer))
        count = await fitting(batch, batches.LEAST.get(operation, 10), seconds / 10)
        walls: list[float] = []
        begin, cpu = time.perf_counter(), time.process_time()
        while (started := time.perf_counter()) - begin < seconds:
            await batch(count)
            walls.append(time.perf_counter() - started)
        cpu = time.process_time() - cpu
        median = sorted(walls)[len(walls) // 2]
        return {"rate": count / median, "cpu": cpu / count / len(walls), "busy": cpu / sum(walls)}


async def fitting(batch: batches.Batch, least: int, seconds: float) -> int:
    """Return how many operations take so long; finding out warms everything up."""
    count = least
    while True:
        started = time.perf_counter()
        await batch(count)
        taken = time.perf_counter() - started
        if taken >= seconds / 2:
            return max(least, round(count * seconds / taken / 10) * 10)
        count *= 4


async def pending(timers: int) -> dict[str, float]:
    """Return the memory that each waiting timer takes."""
    later = asyncio.get_running_loop().call_later
    for _ in range(1000):
        later(1000, batches.nothing)
    before = resident()
    for _ in range(timers):
        later(1000, batches.nothing)
    return {"rate": (resident() - before) / timers}


async def serve(server: str, place: servers.Place) -> None:
    """Serve until somebody kills the process."""
    say({"address": await servers.SERVERS[server](place)})
    await asyncio.Event().wait()


def say(line: object) -> None:
    """Print one line, at once."""
    print(json.dumps(line), flush=True)


def raise_limit() -> None:
    """Allow as many descriptors as the system lets us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def imported(loop: str) -> dict[str, float]:
    """Time the import of the loop's package."""
    started = time.perf_counter()
    if loop != "asyncio":
        __import__(loop)
    return {"rate": (time.perf_counter() - started) * 1000}


async def work(options: argparse.Namespace) -> None:
    """Do what was asked for."""
    match options.what:
        case "batches":
            say(await measure(options.name, options.peer, options.seconds))
        case "pending":
            say(await pending(int(options.name)))
        case _:
            await serve(options.name, servers.Place(options.transport, options.path))


def main() -> None:
    """Run the loop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("loop", choices=backends.NAMES)
    parser.add_argument("what", choices=["batches", "pending", "serve", "import"])
    parser.add_argument("name")
    parser.add_argument("--peer", default="")
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--transport", default="tcp")
    parser.add_argument("--path", default="")
    options = parser.parse_args()
    if options.what == "import":
        say(imported(options.loop))
        return
    settle_heap()
    raise_limit()
    with asyncio.Runner(loop_factory=backends.factory(options.loop)) as runner:
        runner.run(work(options))
        sys.stdout.flush()
        # What is left open is the system's to close; pending timers by the thousand need not be torn down one by one.
        os._exit(0)


if __name__ == "__main__":
    main()
