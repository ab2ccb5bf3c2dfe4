"""SIGTERM during load: what was begun is answered, what was acknowledged is there, and the processes end in silence."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

from client import BROKEN, Client, Tally
from judged import Outcome, recorded
from served import House, serving

CLIENTS = 50


async def graceful(house: House) -> Outcome:
    """Stop a server while fifty ask and fifty more wait for slow replies."""
    outcome = Outcome()
    async with serving(house) as running:
        stopped = asyncio.Event()
        slow = Tally()
        asking = [
            asyncio.ensure_future(until_refused(Client(running.address), outcome.tally, stopped))
            for _ in range(CLIENTS)
        ]
        await asyncio.sleep(0.5)
        clients = [Client(running.address) for _ in range(CLIENTS)]
        for client in clients:
            await client.ask("order", outcome.tally)
        waiting = [asyncio.ensure_future(client.ask("slow", slow)) for client in clients]
        # All of them have been read: a request for each is in the service for 0.3 s.
        await asyncio.sleep(0.1)
        stopped.set()
        running.process.send_signal(signal.SIGTERM)
        status = await running.ended()
        wanted = -signal.SIGTERM if house.host == "uvicorn" else 0
        outcome.expect(status == wanted, f"the process ended with {status}")
        outcome.expect(not alive(running.process.pid), "processes are left")
        outcome.expect(all(await asyncio.gather(*waiting)), f"slow requests were cut off: {dict(slow.errors)}")
        await asyncio.gather(*asking)
        outcome.tally.asked += slow.asked
        outcome.tally.acknowledged |= slow.acknowledged
        outcome.expect(bool(not await connects(running.address.port)), "the port is still open")
        outcome.listen(running)
        await asyncio.gather(*(client.close() for client in clients))
    kept = recorded(house)
    outcome.judge(kept)
    unanswered = kept - outcome.tally.acknowledged
    outcome.expect(not unanswered, f"{len(unanswered)} done and not answered")
    return outcome


async def until_refused(client: Client, tally: Tally, stopped: asyncio.Event) -> None:
    """Ask until the server is gone; what fails after it was told to stop is its good right."""
    while await client.ask("order", tally) or not stopped.is_set():
        pass
    tally.provoked += 1
    await client.close()


def alive(group: int) -> bool:
    """Return whether processes of this group are left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, 0)
        return True
    return False


async def connects(port: int) -> bool:
    """Return whether somebody listens."""
    with contextlib.suppress(*BROKEN):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False
