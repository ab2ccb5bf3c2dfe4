"""Many connections at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from client import Client, Tally
from judged import Outcome, recorded, rounds
from served import House, Running, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

REQUESTS = 5


def of(connections: int) -> Callable[[House], Awaitable[Outcome]]:
    """Return the scenario with so many connections."""

    async def crowd(house: House) -> Outcome:
        async with serving(house) as running:
            outcome = await rounds(running, lambda running, outcome: everybody(running, outcome.tally, connections))
        outcome.judge(recorded(house))
        return outcome

    return crowd


async def everybody(running: Running, tally: Tally, connections: int) -> None:
    """Open all connections, then ask on all of them at once, several times."""
    clients = [Client(running.address) for _ in range(connections)]
    gate = asyncio.Semaphore(200)

    async def first(client: Client) -> None:
        async with gate:
            await client.ask("order", tally)

    async def more(client: Client) -> None:
        for _ in range(REQUESTS):
            await client.ask("order", tally)

    await asyncio.gather(*map(first, clients))
    await asyncio.gather(*map(more, clients))
    await asyncio.gather(*(client.close() for client in clients))
