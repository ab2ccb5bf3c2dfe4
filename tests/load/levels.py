"""What processes hold: descriptors and memory of a server, or of gunicorn's arbiter and each of its workers."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from client import Client
from served import START

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from served import Running

SETTLE = 8.0
# Connections at once, so that a worker that is busy with one leaves the next to another.
BATCH = 10
# How long nothing may change until that is what is held.
STEADY = 0.3


@dataclass(frozen=True)
class Level:
    """What one process holds."""

    descriptors: int
    resident: int


# By who holds it. Workers come and go, so they are numbered by age.
Levels = dict[str, Level]


async def settled(running: Running, limit: Levels | None = None) -> Levels:
    """Return what is held as soon as no process has more open than this, or when time is over.

    Without a limit, what is held once nothing changes any more.
    """
    end = asyncio.get_running_loop().time() + SETTLE
    async with reached(running, 1) as connections:
        clients = [client for (client,) in connections]
        levels = await look(running, clients)
        while asyncio.get_running_loop().time() < end:
            if limit and excess(levels, limit) <= 0:
                break
            await asyncio.sleep(0.1 if limit else STEADY)
            last, levels = levels, await look(running, clients)
            if not limit and excess(levels, last) == excess(last, levels) == 0:
                break
    return levels


def excess(levels: Levels, limit: Levels) -> int:
    """Return how many descriptors a process has more than it should have, for the worst of them."""
    return max(levels[name].descriptors - limit[name].descriptors for name in limit)


def growth(levels: Levels, before: Levels) -> int:
    """Return how much memory a process has more than before, for the worst of them."""
    return max(levels[name].resident - before[name].resident for name in before)


async def look(running: Running, clients: list[Client]) -> Levels:
    """Ask each process what it holds; the arbiter, which answers nobody, is looked at from outside."""
    facts = [await client.facts() for client in clients]
    levels = {
        f"server {number}": Level(fact["descriptors"], fact["resident"]) for number, fact in enumerate(facts, start=1)
    }
    if running.process.pid not in running.serving():
        process = Path(f"/proc/{running.process.pid}")
        pages = int((process / "statm").read_text(encoding="ascii").split()[1])
        descriptors = len(list((process / "fd").iterdir()))
        levels["arbiter"] = Level(descriptors, pages * os.sysconf("SC_PAGE_SIZE"))
    return levels


@contextlib.asynccontextmanager
async def reached(running: Running, count: int) -> AsyncIterator[list[list[Client]]]:
    """Make as many connections to each process that answers.

    Raises:
        RuntimeError: a process is missing, or does not answer.

    """
    found: dict[int, list[Client]] = {}
    end = asyncio.get_running_loop().time() + START
    try:
        # Which worker takes a connection is the kernel's choice, so we try until each has taken enough.
        while len(running.serving()) != running.count or any(
            len(found.get(process, ())) < count for process in running.serving()
        ):
            if asyncio.get_running_loop().time() > end:
                answered = {process: len(clients) for process, clients in found.items()}
                raise RuntimeError(f"{running.serving()} serve where {running.count} should; answered: {answered}")
            batch = [Client(running.address) for _ in range(BATCH)]
            for client, facts in zip(batch, await asyncio.gather(*(client.facts() for client in batch)), strict=True):
                found.setdefault(facts["process"], []).append(client)
            spare = [client for clients in found.values() for client in clients[count:]]
            found = {process: clients[:count] for process, clients in found.items()}
            await asyncio.gather(*(client.close() for client in spare))
        yield [found[process] for process in running.serving()]
    finally:
        await asyncio.gather(*(client.close() for clients in found.values() for client in clients))
