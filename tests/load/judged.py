"""What came of a scenario, and whether that is well."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from client import Tally
from levels import excess, growth, settled
from served import KEPT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from served import House, Running

# What a heap of fragments may do from one round to the last.
SLACK = 4 * 2**20
ROUNDS = 3


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

    def listen(self, running: Running, expected: str | None = None) -> None:
        """Count what a server says as a fault, but for lines that it should say."""
        complaints = [line for line in running.said() if not (expected and re.search(expected, line))]
        self.expect(not complaints, "\n        ".join(["complaints:", *complaints[-12:]]))


async def rounds(
    running: Running, once: Callable[[Running, Outcome], Awaitable[None]], expected: str | None = None
) -> Outcome:
    """Do something several times: the first time warms up, after the last nothing more may be held."""
    outcome = Outcome()
    before = await settled(running)
    await once(running, outcome)
    for wait in (0.0, KEPT + 1, KEPT + 1):
        # Timers of the server's hold what is closed; what they held once is used again when they are over. And a heap
        # is as large as its worst moment: with resets in TLS it goes from 44 to 60 MiB once, and stays there. A leak
        # grows every time.
        await asyncio.sleep(wait)
        warm = await settled(running, before)
        for _ in range(ROUNDS):
            await once(running, outcome)
        await asyncio.sleep(wait)
        after = await settled(running, before)
        grown = growth(after, warm)
        if grown <= SLACK:
            break
    outcome.grown = grown
    outcome.descriptors = excess(after, before)
    outcome.expect(outcome.descriptors <= 0, f"{outcome.descriptors} descriptors left: {before}, then {after}")
    outcome.expect(grown <= SLACK, f"memory grew: {warm}, then {after}")
    outcome.expect(running.process.poll() is None, "the server has ended")
    outcome.listen(running, expected)
    return outcome


def recorded(house: House) -> set[str]:
    """Return what the service has written down."""
    return set(house.record.read_text().split()) if house.record.exists() else set()
