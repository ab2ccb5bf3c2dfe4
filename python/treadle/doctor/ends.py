"""Tasks that the end of a program ends.

When the main coroutine is done, :func:`asyncio.run` cancels what is left. For a heartbeat, a server, a worker at its
queue that is right. What surely is not: a task that was started and has not made a single step, so that nothing of what
it was started for is done. What probably is not: one that nobody holds, in the middle of something finite.
"""

import asyncio
import gc
import sys
import weakref
from collections.abc import Iterator
from types import CoroutineType, FrameType
from typing import Any, NamedTuple

from treadle import _native
from treadle.doctor import bytecode, chains, places

_MOST = 1000

# Who waits in these goes on by itself.
_sleep0: Any = vars(asyncio.tasks)["__sleep0"]
_FINITE = (asyncio.sleep.__code__, _sleep0.__code__, asyncio.to_thread.__code__)


class _Left(NamedTuple):
    task: "weakref.ref[asyncio.Task[Any]]"
    what: str


class Ends:
    """What is left over in loops that have stopped."""

    def __init__(self) -> None:
        """Nothing is left over yet."""
        self._left: dict[int, list[_Left]] = {}

    def loop_stopped(self, event_loop: asyncio.AbstractEventLoop) -> None:
        """Remember the tasks whose end would be a loss, if the main coroutine has ended well."""
        self._left.pop(id(event_loop), None)
        main = _main(sys._getframe())
        if main is None or not main.done() or main.cancelled() or main._exception is not None:
            return
        tasks = asyncio.all_tasks(event_loop)
        if len(tasks) <= _MOST:
            self._left[id(event_loop)] = list(_losses(tasks, main))

    def loop_started(self, event_loop: asyncio.AbstractEventLoop) -> None:
        """Tell of those that were cancelled meanwhile; the others go on."""
        for left in self._left.pop(id(event_loop), ()):
            task = left.task()
            if task is not None and not task.done() and task.cancelling():
                _tell(left.what, task)

    def loop_closed(self, event_loop: asyncio.AbstractEventLoop) -> None:
        """Tell of those that will never go on."""
        for left in self._left.pop(id(event_loop), ()):
            task = left.task()
            if task is not None and not task.done():
                _tell(left.what, task)


def name_of(task: Any) -> str:
    """Return what a task does: the name of its coroutine."""
    coroutine = task.get_coro() if hasattr(task, "get_coro") else None
    return getattr(coroutine, "__qualname__", None) or type(coroutine if coroutine is not None else task).__name__


def _tell(what: str, task: "asyncio.Task[Any]") -> None:
    _native.tell(what, name_of(task), None, [], address=id(task), size=0)


def _main(frame: FrameType | None) -> Any:
    """Return what ``run_until_complete`` was called with, whose frame is among those that run."""
    code = asyncio.BaseEventLoop.run_until_complete.__code__
    while frame is not None:
        if frame.f_code is code:
            return frame.f_locals.get("future")
        frame = frame.f_back
    return None


def _losses(tasks: "set[asyncio.Task[Any]]", main: object) -> Iterator[_Left]:
    nothing = object()
    for task in [task for task in tasks if task is not main]:
        coroutine = task.get_coro()
        if task.cancelling() or not isinstance(coroutine, CoroutineType):
            continue
        if places.owner(coroutine.cr_code.co_filename) is not None:
            continue
        if _is_new(coroutine):
            yield _Left(weakref.ref(task), "task-never-began")
        elif _is_finite(task) and sys.getrefcount(task) - sys.getrefcount(nothing) <= 3 + _waiter_holds(task):
            yield _Left(weakref.ref(task), "task-cut-off")


def _waiter_holds(task: Any) -> bool:
    """Return whether what a task waits for knows it, beside calling it: so from Python 3.14 on."""
    return any(one is task for one in gc.get_referents(task._fut_waiter))


def _is_new(coroutine: "CoroutineType[Any, Any, Any]") -> bool:
    """Return whether a coroutine has not begun."""
    return coroutine.cr_frame is not None and not coroutine.cr_suspended and not coroutine.cr_running


def _is_finite(task: "asyncio.Task[Any]") -> bool:
    """Return whether a task sleeps or waits for a thread, and no ``while`` or ``for`` of the program's is around that.

    Such a task is held by the set and the list that it is in here, and by what it waits for; whoever else holds it
    knows of it.
    """
    leaf = None
    for inner in chains.suspended(task):
        leaf = frame = chains.frame_of(inner)
        if frame is None:
            return False
        if places.owner(frame.f_code.co_filename) != "python" and bytecode.is_in_loop(frame.f_code, frame.f_lasti):
            return False
    if leaf is None:
        return False
    return leaf.f_code in _FINITE
