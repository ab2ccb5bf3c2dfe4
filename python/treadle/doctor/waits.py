"""What the native half has to know of asyncio to see what a task waits for.

Functions by their code, classes, and examples of suspended frames.
"""

import asyncio
import asyncio.tasks
import asyncio.timeouts
import sys
import types
import weakref
from asyncio import locks, queues
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from types import CodeType
from typing import Any

from treadle.doctor import objects, own, owners, puts
from treadle.patterns import registry

_tasks: Any = asyncio.tasks

# Methods whose tasks wait, by what they wait for, see `Manner` in treadle-events. Their first argument grants it.
_METHODS: list[tuple[type, str, str]] = [
    (locks.Lock, "acquire", "lock"),
    (locks.Semaphore, "acquire", "permit"),
    (locks.Condition, "wait", "notice"),
    (locks.Event, "wait", "event"),
    (locks.Barrier, "wait", "barrier"),
    (queues.Queue, "get", "item"),
    (queues.Queue, "put", "room"),
    (queues.Queue, "join", "done"),
    (asyncio.TaskGroup, "__aexit__", "group"),
    (asyncio.TaskGroup, "_aexit", "group"),
    (locks.Lock, "__aenter__", "enter"),
    (locks.Lock, "__aexit__", "leave"),
    (locks.Semaphore, "__aenter__", "enter"),
    (locks.Semaphore, "__aexit__", "leave"),
    (locks.Condition, "__aenter__", "enter"),
    (locks.Condition, "__aexit__", "leave"),
    (asyncio.timeouts.Timeout, "__aexit__", "leave-timeout"),
]

_CLASSES: list[tuple[type, str]] = [
    (locks.Lock, "lock"),
    (locks.Semaphore, "semaphore"),
    (locks.BoundedSemaphore, "semaphore"),
    (locks.Condition, "condition"),
    (locks.Event, "event"),
    (locks.Barrier, "barrier"),
    (queues.Queue, "queue"),
    (queues.LifoQueue, "queue"),
    (queues.PriorityQueue, "queue"),
    (asyncio.Future, "future"),
    (asyncio.Task, "task"),
    (_tasks._GatheringFuture, "gathering"),
]


@types.coroutine
def _pause() -> Generator[None]:
    yield


async def _soon(_first: object) -> None:
    await _pause()


async def _later(_first: object) -> None:
    values = [number * 2 for number in range(3)]
    for _ in values:
        if len(values) > 1:
            await _pause()


async def _inside(_first: object, *rest: object, **named: object) -> None:
    try:
        print(end="")
        if not rest and not named:
            await _pause()
    finally:
        print(end="")


def _soon_by_hand(_first: object) -> Generator[Any]:
    yield from _pause()


def _later_by_hand(_first: object) -> Generator[Any]:
    values = [number * 2 for number in range(3)]
    for _ in values:
        if len(values) > 1:
            yield from _pause()


def _inside_by_hand(_first: object, *rest: object, **named: object) -> Generator[Any]:
    try:
        print(end="")
        if not rest and not named:
            yield from _pause()
    finally:
        print(end="")


async def _soon_of_many(_first: object) -> AsyncGenerator[None]:
    await _pause()
    yield


async def _later_of_many(_first: object) -> AsyncGenerator[None]:
    values = [number * 2 for number in range(3)]
    for _ in values:
        if len(values) > 1:
            await _pause()
        yield


async def _inside_of_many(_first: object, *rest: object, **named: object) -> AsyncGenerator[None]:
    try:
        print(end="")
        if not rest and not named:
            await _pause()
        yield
    finally:
        print(end="")


class Examples:
    """Coroutines and generators that stand at an `await`, until they are closed."""

    def __init__(self) -> None:
        """Make them, three of each kind."""
        # A loop that runs here is not to know of them: it would end them by tasks.
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)
        try:
            self._make()
        finally:
            sys.set_asyncgen_hooks(*hooks)

    def _make(self) -> None:
        self.all: list[tuple[object, CodeType, int, object]] = []
        self._closing: list[Callable[[], object]] = []
        self.wrappers: list[type] = []
        for function in (_soon, _later, _inside):
            first = object()
            coroutine: Any = function(first)
            coroutine.send(None)
            self._keep(coroutine, coroutine.cr_code, coroutine.cr_frame, first, coroutine.close)
        for by_hand in (_soon_by_hand, _later_by_hand, _inside_by_hand):
            first = object()
            generator: Any = by_hand(first)
            next(generator)
            self._keep(generator, generator.gi_code, generator.gi_frame, first, generator.close)
        for of_many in (_soon_of_many, _later_of_many, _inside_of_many):
            first = object()
            many: Any = of_many(first)
            step = many.asend(None)
            step.send(None)
            self._keep(many, many.ag_code, many.ag_frame, first, step.close)
            self.wrappers.append(type(step))
        coroutine = _soon(None)
        self.wrappers.append(type(coroutine.__await__()))
        coroutine.close()
        many = _soon_of_many(None)
        # Both hold another awaitable, which complains unless it is closed.
        for wrapper in (many.athrow(GeneratorExit), anext(many, None)):
            self.wrappers.append(type(wrapper))
            wrapper.close()

    def _keep(self, example: object, code: CodeType, frame: Any, first: object, close: Callable[[], object]) -> None:
        self.all.append((example, code, frame.f_lasti, first))
        self._closing.append(close)

    def close(self) -> None:
        """End them all."""
        for close in self._closing:
            close()


def _functions() -> Iterator[tuple[object, str]]:
    for owner, name, word in _METHODS:
        function = getattr(owner, name, None)
        if isinstance(function, types.FunctionType) and function.__code__.co_argcount > 0:
            yield function.__code__, word
    for name, word, arguments in (("sleep", "sleep", 1), ("wait_for", "wait-for", 2), ("_wait", "wait-set", 3)):
        function = getattr(_tasks, name, None)
        if isinstance(function, types.FunctionType) and function.__code__.co_argcount >= arguments:
            yield function.__code__, word
    yield from own.functions()


def knowledge(stage: Any, examples: Examples) -> tuple[object, ...]:
    """Return what `treadle_loop::record` wants to know."""
    future: asyncio.Future[None] = asyncio.Future(loop=stage)
    classes = [
        *_CLASSES,
        (type(iter(future)), "future-iterator"),
        *((wrapper, "wrapper") for wrapper in examples.wrappers),
        *own.classes(),
    ]
    # Up to Python 3.13 all tasks are in a set of weak references; from 3.14 on only those of other classes are.
    listed = None
    if sys.version_info < (3, 14):
        listed = getattr(_tasks, "_all_tasks" if sys.version_info < (3, 12) else "_scheduled_tasks", None)
    weak = getattr(listed, "data", None)
    learn, names = puts.learn, asyncio.Task.get_name
    explicit = owners.explicit, owners.reach
    asked = examples.all, list(_functions()), classes, names, weak, asyncio.all_tasks, learn, _weakly_known
    return *asked, *explicit, objects.begin, list(own.native_leavers()), own.permits, own.held_by


def _weakly_known(thing: object) -> int:
    """Return how many weak references there are by which somebody may come back to an object."""
    count = weakref.getweakrefcount(thing)
    # By that one its statistics are read, and nothing else.
    return count - registry.is_known(thing) if count else 0
