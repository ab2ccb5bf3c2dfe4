"""What came of a scenario, and whether that is well."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from client import Tally
from served import KEPT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from served import House, Running

# What a heap of fragments may do from one round to the last.
SLACK = 4 * 2**20
ROUNDS = 3
SETTLE = 8.0


@dataclass
class Outcome:
    """One line of the table."""

    tally: Tally = field(default_factory=Tally)
    lost: int = 0
    descriptors: int | None = None
    grown: int | None = None
    faults: list[str] = field(default_factory=list)
    note: str = ""

    def expect(self, holds: bool, fault: str) -> None:  # noqa: FBT001 -- it is what is said.
        """Remember a fault unless something holds."""
        if not holds:
            self.faults.append(fault)

    def judge(self, kept: set[str]) -> None:
        """Hold what was acknowledged against what was kept, and count errors that nobody provoked."""
        self.lost = len(self.tally.acknowledged - kept)
        self.expect(not self.lost, f"{self.lost} acknowledged and lost")
        self.expect(bool(self.tally.acknowledged), "nothing was acknowledged")
        unprovoked = sum(self.tally.errors.values()) - self.tally.provoked
        self.expect(unprovoked <= 0, f"errors that no peer caused: {dict(self.tally.errors)}")


async def rounds(house: House, running: Running, once: Callable[[Running, Tally], Awaitable[None]]) -> Outcome:
    """Do something several times: the first time warms up, after the last nothing more may be held."""
    outcome = Outcome()
    before = await settled(running, 0)
    await once(running, outcome.tally)
    for wait in (0.0, KEPT + 1):
        # Timers of the server's hold what is closed; what they held once is used again when they are over.
        await asyncio.sleep(wait)
        warm = await settled(running, before["descriptors"])
        for _ in range(ROUNDS):
            await once(running, outcome.tally)
        await asyncio.sleep(wait)
        after = await settled(running, before["descriptors"])
        grown = after["resident"] - warm["resident"]
        if grown <= SLACK:
            break
    outcome.descriptors = after["descriptors"] - before["descriptors"]
    outcome.grown = grown
    outcome.expect(outcome.descriptors <= 0, f"{outcome.descriptors} descriptors left")
    outcome.expect(grown <= SLACK, f"memory grew by {grown / 2**20:.1f} MiB")
    outcome.expect(running.process.poll() is None, "the server has ended")
    complaints = running.complaints().strip()
    outcome.expect("Traceback" not in complaints, f"complaints: {complaints[-600:]}")
    outcome.judge(recorded(house))
    return outcome


async def settled(running: Running, descriptors: int) -> dict[str, Any]:
    """Return the server's facts as soon as no more descriptors are open than these, or when time is over."""
    end = asyncio.get_running_loop().time() + SETTLE
    while True:
        facts: dict[str, Any] = await running.address.facts()
        if not descriptors or facts["descriptors"] <= descriptors or asyncio.get_running_loop().time() > end:
            return facts
        await asyncio.sleep(0.1)


def recorded(house: House) -> set[str]:
    """Return what the service has written down."""
    return set(house.record.read_text().split()) if house.record.exists() else set()
