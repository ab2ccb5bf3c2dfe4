"""What `call_soon_threadsafe` gives: from Python 3.14 on, other threads that cancel a callback wait while it runs."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from loops import not_on

if TYPE_CHECKING:
    from collections.abc import Callable

    NewLoop = Callable[[], asyncio.AbstractEventLoop]

IS_SYNCHRONISED = sys.version_info >= (3, 14)
synchronised = pytest.mark.skipif(not IS_SYNCHRONISED, reason="handles are synchronised from Python 3.14 on")
# uvloop gives the same handles as `call_soon` does.
pytestmark = [not_on("uvloop", reason="has no handles of this kind")]


class Running:
    """A callback that runs until it is told to end, on a loop in a thread of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin."""
        self.loop = loop
        self.began = threading.Event()
        self.may_end = threading.Event()
        self.has_ended = False
        self.handle = loop.call_soon_threadsafe(self.callback)
        self.thread = threading.Thread(target=loop.run_forever)
        self.thread.start()
        assert self.began.wait(5)

    def callback(self) -> None:
        """Run for a while."""
        self.began.set()
        assert self.may_end.wait(5)
        self.has_ended = True

    def end_soon(self) -> None:
        """Let the callback end, a little later."""
        threading.Timer(0.05, self.may_end.set).start()

    def close(self) -> None:
        """Clear up."""
        self.may_end.set()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.mark.parametrize("debug", [False, True])
@synchronised
def test_cancelling_from_another_thread_waits_until_the_callback_has_run(new_loop: NewLoop, *, debug: bool) -> None:
    loop = new_loop()
    loop.set_debug(debug)
    running = Running(loop)
    try:
        running.end_soon()
        running.handle.cancel()
        assert running.has_ended
        assert running.handle.cancelled()
    finally:
        running.close()


@synchronised
def test_asking_from_another_thread_waits_until_the_callback_has_run(new_loop: NewLoop) -> None:
    running = Running(new_loop())
    try:
        running.end_soon()
        assert not running.handle.cancelled()
        assert running.has_ended
    finally:
        running.close()


@synchronised
def test_all_threads_that_wait_go_on(new_loop: NewLoop) -> None:
    running = Running(new_loop())
    seen: list[bool] = []

    def cancel() -> None:
        running.handle.cancel()
        seen.append(running.has_ended)

    threads = [threading.Thread(target=cancel) for _ in range(8)]
    try:
        for thread in threads:
            thread.start()
        running.end_soon()
        for thread in threads:
            thread.join(5)
        assert seen == [True] * 8
    finally:
        running.close()


@synchronised
def test_who_waits_for_a_callback_that_raises_goes_on(new_loop: NewLoop) -> None:
    loop = new_loop()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: complaints.append(context))
    running = Running(loop)
    fails = threading.Event()
    began = threading.Event()

    def fail() -> None:
        began.set()
        assert fails.wait(5)
        raise ZeroDivisionError

    handle = loop.call_soon_threadsafe(fail)
    running.may_end.set()
    try:
        assert began.wait(5)
        threading.Timer(0.05, fails.set).start()
        handle.cancel()
        assert [type(context["exception"]) for context in complaints] == [ZeroDivisionError]
    finally:
        running.close()


@synchronised
def test_who_waits_for_a_callback_that_ends_the_loop_goes_on(new_loop: NewLoop) -> None:
    loop = new_loop()
    began = threading.Event()
    cancelled = threading.Event()
    handles: list[asyncio.Handle] = []

    def leave() -> None:
        began.set()
        time.sleep(0.05)
        raise SystemExit

    def cancel() -> None:
        assert began.wait(5)
        handles[0].cancel()
        cancelled.set()

    handles.append(loop.call_soon_threadsafe(leave))
    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(SystemExit):
        loop.run_forever()
    assert cancelled.wait(5)
    thread.join()
    loop.close()


@pytest.mark.parametrize("debug", [False, True])
def test_a_callback_may_cancel_itself(new_loop: NewLoop, *, debug: bool) -> None:
    loop = new_loop()
    loop.set_debug(debug)
    seen: list[bool] = []

    def callback() -> None:
        seen.append(handle.cancelled())
        handle.cancel()
        seen.append(handle.cancelled())
        loop.stop()

    handle = loop.call_soon_threadsafe(callback)
    loop.run_forever()
    loop.close()
    assert seen == [False, True]


def test_other_callbacks_do_not_wait_for_one_that_runs(new_loop: NewLoop) -> None:
    running = Running(new_loop())
    called: list[str] = []
    try:
        never = running.loop.call_soon_threadsafe(called.append, "never")
        soon = running.loop.call_soon_threadsafe(called.append, "soon")
        never.cancel()
        assert never.cancelled()
        assert not soon.cancelled()
        assert not running.has_ended
    finally:
        running.close()
    assert called == ["soon"]


@synchronised
def test_the_main_thread_can_be_interrupted_while_it_waits(new_loop: NewLoop) -> None:
    running = Running(new_loop())

    def interrupt(_signal: int, _frame: object) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(InterruptedError):
            running.handle.cancel()
        assert not running.has_ended
        running.end_soon()
        assert not running.handle.cancelled()
        assert running.has_ended
    finally:
        signal.signal(signal.SIGALRM, before)
        running.close()


def test_its_class_is_the_one_of_asyncio(new_loop: NewLoop) -> None:
    loop = new_loop()
    # Which would show where they were made.
    loop.set_debug(False)
    handle = loop.call_soon_threadsafe(print)
    other = loop.call_soon(print)
    kind: Any = getattr(asyncio.events, "_ThreadSafeHandle", asyncio.Handle)
    assert isinstance(handle, asyncio.Handle)
    assert isinstance(handle, kind)
    assert handle.__class__ is kind
    assert isinstance(other, kind) is not IS_SYNCHRONISED
    assert repr(handle) == f"<{kind.__name__} print()>"
    handle.cancel()
    assert repr(handle) == f"<{kind.__name__} cancelled>"
    loop.close()
