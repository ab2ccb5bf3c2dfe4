"""An audit: whatever a program does, and wherever it is cancelled, no descriptor, object or memory is left behind.

``TREADLE_AUDIT_SEEDS=500`` plays that many random mixtures, for as long as one has patience.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import gc
import os
import random
import tracemalloc
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import scenarios
from connections import reported
from loops import at_each_step, cancelled_at, not_on, run, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connections import NewLoop
    from scenarios import Scenario

pytestmark = not_on("uvloop", reason="is asyncio, or leaks: uvloop #738")

SEEDS = range(int(os.environ.get("TREADLE_AUDIT_SEEDS", "6")))

# What must not stay behind. Classes that tests of other parts use are named with their module.
KINDS = ("Transport", "Protocol", "Handle", "Server", "Task", "socket", "Recorder", "Echo", "SSLObject", "EventLoop")


def open_descriptors() -> dict[str, str]:
    """Return the open descriptors and what they are."""
    found = {}
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with contextlib.suppress(OSError):
            found[number] = os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115
    return {number: name for number, name in found.items() if not name.startswith("/proc/")}


def objects() -> collections.Counter[str]:
    """Count the objects of a loop that are alive."""
    gc.collect()
    gc.collect()
    counts: collections.Counter[str] = collections.Counter()
    for one in gc.get_objects():
        name = type(one).__name__
        if name.endswith(KINDS) and type(one).__module__ not in ("threading", "_thread"):
            counts[name] += 1
    return counts


@contextlib.contextmanager
def audit(new_loop: NewLoop) -> Iterator[None]:
    """Check that descriptors and objects are those from before, and that nothing complained."""
    run(new_loop, warm_up())
    objects_before = objects()
    before = open_descriptors()
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always", ResourceWarning)
        yield
        left = objects() - objects_before
    assert not left
    assert open_descriptors() == before
    assert [str(one.message) for one in complaints if issubclass(one.category, ResourceWarning)] == []


async def warm_up() -> None:
    """Do everything once, for what is made once and stays."""
    for scenario in scenarios.ALL:
        await scenario()
    await settle()


async def settle() -> None:
    """Wait until all that was ended has ended."""
    this = asyncio.current_task()
    for _ in range(5):
        await asyncio.sleep(0)
    await until(lambda: asyncio.all_tasks() == {this})
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("scenario", scenarios.QUICK, ids=lambda scenario: scenario.__name__)
def test_cancelling_at_any_step_leaves_nothing_behind(new_loop: NewLoop, scenario: Scenario, times: int) -> None:
    if new_loop is asyncio.SelectorEventLoop and scenario in scenarios.FORGETFUL:
        pytest.skip("asyncio forgets the server")

    async def main() -> None:
        failures = reported(asyncio.get_running_loop())
        before = open_descriptors()
        steps = 0
        # Those that wait by turning the loop suspend as often as that takes.
        while steps < 60:
            cancelled = range(steps, steps + times)
            try:
                await cancelled_at(start(scenario), *cancelled)
            except asyncio.CancelledError:
                steps += 1
            else:
                if steps:
                    break
                steps += 1
            await settle()
            await until(lambda: open_descriptors() == before)
        await settle()
        assert not failures

    with audit(new_loop):
        run(new_loop, main())


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("busy", [False, True], ids=["child ends", "child runs a loop"])
@pytest.mark.parametrize("scenario", scenarios.QUICK, ids=lambda scenario: scenario.__name__)
def test_forking_at_any_step_disturbs_nobody(new_loop: NewLoop, scenario: Scenario, busy: bool) -> None:  # noqa: FBT001
    codes: list[int] = []

    def fork(step: int) -> None:
        # Each takes some milliseconds, and those that wait by turning the loop suspend as often as that takes.
        if step < (3 if busy else 15):
            codes.append(fork_child(new_loop if busy else None))

    async def main() -> None:
        failures = reported(asyncio.get_running_loop())
        await at_each_step(start(scenario), fork)
        await settle()
        assert not failures

    with audit(new_loop):
        run(new_loop, main())
    assert not any(codes)


def fork_child(new_loop: NewLoop | None) -> int:
    """Fork; the child ends at once, or after it has used a loop of its own. Returns the child's exit code."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        if new_loop is not None:
            gc.collect()
            run(new_loop, scenarios.timers_and_tasks())
            run(new_loop, scenarios.connect_with_socket())
        code = 0
    finally:
        os._exit(code)


async def start(scenario: Scenario) -> None:
    """Run it."""
    await scenario()


@not_on("asyncio", reason="forgets servers whose makers were cancelled")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("seed", SEEDS)
def test_random_mixture_leaves_nothing_behind(new_loop: NewLoop, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311
    kinds = scenarios.QUICK

    async def main() -> None:
        failures = reported(asyncio.get_running_loop())
        before = open_descriptors()
        running: list[asyncio.Task[Any]] = []
        for _ in range(1500):
            what = draw.randrange(10)
            if what < 3 and len(running) < 20:
                running.append(asyncio.ensure_future(start(draw.choice(kinds))))
            elif what < 5 and running:
                running.pop(draw.randrange(len(running))).cancel()
            elif what == 5:
                fork()
            else:
                await asyncio.sleep(0)
            running = [task for task in running if not task.done()]
        for task in running:
            if draw.randrange(2):
                task.cancel()
        await asyncio.wait([*running, asyncio.ensure_future(asyncio.sleep(0))], timeout=5)
        await settle()
        await until(lambda: open_descriptors() == before)
        assert not [failure for failure in failures if "was never retrieved" not in failure["message"]]

    def fork() -> None:
        if draw.randrange(30) == 0:
            assert fork_child(draw.choice([None, new_loop])) == 0

    with audit(new_loop):
        run(new_loop, main())


def test_memory_is_flat_however_often_everything_is_done(new_loop: NewLoop) -> None:
    async def rounds(count: int) -> None:
        for _ in range(count):
            await asyncio.gather(*(scenario() for scenario in scenarios.QUICK))
        await settle()

    # The debug mode remembers where everything was made.
    with asyncio.Runner(debug=False, loop_factory=new_loop) as runner:
        runner.run(rounds(5))
        tracemalloc.start()
        try:
            runner.run(rounds(3))
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            runner.run(rounds(10))
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # Interpreters keep some kilobytes of free objects; a thing of two kilobytes forgotten in each round would be seen.
    assert after - before < 20_000
