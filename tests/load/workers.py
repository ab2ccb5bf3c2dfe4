"""A worker that is killed under gunicorn, and replaced."""

from __future__ import annotations

import asyncio
import os
import signal

from client import Client
from judged import Outcome, recorded, rounds
from levels import reached
from served import House, Running, serving

CLIENTS = 40
SECONDS = 2.5
# What the arbiter says of a worker that it misses.
MISSED = r"Worker \(pid:\d+\) was sent SIGKILL"


async def replaced(house: House) -> Outcome:
    """Kill one worker after the other under load: only its own connections break, and another takes its place."""
    async with serving(house) as running:
        outcome = await rounds(running, killed, MISSED)
        missed = len(running.said())
    outcome.note = f"{outcome.tally.provoked} broken with {missed} workers"
    outcome.judge(recorded(house))
    return outcome


async def killed(running: Running, outcome: Outcome) -> None:
    """Kill the older worker."""
    end = asyncio.get_running_loop().time() + SECONDS
    failed = sum(outcome.tally.errors.values())
    clients = [Client(running.address) for _ in range(CLIENTS)]
    asking = [asyncio.ensure_future(until(end, client, outcome)) for client in clients]
    await asyncio.sleep(0.5)
    before = running.serving()
    # One request is under way on each connection of the victim's.
    connections = sum(client.server == before[0] for client in clients)
    os.kill(before[0], signal.SIGKILL)
    await asyncio.gather(*asking)
    after = running.serving()
    outcome.expect(len(before) == len(after) == running.count, f"workers {before}, then {after}")
    outcome.expect(after[:-1] == before[1:], f"workers {before}, then {after}: another than the victim is gone")
    outcome.tally.provoked += min(sum(outcome.tally.errors.values()) - failed, connections)
    # A worker's memory is what its fullest hour was. The kernel gives one more connections than another, so each has as
    # many once.
    async with reached(running, CLIENTS) as evenly:
        await asyncio.gather(*(client.ask("order", outcome.tally) for clients in evenly for client in clients))


async def until(end: float, client: Client, outcome: Outcome) -> None:
    """Ask for a while."""
    while asyncio.get_running_loop().time() < end:
        await client.ask("order", outcome.tally)
    await client.close()
