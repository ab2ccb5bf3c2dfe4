"""A soak: everything a loop does, mixed and at once, for as long as one has patience.

    python tests/soak.py [--seconds 600] [--loop treadle|asyncio|uvloop] [--seed 1]

Fails if memory grows by more than 2 MiB a minute after the warm-up (a fifth of the time), or if a descriptor is left.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "python"))

import loops
import scenarios

# Bytes a second, and what a heap of fragments may do besides.
SLOPE = 2 * 2**20 / 60
SLACK = 2**20
AT_ONCE = 30


def main() -> int:
    """Run the soak; return 0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--loop", choices=[name for name in loops.factories() if name != "stand-in"], default="treadle")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=loops.factories()[options.loop]) as runner:
        return runner.run(Soak(options.seconds, options.seed).run())


class Soak:
    """What was done, and how memory went."""

    def __init__(self, seconds: float, seed: int) -> None:
        """Take for how long, and which mixture."""
        self.seconds = seconds
        self.draw = random.Random(seed)  # noqa: S311 -- the same mixture for the same seed.
        self.operations = 0
        self.cancelled = 0
        self.failures: list[str] = []
        self.samples: list[tuple[float, int]] = []

    async def run(self) -> int:
        """Run the mixture, and judge it."""
        asyncio.get_running_loop().set_exception_handler(self.fail)
        for scenario in scenarios.ALL:
            await scenario()
        before = count_descriptors()
        started = time.monotonic()
        watching = asyncio.ensure_future(self.watch(started))
        running: set[asyncio.Task[Any]] = set()
        while time.monotonic() - started < self.seconds:
            running -= {task for task in running if task.done()}
            while len(running) < AT_ONCE:
                running.add(asyncio.ensure_future(self.step(self.choose())))
            if self.draw.randrange(4) == 0:
                self.draw.choice(list(running)).cancel()
            await asyncio.sleep(0 if self.draw.randrange(20) else 0.001)
        watching.cancel()
        await asyncio.wait(running)
        with contextlib.suppress(TimeoutError):
            await loops.until(lambda: count_descriptors() <= before)
        return self.judge(count_descriptors() - before)

    def choose(self) -> scenarios.Scenario:
        """Return what to do next: programs are rare, they take longer than all the rest."""
        return self.draw.choice(scenarios.QUICK if self.draw.randrange(100) else (scenarios.program,))

    async def step(self, scenario: scenarios.Scenario) -> None:
        """Do one thing."""
        try:
            async with asyncio.timeout(20):
                await scenario()
        except asyncio.CancelledError:
            self.cancelled += 1
        except Exception as error:  # noqa: BLE001 -- told at the end.
            self.failures.append(f"{scenario.__name__}: {error!r}")
        self.operations += 1

    def fail(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Remember what reached the loop's exception handler, but for tasks whose makers were cancelled."""
        if "never retrieved" not in context["message"]:
            self.failures.append(f"{context['message']}: {context.get('exception')!r}")

    async def watch(self, started: float) -> None:
        """Measure memory, and tell."""
        every = max(self.seconds / 40, 0.25)
        while True:
            await asyncio.sleep(every)
            gc.collect()
            passed = time.monotonic() - started
            self.samples.append((passed, resident()))
            print(
                f"{passed:6.1f} s  {self.operations:8} operations  {self.cancelled:7} cancelled  "
                f"{resident() / 2**20:7.1f} MiB  {count_descriptors():4} descriptors",
                flush=True,
            )

    def judge(self, descriptors: int) -> int:
        """Return 0 if nothing was left behind."""
        settled = [sample for sample in self.samples if sample[0] > self.seconds / 5]
        allowed = SLOPE + SLACK / max(self.seconds * 0.8, 1)
        grown = slope(settled)
        print(f"memory: {grown / 1024:+.1f} KiB/s, {allowed / 1024:.1f} allowed; descriptors left: {descriptors}")
        for failure in sorted(set(self.failures)):
            print(f"{self.failures.count(failure)} times {failure}")
        return int(grown > allowed or descriptors > 0 or bool(self.failures))


def slope(samples: list[tuple[float, int]]) -> float:
    """Return by how much memory grows a second: the line with the least squares."""
    if len(samples) < 2:
        return 0
    middle = sum(passed for passed, _ in samples) / len(samples)
    mean = sum(size for _, size in samples) / len(samples)
    return sum((passed - middle) * (size - mean) for passed, size in samples) / sum(
        (passed - middle) ** 2 for passed, _ in samples
    )


def resident() -> int:
    """Return how many bytes of memory this process has."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def count_descriptors() -> int:
    """Return how many descriptors are open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


if __name__ == "__main__":
    sys.exit(main())
