"""In which order callbacks run: random programs against a model of what the loop does."""

from __future__ import annotations

import asyncio
import collections
import contextvars
import os
import random
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from connections import is_treadle, reported, running, sockets
from loops import not_on

if TYPE_CHECKING:
    from connections import NewLoop


SEEDS = range(12)
LAST_WORD = contextvars.ContextVar("LAST_WORD", default="nothing")


class Program:
    """A random program: what callbacks do is drawn before they run, so that all loops and the model run the same."""

    def __init__(self, seed: int, *, stops: bool = False) -> None:
        """Draw the program."""
        draw = random.Random(seed)  # noqa: S311 -- the same one each time is the point.
        kinds = ["soon", "soon", "soon", "cancel", "in context"] + ["stop"] * stops
        self.steps: dict[int, list[tuple[str, int]]] = {}
        size = 60
        unused = iter(range(1, size))
        for callback in range(size):
            operations = []
            for _ in range(draw.choice([0, 1, 1, 2, 3])):
                kind = draw.choice(kinds)
                target = draw.randrange(size) if kind in ("cancel", "stop") else next(unused, 0)
                if target or kind in ("cancel", "stop"):
                    operations.append((kind, target))
            self.steps[callback] = operations
        # What nobody has drawn starts at once, so that everything runs.
        self.roots = [0, *unused]


class Model:
    """Runs a program as the documentation of asyncio has it."""

    def __init__(self, program: Program) -> None:
        """Schedule the program's beginning."""
        self.program = program
        self.trace: list[Any] = []
        self.ready: collections.deque[tuple[int, dict[str, Any]]] = collections.deque()
        self.cancelled: set[int] = set()
        self.shared: dict[str, Any] = {"word": "shared"}
        for root in program.roots:
            self.ready.append((root, {"word": "nothing"}))

    def run(self) -> list[Any]:
        """Run the program to its end, and return what was called in which context."""
        while self.ready:
            stopped = False
            for _ in range(len(self.ready)):
                callback, context = self.ready.popleft()
                if callback not in self.cancelled:
                    stopped |= self.step(callback, context)
            if stopped:
                self.trace.append("stopped")
        return self.trace

    def step(self, callback: int, context: dict[str, Any]) -> bool:
        """Run one callback; return whether it has stopped the loop."""
        self.trace.append((callback, context["word"]))
        context["word"] = str(callback)
        stopped = False
        for kind, target in self.program.steps[callback]:
            if kind == "stop":
                stopped = True
            elif kind == "cancel":
                self.cancelled.add(target)
            else:
                self.cancelled.discard(target)
                self.ready.append((target, self.shared if kind == "in context" else dict(context)))
        return stopped


class Subject:
    """Runs a program on a loop."""

    def __init__(self, program: Program, loop: asyncio.AbstractEventLoop) -> None:
        """Schedule the program's beginning."""
        self.program = program
        self.loop = loop
        self.trace: list[Any] = []
        self.handles: dict[int, asyncio.Handle] = {}
        self.shared = contextvars.copy_context()
        self.shared.run(LAST_WORD.set, "shared")
        for root in program.roots:
            self.handles[root] = loop.call_soon(self.step, root)

    def run(self) -> list[Any]:
        """Run until nothing is left."""
        while any(not handle.cancelled() for handle in self.handles.values()):
            idle = self.loop.call_soon(self.stop_when_idle)
            self.stopped = False
            self.loop.run_forever()
            idle.cancel()
            if self.stopped:
                self.trace.append("stopped")
        return self.trace

    def stop_when_idle(self) -> None:
        """Come back in each turn until all is done."""
        if any(not handle.cancelled() for handle in self.handles.values()):
            self.loop.call_soon(self.stop_when_idle)
        else:
            self.loop.stop()

    def step(self, callback: int) -> None:
        """Do what the program says."""
        self.trace.append((callback, LAST_WORD.get()))
        LAST_WORD.set(str(callback))
        del self.handles[callback]
        for kind, target in self.program.steps[callback]:
            if kind == "stop":
                self.stopped = True
                self.loop.stop()
            elif kind == "cancel":
                if target in self.handles:
                    self.handles[target].cancel()
            elif kind == "in context":
                self.handles[target] = self.loop.call_soon(self.step, target, context=self.shared)
            else:
                self.handles[target] = self.loop.call_soon(self.step, target)


@pytest.mark.parametrize("seed", SEEDS)
def test_callbacks_run_first_in_first_out_each_in_its_context(new_loop: NewLoop, seed: int) -> None:
    program = Program(seed)
    with running(new_loop) as loop:
        assert Subject(program, loop).run() == Model(program).run()


@not_on("uvloop", reason="stops a turn later")
@pytest.mark.parametrize("seed", SEEDS)
def test_stop_lets_the_rest_of_the_turn_run_and_nothing_more(new_loop: NewLoop, seed: int) -> None:
    program = Program(seed, stops=True)
    with running(new_loop) as loop:
        assert Subject(program, loop).run() == Model(program).run()


@not_on("uvloop", reason="stops a turn later")
def test_stop_before_running_runs_one_turn(new_loop: NewLoop) -> None:
    trace: list[int] = []
    with running(new_loop) as loop:

        def first() -> None:
            trace.append(1)
            loop.call_soon(trace.append, 3)

        loop.call_soon(first)
        loop.call_soon(trace.append, 2)
        loop.stop()
        loop.run_forever()
        assert trace == [1, 2]
        loop.stop()
        loop.run_forever()
        assert trace == [1, 2, 3]


def test_callback_may_cancel_what_is_due_in_the_same_turn_and_itself(new_loop: NewLoop) -> None:
    trace: list[int] = []
    handles: list[asyncio.Handle] = []

    def first() -> None:
        trace.append(1)
        for handle in handles:
            handle.cancel()
            handle.cancel()

    with running(new_loop) as loop:
        handles += [loop.call_soon(first), loop.call_soon(trace.append, 2), loop.call_at(0, trace.append, 3)]
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.call_soon(loop.stop)
        loop.run_forever()
    assert trace == [1]
    assert all(handle.cancelled() for handle in handles)


def run_timers(loop: asyncio.AbstractEventLoop, timers: dict[int, asyncio.TimerHandle]) -> None:
    """Run until none is left."""

    def look() -> None:
        if timers:
            loop.call_later(0.0005, look)
        else:
            loop.stop()

    look()
    loop.run_forever()


@not_on("uvloop", reason="rounds to milliseconds: uvloop #739")
@pytest.mark.parametrize("seed", SEEDS)
def test_timers_run_in_order_of_time_and_never_early(new_loop: NewLoop, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311
    # asyncio takes what is due within one tick of the clock.
    tick = 0 if is_treadle(new_loop) else time.get_clock_info("monotonic").resolution
    fired: list[float] = []
    timers: dict[int, asyncio.TimerHandle] = {}
    with running(new_loop) as loop:

        def fire(number: int) -> None:
            handle = timers.pop(number)
            assert loop.time() + tick >= handle.when()
            fired.append(handle.when())

        start = loop.time() + 0.002
        for number in range(100):
            when = start + draw.uniform(-0.002, 0.003)
            timers[number] = loop.call_at(when, fire, number)
            assert timers[number].when() == when
        run_timers(loop, timers)
    assert fired == sorted(fired)


@not_on("asyncio", "uvloop", reason="a heap of times does not keep the order of equals")
@pytest.mark.parametrize("past", [True, False])
def test_timers_of_the_same_time_run_in_order_of_scheduling(new_loop: NewLoop, past: bool) -> None:  # noqa: FBT001
    fired: list[int] = []
    with running(new_loop) as loop:
        when = loop.time() + (-1 if past else 0.001)
        for number in range(100):
            loop.call_at(when, fired.append, number)
        loop.call_at(when, loop.stop)
        loop.run_forever()
    assert fired == list(range(100))


@pytest.mark.parametrize("seed", SEEDS)
def test_cancelled_timer_never_fires_and_the_others_fire_once(new_loop: NewLoop, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311
    fired: collections.Counter[int] = collections.Counter()
    cancelled: set[int] = set()
    timers: dict[int, asyncio.TimerHandle] = {}
    count = 400
    with running(new_loop) as loop:

        def fire(number: int) -> None:
            assert number not in cancelled
            fired[number] += 1
            del timers[number]
            for _ in range(draw.randrange(4)):
                cancel(draw.randrange(count))

        def cancel(number: int) -> None:
            if number in timers:
                timers.pop(number).cancel()
                cancelled.add(number)

        for number in range(count):
            timers[number] = loop.call_later(draw.uniform(-0.001, 0.004), fire, number)
        # More than half are cancelled at once, so that loops which sweep them out do.
        for number in draw.sample(range(count), draw.choice([10, 250])):
            cancel(number)
        run_timers(loop, timers)
    assert set(fired) | cancelled == set(range(count))
    assert set(fired.values()) <= {1}


@not_on("uvloop", reason="gives a plain handle: uvloop #233")
@pytest.mark.parametrize("delay", [0, -1, 0.0, -1e300])
def test_delays_of_nothing_or_less_are_due_at_once(new_loop: NewLoop, delay: float) -> None:
    with running(new_loop) as loop:
        handle = loop.call_later(delay, loop.stop)
        assert isinstance(handle, asyncio.TimerHandle)
        loop.run_forever()


@pytest.mark.parametrize("delay", [1e9, 1e18, 1e300, float("inf")])
@not_on("uvloop", "asyncio", reason="limit the time")
def test_far_future_never_comes_and_keeps_nothing_from_running(new_loop: NewLoop, delay: float) -> None:
    trace: list[int] = []
    with running(new_loop) as loop:
        far = loop.call_later(delay, trace.append, 1)
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        far.cancel()
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
    assert not trace


def test_each_threads_callbacks_keep_their_order_and_wake_the_loop(new_loop: NewLoop) -> None:
    threads, count = 4, 300
    seen: dict[int, list[int]] = {number: [] for number in range(threads)}
    with running(new_loop) as loop:
        left = threads * count

        def arrive(thread: int, number: int) -> None:
            nonlocal left
            seen[thread].append(number)
            left -= 1
            if not left:
                loop.stop()

        def send(thread: int) -> None:
            for number in range(count):
                loop.call_soon_threadsafe(arrive, thread, number)
                if number % 50 == 0:
                    # The loop has time to fall asleep.
                    time.sleep(0.0005)

        workers = [threading.Thread(target=send, args=(thread,)) for thread in range(threads)]
        for worker in workers:
            worker.start()
        loop.run_forever()
        for worker in workers:
            worker.join()
    assert all(order == list(range(count)) for order in seen.values())


def test_other_threads_get_a_turn_while_callbacks_follow_each_other(new_loop: NewLoop) -> None:
    with running(new_loop) as loop:
        turns: list[None] = []

        def spin() -> None:
            turns.append(None)
            loop.call_soon(spin)

        loop.call_soon(spin)
        thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(loop.stop))
        thread.start()
        loop.run_forever()
        thread.join()


@pytest.mark.parametrize("what", ["timer", "reader", "signal"])
def test_busy_loop_still_looks_at_the_system(new_loop: NewLoop, what: str) -> None:
    near, far = sockets()
    with running(new_loop) as loop:

        def spin() -> None:
            loop.call_soon(spin)

        loop.call_soon(spin)
        if what == "timer":
            loop.call_later(0.001, loop.stop)
        elif what == "reader":
            loop.add_reader(near, loop.stop)
            far.send(b"x")
        else:
            loop.add_signal_handler(signal.SIGUSR1, loop.stop)
            loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
        loop.run_forever()
        if what == "reader":
            loop.remove_reader(near)
    near.close()
    far.close()


@not_on("uvloop", reason="asks the system first")
def test_callbacks_that_are_ready_come_before_what_arrives_after_them(new_loop: NewLoop) -> None:
    near, far = sockets()
    draw = random.Random(1)  # noqa: S311
    sent, followed, followed_then, arrived = 0, 0, 0, 0
    with running(new_loop) as loop, far:

        class Arrivals(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                nonlocal arrived
                arrived += len(data)
                assert followed >= followed_then

        def send() -> None:
            nonlocal sent, followed_then
            loop.call_soon(follow)
            # A busy loop asks the system now and then, so some of these come right before that.
            time.sleep(0.00002)
            if sent == arrived and draw.randrange(8) == 0:
                followed_then = followed + 1
                sent += far.send(b"x")

        def follow() -> None:
            nonlocal followed
            followed += 1
            if arrived < 100 and not failures:
                loop.call_soon(draw.choice([send, lambda: loop.call_soon(send)]))
            else:
                transport.close()
                loop.stop()

        failures = reported(loop)
        transport, _ = loop.run_until_complete(loop.create_connection(Arrivals, sock=near))
        loop.call_soon(send)
        loop.run_forever()
        loop.run_until_complete(asyncio.sleep(0))
    assert not failures


def test_futures_wake_their_tasks_in_order(new_loop: NewLoop) -> None:
    order: list[int] = []

    async def main() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def wait(number: int) -> None:
            await future
            order.append(number)

        tasks = [asyncio.ensure_future(wait(number)) for number in range(50)]
        await asyncio.sleep(0)
        future.set_result(None)
        await asyncio.gather(*tasks)

    with running(new_loop) as loop:
        loop.run_until_complete(main())
    assert order == list(range(50))
