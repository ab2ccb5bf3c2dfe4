"""A worker that is killed under gunicorn, and replaced."""

from __future__ import annotations

import asyncio
import os
import signal

from client import Address, Client, Tally
from judged import Outcome, recorded
from served import House, serving

CLIENTS = 40
SECONDS = 4.0


async def replaced(house: House) -> Outcome:
    """Kill a worker under load: only its own connections break, and another takes its place."""
    outcome = Outcome()
    async with serving(house) as running:
        end = asyncio.get_running_loop().time() + SECONDS
        asking = [asyncio.ensure_future(until(end, Client(running.address), outcome.tally)) for _ in range(CLIENTS)]
        await asyncio.sleep(1)
        before = await workers(running.address)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        await asyncio.gather(*asking)
        after = await workers(running.address)
        outcome.expect(len(before) == 2, f"{len(before)} workers")
        outcome.expect(victim not in after and len(after) == 2, f"workers {before}, then {after}")
        # One request was under way on each connection of the victim's.
        errors = sum(outcome.tally.errors.values())
        outcome.tally.provoked = min(errors, CLIENTS)
        outcome.note = f"{errors} broken with the worker"
    outcome.judge(recorded(house))
    return outcome


async def until(end: float, client: Client, tally: Tally) -> None:
    """Ask for a while."""
    while asyncio.get_running_loop().time() < end:
        await client.ask("order", tally)
    await client.close()


async def workers(address: Address) -> set[int]:
    """Return the processes that answer."""
    found = await asyncio.gather(*(address.facts() for _ in range(100)))
    return {facts["process"] for facts in found}
