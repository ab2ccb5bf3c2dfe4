"""What the loop tells of: tasks that failed, that were cancelled, and loops that begin and end.

Objects are looked at, and never kept: what is to be looked at again later is known by a weak reference. What a task's
exception says is never told, only its class and the line.
"""

import asyncio
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import CodeType
from typing import Any

from treadle import _native
from treadle.doctor import bytecode, chains, ends, owners, places, pools

# Things that are to be looked at again; more than these are forgotten.
_WAITING = 1000
_PATIENCE = 1.0
# How often something is looked at again before it is given up.
_LOOKS = 60

_Task = asyncio.Task[Any]

# What a `gather` runs when one of its tasks has ended, and where in its closure there is what it knows.
gathered: CodeType = next(
    one for one in asyncio.gather.__code__.co_consts if isinstance(one, CodeType) and one.co_name == "_done_callback"
)
_CELLS = [gathered.co_freevars.index(name) for name in ("children", "outer", "return_exceptions")]
_Look = Callable[[], bool]


class Ear:
    """Who the loop tells. A method returns nothing; exceptions are dropped by who calls."""

    def __init__(self) -> None:
        """Nothing was told yet."""
        self._later: dict[int, deque[tuple[float, int, _Look]]] = {}
        self._coming: dict[int, list[tuple[weakref.ref[Any], Any, int]]] = {}
        self._told: set[int] = set()
        self._gather: tuple[weakref.ref[Any] | None, bool] = None, False
        self._ends = ends.Ends()
        self._pools = pools.Pools()

    # Of a task that was cancelled.

    def cancel_coming(self, task: _Task) -> None:
        """Remember where a task waits that is about to be told of its cancellation."""
        self._coming.clear()
        if id(task) in self._told or not _is_undelivered(task):
            return
        chain = []
        for inner in chains.suspended(task):
            frame = chains.frame_of(inner)
            if frame is not None:
                chain.append((weakref.ref(inner), frame.f_code, frame.f_lasti))
        self._coming[id(task)] = chain

    def cancel_stayed(self, event_loop: asyncio.AbstractEventLoop, task: _Task) -> None:
        """Look at a task that was told of its cancellation and goes on."""
        chain = self._coming.pop(id(task), None)
        if chain is None:
            return
        place = _swallower(chain)
        if place is None:
            return
        count, known = task.cancelling(), weakref.ref(task)
        del task

        def look() -> bool:
            task = known()
            if task is None or task.done() or task.cancelling() < count:
                return False
            if chains.is_handling_cancel(task):
                return True
            if id(task) not in self._told:
                self._tell_task("cancel-swallowed", task, place, _parked(task))
                self._remember(task)
            return False

        self._look_later(event_loop, look)

    def cancel_answered(self, task: _Task) -> None:
        """Tell of a task that was cancelled and has answered with a value."""
        chain = self._coming.pop(id(task), None)
        if chain is None or _result(task) is None:
            return
        place = _swallower(chain, ended=True)
        if place is not None:
            self._tell_task("cancel-answered", task, place, [])

    # Of exceptions.

    def task_failed(self, event_loop: asyncio.AbstractEventLoop, task: _Task) -> None:
        """Look later whether anybody has seen the exception of a task, and now at what it has left behind."""
        exception = getattr(task, "_exception", None)
        kept = None if exception is None else owners.lost(exception)
        if kept is not None:
            self._tell_task("permit-lost", task, kept, [places.class_name(exception)])
        del exception
        if len(self._later.get(id(event_loop), ())) < _WAITING:
            self._look_later(event_loop, partial(self._look_at_failed, event_loop, weakref.ref(task)))

    def _look_at_failed(self, event_loop: asyncio.AbstractEventLoop, known: "weakref.ref[_Task]") -> bool:
        """Tell of a task whose exception nobody has seen; return whether to look again."""
        task: Any = known()
        if task is None or not _is_unseen(task) or id(task) in self._told:
            return False
        if _ends_program(task._exception):
            return False
        if event_loop_is_running(event_loop) and chains.is_held_by_frames(task, asyncio.all_tasks(event_loop)):
            return True
        self._remember(task)
        place, name = places.of_exception(task._exception), places.class_name(task._exception)
        self._tell_task("exception-unseen", task, place, [name])
        return False

    def gathered(self, handle: asyncio.Handle) -> None:
        """Look at a failure that a ``gather`` is about to be told of."""
        callback: Any = handle._callback  # type: ignore[attr-defined]
        task: Any = handle._args[0]
        if task.cancelled() or _cancelling(task):
            return
        children, outer, collects = (callback.__closure__[at].cell_contents for at in _CELLS)
        exception = task._exception
        if outer is None:
            return
        if not collects:
            first = getattr(outer, "_exception", None) if outer.done() else None
            if first is None or first is exception:
                return
            place = places.of_exception(exception)
            if type(first) is not type(exception) or places.of_exception(first) != place:
                self._tell_task("exception-in-gather", task, place, [places.class_name(exception)])
        elif not outer.done() and self._is_lost(outer, children):
            self._tell_task(
                "exception-in-results", task, places.of_exception(exception), [places.class_name(exception)]
            )

    def _is_lost(self, outer: Any, children: list[Any]) -> bool:
        """Return whether nobody will look at the results of a ``gather``; remembered for the tasks that fail next."""
        known, answer = self._gather
        if known is None or known() is not outer:
            answer = _is_result_dropped(outer) and not any(_cancelling(child) for child in children)
            self._gather = weakref.ref(outer), answer
        return answer

    def unretrieved(self, task: Any, exception: BaseException) -> None:
        """Tell of a task or future that was thrown away with an exception."""
        if id(task) in self._told:
            self._told.discard(id(task))
            return
        if _ends_program(exception):
            return
        place, name = places.of_exception(exception), places.class_name(exception)
        self._tell_task("exception-never-retrieved", task, place, [name])

    def destroyed(self, event_loop: asyncio.AbstractEventLoop, task: Any) -> None:
        """Tell of a task that was thrown away before it had ended."""
        if event_loop_is_running(event_loop):
            self._tell_task("task-destroyed", task, None, [])

    # Of executors.

    def handed_over(self, event_loop: asyncio.AbstractEventLoop, executor: Any) -> None:
        """Look later at an executor that has got a job."""
        pool = executor if executor is not None else vars(event_loop).get("_default_executor")
        if isinstance(pool, ThreadPoolExecutor) and self._pools.is_new(pool):
            self._look_later(event_loop, partial(self._look_at_pool, weakref.ref(pool), {}))

    def _look_at_pool(self, known: "weakref.ref[ThreadPoolExecutor]", before: dict[int, tuple[int, int]]) -> bool:
        """Tell of an executor whose threads wait for its own jobs, as they did before; return whether to look again."""
        pool = known()
        if pool is None:
            return False
        if not pools.is_busy(pool):
            self._pools.forget(pool)
            return False
        now, place = pools.stand(pool)
        if now and now == before:
            _native.tell("jobs-entangled", "", place, [], address=id(pool), size=0)
            return False
        before.clear()
        before.update(now)
        return True

    # Of loops.

    def loop_started(self, event_loop: asyncio.AbstractEventLoop) -> None:
        """Look at what was left over when it stopped."""
        self._ends.loop_started(event_loop)

    def loop_stopped(self, event_loop: asyncio.AbstractEventLoop) -> None:
        """Remember what is left over."""
        self._ends.loop_stopped(event_loop)

    def loop_closed(self, event_loop: asyncio.AbstractEventLoop) -> None:
        """Look at what is left over."""
        self._ends.loop_closed(event_loop)
        self._look(event_loop, until=None)
        self._later.pop(id(event_loop), None)

    def inspect(self, event_loop: asyncio.AbstractEventLoop) -> int:
        """Look at what it is time to look at; return in how many nanoseconds there will be more, or 0."""
        self._look(event_loop, until=time.monotonic())
        later = self._later.get(id(event_loop))
        return max(int((later[0][0] - time.monotonic()) * 1e9), 1) if later else 0

    def finish(self) -> None:
        """Look at everything a last time."""
        for later in self._later.values():
            for _, _, look in later:
                look()
        self._later.clear()

    def _look(self, event_loop: asyncio.AbstractEventLoop, until: float | None) -> None:
        later = self._later.get(id(event_loop))
        again = []
        while later and (until is None or later[0][0] <= until):
            _, count, look = later.popleft()
            if look() and until is not None and count < _LOOKS:
                again.append((until + _PATIENCE, count + 1, look))
        if later is not None:
            later.extend(again)

    def _look_later(self, event_loop: asyncio.AbstractEventLoop, look: _Look) -> None:
        later = self._later.setdefault(id(event_loop), deque())
        if len(later) < _WAITING:
            later.append((time.monotonic() + _PATIENCE, 0, look))

    def _remember(self, task: _Task) -> None:
        """Do not tell of this task again. Its address may become another's, of which one word less is then said."""
        if len(self._told) >= _WAITING:
            self._told.clear()
        self._told.add(id(task))

    def _tell_task(self, what: str, task: Any, place: places.Place | None, details: list[str]) -> None:
        _native.tell(what, ends.name_of(task), place, details, address=id(task), size=0)


def event_loop_is_running(event_loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether a loop runs, which one that is closed does not."""
    return not event_loop.is_closed() and event_loop.is_running()


def _is_unseen(task: Any) -> bool:
    return bool(getattr(task, "_log_traceback", False)) and not getattr(task, "_callbacks", None)


def _ends_program(exception: object) -> bool:
    """Return whether an exception is meant for the program as a whole: the loop has raised it already, or raises it."""
    if isinstance(exception, BaseExceptionGroup):
        return all(_ends_program(inner) for inner in exception.exceptions)
    return isinstance(exception, (SystemExit, KeyboardInterrupt))


def _cancelling(task: Any) -> int:
    cancelling = getattr(task, "cancelling", None)
    return cancelling() if cancelling is not None else 0


def _is_undelivered(task: Any) -> bool:
    """Return whether the next step of a cancelled task brings it the cancellation."""
    waiter = getattr(task, "_fut_waiter", None)
    return bool(getattr(task, "_must_cancel", False)) or (waiter is not None and waiter.cancelled())


def _swallower(chain: list[tuple["weakref.ref[Any]", Any, int]], *, ended: bool = False) -> places.Place | None:
    """Return the handler that has ended a cancellation: that of the innermost coroutine that is still there.

    None if it is not the program's.
    """
    for known, code, offset in reversed(chain):
        inner = known()
        if not ended and (inner is None or chains.frame_of(inner) is None):
            continue
        handler = bytecode.handler(code, offset)
        is_program = places.owner(code.co_filename) is None
        if ended and (handler is None or not is_program):
            continue
        if not is_program:
            return None
        return places.of_code(code, bytecode.line(code, handler if handler is not None else offset))
    return None


def _parked(task: _Task) -> list[str]:
    place = chains.parked(task)
    return [] if place is None else [f"{place[0]}:{place[1]}"]


def _result(task: Any) -> object:
    return getattr(task, "_result", None)


def _is_result_dropped(outer: Any) -> bool:
    """Return whether whoever waits for a future throws its result away."""
    waiting = [getattr(callback, "__self__", None) for callback, _ in getattr(outer, "_callbacks", None) or ()]
    if len(waiting) != 1 or not isinstance(waiting[0], asyncio.Task) or waiting[0].cancelling():
        return False
    chain = list(chains.suspended(waiting[0]))
    frame = chains.frame_of(chain[-1]) if chain else None
    if frame is None or places.owner(frame.f_code.co_filename) is not None:
        return False
    return bytecode.is_dropped(frame.f_code, frame.f_lasti)
