"""What the native half has to know of treadle's own patterns to see what a task waits for and what it has.

They may be made of Python or be native, in whole or in part: what is not there, or is of another kind, is left out.
"""

import contextlib
import inspect
import types
from collections.abc import Iterable, Iterator
from typing import Any

from treadle.patterns import deadlines, driving, fan_out, limits, locks, pools, queues, registry

_contextlib: Any = contextlib
_MANAGER: type = _contextlib._AsyncGeneratorContextManager
# What `lock_all` runs, inside the decorator.
_LOCK_ALL: Any = inspect.unwrap(locks.lock_all).__code__

# As those of asyncio, see :mod:`treadle.doctor.waits`.
_METHODS: list[tuple[type, str, str]] = [
    (limits.Semaphore, "_wait", "permit"),
    (limits.Timed, "_wait", "permit"),
    (queues.PriorityQueue, "get", "item"),
    (queues.PriorityQueue, "put", "room"),
    (queues.PriorityQueue, "join", "done"),
    (fan_out.Results, "_end", "group"),
    (limits.Semaphore, "__aenter__", "enter"),
    (limits.Semaphore, "__aexit__", "leave"),
    (pools.Lease, "__aexit__", "leave"),
    (_MANAGER, "__aexit__", "leave"),
    (deadlines.Timeout, "__aexit__", "leave-timeout"),
    (deadlines.MoveOnAfter, "__aexit__", "leave-timeout"),
]

_CLASSES: list[tuple[type, str]] = [
    (limits.Semaphore, "permits"),
    # Time gives their permits back, so they are nobody's.
    (limits.TokenBucket, "rate"),
    (limits.SlidingWindow, "rate"),
    (queues.PriorityQueue, "heap"),
    (pools.Lease, "holder"),
    (_MANAGER, "holder"),
]


def functions() -> Iterator[tuple[object, str]]:
    """Yield code of functions, and descriptors of native methods, with words for what they are."""
    for owner, name, word in _METHODS:
        found = inspect.getattr_static(owner, name, None)
        if isinstance(found, types.FunctionType):
            yield found.__code__, word
        elif isinstance(found, types.MethodDescriptorType) and word.startswith("leave"):
            yield found, word
    drive = inspect.unwrap(driving.drive).__code__
    # What it drives stands in its third variable.
    if drive.co_varnames[2:3] == ("steps",):
        yield drive, "drive"


def classes() -> Iterator[tuple[type, str]]:
    """Yield classes with words for what their instances are."""
    yield from _CLASSES
    # What `async with` waits for, where that is no coroutine of Python's.
    entering: Any = registry.part(limits.Semaphore(1)).__aenter__()
    entering.close()
    if not isinstance(entering, types.CoroutineType):
        yield type(entering), "wrapper"


def native_leavers() -> Iterator[tuple[type, str]]:
    """Yield the classes that are left by a native method, with words for that."""
    for owner, name, word in _METHODS:
        if word.startswith("leave") and isinstance(
            inspect.getattr_static(owner, name, None), types.MethodDescriptorType
        ):
            yield owner, word


def permits(semaphore: Any) -> tuple[bool, int]:
    """Return whether whoever comes has to wait, and how many permits are given out."""
    stats = semaphore.stats()
    return bool(stats["in_use"] >= stats["limit"] or stats["waiting"]), int(stats["in_use"])


def held_by(manager: Any) -> Iterable[object]:
    """Return the locks that whoever has entered this holds by it."""
    if isinstance(manager, pools.Lease):
        # One that waits for a resource has none yet.
        return () if manager._slot is None else (manager._pool._permits,)
    frame = manager.gen.ag_frame if isinstance(manager.gen, types.AsyncGeneratorType) else None
    if frame is None or frame.f_code is not _LOCK_ALL:
        return ()
    return tuple(frame.f_locals.get("held", ()))
