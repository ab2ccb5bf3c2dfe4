"""How the loop under test gets into CPython's tests: the doors that are replaced, and who went through them.

The doors are replaced before any test module is imported, but for the two that are in test modules:

``DefaultEventLoopPolicy._loop_factory``
    What ``asyncio.new_event_loop()``, ``asyncio.run``, ``asyncio.Runner``, ``IsolatedAsyncioTestCase`` and
    ``policy.new_event_loop()`` end in on every version. Replacing the class's attribute and not the current policy
    outlives ``set_event_loop_policy(None)``, which every test module calls when it is done.
``asyncio.SelectorEventLoop``
    What most ``create_event_loop()`` and ``setUp`` methods of the tests call, some with a selector. The stand-in closes
    the selector and makes the loop under test, from which a subclass of it inherits. ``isinstance`` and ``issubclass``
    ask about the loop under test.
``asyncio.EventLoop`` (3.13)
    Another name of the same.
``test.test_asyncio.test_runners.BaseTest.new_loop``
    Makes a ``BaseEventLoop`` full of mocks, though the tests of runners ask for nothing of it but to be closed and to
    have been asked for ``shutdown_asyncgens``. The default loop stands in for it, on asyncio as well.
``test.test_asyncio.utils.TestCase.close_loop``
    Not a door: a clean-up of the tests that reads ``loop._default_executor``. A loop without that name is closed
    without it, lest one private attribute fail a thousand tests that are about something else.

Left alone: ``test_utils.TestLoop``, ``BaseEventLoop`` and ``BaseSelectorEventLoop`` with their subclasses, and mocks of
loops. They are asyncio's own, whatever the default loop is; a test that takes nothing else does not take the loop. So
are the interpreters that tests start.

Whether a test made the loop under test, and whether it ran it, is seen by the methods of its class and written to a
board that the parent process shares, so that it is also known of tests that crash.
"""

import asyncio
import functools
import importlib
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class Taken(IntEnum):
    """How far a test went with the loop under test."""

    NOT = 0
    MADE = 1
    RUN = 2


class Board:
    """Memory shared with the children: one byte for each test that may run at a time."""

    def __init__(self, slots: int) -> None:
        """Make room for so many tests at a time."""
        self._bytes = mmap.mmap(-1, max(slots, 1))
        self._slot = 0

    def __getitem__(self, slot: int) -> Taken:
        """How far the test in a slot went."""
        return Taken(self._bytes[slot])

    def wipe(self, slot: int) -> None:
        """Forget the test that was in a slot; the next fork is in it."""
        self._slot = slot
        self._bytes[slot] = Taken.NOT

    def note(self, taken: Taken) -> None:
        """Keep the furthest that this process went."""
        self._bytes[self._slot] = max(self._bytes[self._slot], taken)


@dataclass(frozen=True)
class Contender:
    """A loop that can be chosen."""

    version: str
    loop_class: type
    make: Callable[[], Any]


class NoSuchLoop(Exception):  # noqa: N818 (it says what is so)
    """The loop is not installed, or not there yet."""


def contender(name: str) -> Contender:
    """Find a loop by its name.

    Raises:
        NoSuchLoop: the package is not there, or has no loop.
    """
    if name == "asyncio":
        loop_class = asyncio.SelectorEventLoop
        return Contender("", loop_class, loop_class)
    try:
        package = importlib.import_module(name)
        home = importlib.import_module("treadle.loop") if name == "treadle" else package
        loop_class = home.EventLoop if name == "treadle" else home.Loop
        return Contender(str(package.__version__), loop_class, package.new_event_loop)
    except ModuleNotFoundError as missing:
        raise NoSuchLoop(f"the loop `{name}` is not here: {missing}") from missing
    except AttributeError as missing:
        raise NoSuchLoop(f"`{name}` is installed but has no loop: {missing}") from missing


def replace(name: str, board: Board) -> Contender:
    """Put a loop behind all doors, watched by the board."""
    chosen = contender(name)
    watch(chosen.loop_class, board)
    if name != "asyncio":
        asyncio.DefaultEventLoopPolicy._loop_factory = staticmethod(chosen.make)  # type: ignore[attr-defined]
        stand_in = _stand_in(chosen)
        for module in (asyncio, asyncio.unix_events):
            for door in ("SelectorEventLoop", "EventLoop"):
                if hasattr(module, door):
                    setattr(module, door, stand_in)
    return chosen


def replace_in_tests() -> None:
    """Replace the two doors that are in the tests; any time after `replace` and before the first test."""
    _default_loop_for_runners()
    _forgiving_clean_up()


def _default_loop_for_runners() -> None:
    runners = importlib.import_module("test.test_asyncio.test_runners")

    def new_loop(_case: object) -> Any:
        loop: Any = asyncio.SelectorEventLoop()
        loop.shutdown_ag_run = False

        async def shutdown_asyncgens() -> None:
            loop.shutdown_ag_run = True

        loop.shutdown_asyncgens = shutdown_asyncgens
        return loop

    runners.BaseTest.new_loop = new_loop


def _forgiving_clean_up() -> None:
    helpers = importlib.import_module("test.test_asyncio.utils")
    close_loop = helpers.TestCase.close_loop

    @staticmethod  # type: ignore[misc]
    @functools.wraps(close_loop)
    def forgiving(loop: Any) -> None:
        if hasattr(loop, "_default_executor"):
            close_loop(loop)
        else:
            loop.close()

    helpers.TestCase.close_loop = forgiving


def _stand_in(chosen: Contender) -> Any:
    """Make what stands for ``asyncio.SelectorEventLoop``: calling it makes the chosen loop."""

    class Door(type):
        def __new__(cls, name: str, bases: tuple[type, ...], names: dict[str, Any]) -> Any:
            # A subclass is one of the loop under test, and no door.
            if not bases:
                return super().__new__(cls, name, bases, names)
            return type(name, tuple(chosen.loop_class if isinstance(base, Door) else base for base in bases), names)

        def __call__(cls, selector: Any = None) -> Any:
            if selector is not None:
                selector.close()
            return chosen.make()

        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, chosen.loop_class)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, chosen.loop_class)

    return Door("SelectorEventLoop", (), {"__doc__": "Stands for the loop under test."})


def watch(loop_class: Any, board: Board) -> None:
    """Note on the board when a loop of the class is made and when it runs."""
    watched = (("__init__", Taken.MADE), ("run_forever", Taken.RUN), ("run_until_complete", Taken.RUN))
    for name, taken in watched:
        setattr(loop_class, name, _noting(getattr(loop_class, name), taken, board))


def _noting(method: Callable[..., Any], taken: Taken, board: Board) -> Callable[..., Any]:
    @functools.wraps(method)
    def noting(*args: Any, **options: Any) -> Any:
        board.note(taken)
        return method(*args, **options)

    return noting
