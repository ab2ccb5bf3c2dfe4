"""Executors all of whose threads wait for what only one of these threads could do."""

import gc
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from types import CodeType, FrameType
from typing import Any
from weakref import WeakSet

from treadle.doctor import places

_RESULT: tuple[CodeType, ...] = (Future.result.__code__, Future.exception.__code__)

# Frames that are looked at in each thread, and jobs in each queue.
_DEPTH = 12
_JOBS = 1000

_Stand = dict[int, tuple[int, int]]


class Pools:
    """Executors that are looked at."""

    def __init__(self) -> None:
        """None is."""
        self._known: WeakSet[ThreadPoolExecutor] = WeakSet()

    def is_new(self, pool: ThreadPoolExecutor) -> bool:
        """Return whether to begin looking at an executor."""
        if pool in self._known:
            return False
        self._known.add(pool)
        return True

    def forget(self, pool: ThreadPoolExecutor) -> None:
        """Look at an executor no more."""
        self._known.discard(pool)


def is_busy(pool: Any) -> bool:
    """Return whether no thread of an executor is free, and none can be begun."""
    if len(pool._threads) < pool._max_workers:
        return False
    idle = getattr(pool, "_idle_semaphore", None)
    return idle is None or idle._value == 0


def stand(pool: Any) -> tuple[_Stand, places.Place | None]:
    """Return for what each thread of an executor waits, if all do, and one of them for one of its jobs.

    Of each thread there is the future that it waits for and the frame in which it does, by their addresses. The line is
    that which waits for the job.
    """
    frames = sys._current_frames()
    waits: _Stand = {}
    place = None
    queued = _queued(pool)
    for thread in list(pool._threads):
        frame = _waiting(frames.get(thread.ident))
        future = None if frame is None else frame.f_locals.get("self")
        if frame is None or future is None:
            return {}, None
        waits[thread.ident] = id(future), id(frame)
        if id(future) in queued:
            place = places.of_frames(frame)
    return (waits, place) if place is not None else ({}, None)


def _waiting(frame: FrameType | None) -> FrameType | None:
    """Return the frame in which a thread waits for a future."""
    for _ in range(_DEPTH):
        if frame is None or frame.f_code in _RESULT:
            return frame
        frame = frame.f_back
    return None


def _queued(pool: Any) -> set[int]:
    """Return the futures of the jobs that wait for a thread, by their addresses."""
    found: set[int] = set()
    open_ = [pool._work_queue]
    while open_ and len(found) < _JOBS:
        for one in gc.get_referents(open_.pop()):
            if isinstance(one, list):
                open_.append(one)
            elif isinstance(future := getattr(one, "future", None), Future):
                found.add(id(future))
    return found
