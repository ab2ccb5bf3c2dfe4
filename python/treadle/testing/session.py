"""What ``pytest --treadle`` does: the loop for the whole session, and asyncio's for the tests that are marked so."""

import asyncio
import sys
from collections.abc import Callable, Generator
from typing import Any
from unittest import IsolatedAsyncioTestCase

import pytest

INSTEAD = (
    "Run the tests on asyncio's loop: leave out `--treadle`, or add `--no-treadle` if the configuration asks for it"
)


def begin(config: pytest.Config) -> None:
    """Put treadle's loop where asyncio makes its own, until the session ends.

    Raises:
        pytest.UsageError: the loop does not run on this Python or on this system.

    """
    if sys.platform == "win32":
        raise pytest.UsageError(f"treadle's event loop is not there for Windows yet. {INSTEAD}")
    try:
        session = Session()
    except ImportError as error:
        raise pytest.UsageError(f"{error}. {INSTEAD}") from error
    config.add_cleanup(session.door.close)
    config.pluginmanager.register(session, "treadle-session")


class Session:
    """The plugin that is there when the loop is asked for."""

    def __init__(self) -> None:
        """Change the loop."""
        from treadle.testing.door import Door  # noqa: PLC0415 - cannot be imported everywhere

        self.door = Door()

    def pytest_report_header(self) -> str:
        """Say that it is another loop, or why it is not."""
        from treadle import __version__  # noqa: PLC0415 - costs nothing here

        policy = self.door.policy_beside()
        if policy:
            return f"treadle {__version__}: the suite has set `{policy}`, and its tests run on the event loop of that"
        return f"treadle {__version__}: tests run on its event loop"

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> Generator[None, Any, Any]:
        """Answer pytest-asyncio for a marked test, which then shares no loop with the tests around it.

        For all other tests nobody answers, and they get the loop that asyncio makes. An answer is a parameter, and
        parameters change the order of tests, and with an older pytest their names.
        """
        if wanted(metafunc.definition):
            return (yield)
        manager = metafunc.config.pluginmanager
        factories = Factories()
        manager.register(factories)
        try:
            return (yield)
        finally:
            manager.unregister(factories)

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Refuse marks that are no answer, before any test runs."""
        for item in items:
            check_marks(item)
        if not all(map(wanted, items)):
            # Now it is only asked whether anybody would answer. If so, a fixture does not outlive the loop it was on.
            config.pluginmanager.register(Factories())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Give a test, its fixtures and what they call the loop that is wanted."""
        self.door.ours, self.door.virtual = wanted(item), has_virtual_clock(item)
        try:
            return (yield)
        finally:
            self.door.ours, self.door.virtual = True, False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Answer a test case that names asyncio's loop to say that it wants no policy: Python's way since 3.13."""
        case = getattr(item, "instance", None)
        if isinstance(case, IsolatedAsyncioTestCase) and case.__dict__.get("loop_factory") is None:
            factory: Any = getattr(case, "loop_factory", None)
            if factory is asyncio.SelectorEventLoop:
                vars(case)["loop_factory"] = self.door.new_event_loop


class Factories:
    """What pytest-asyncio asks, since 1.4, for the loops of a test. A suite that answers itself is asked first."""

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_asyncio_loop_factories(self) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
        """Answer for a test that stays on asyncio's loop: what makes loops now, which may be a policy of the suite."""
        return {"asyncio": asyncio.new_event_loop}


def wanted(node: pytest.Item) -> bool:
    """Return whether a test shall run on treadle's loop, by the mark closest to it."""
    mark = node.get_closest_marker("treadle")
    return mark is None or mark.args != (False,)


def has_virtual_clock(node: pytest.Item) -> bool:
    """Return whether the clock of a test's loop shall jump when every task waits, by the mark closest to it."""
    mark = node.get_closest_marker("treadle")
    return mark is not None and mark.kwargs.get("clock") == "virtual"


def check_marks(node: pytest.Item) -> None:
    """Refuse marks that do not say what is wanted.

    Raises:
        pytest.UsageError: there is one.

    """
    for mark in node.iter_markers("treadle"):
        is_answer = len(mark.args) <= 1 and all(isinstance(answer, bool) for answer in mark.args)
        if not is_answer or mark.kwargs not in ({}, {"clock": "virtual"}):
            raise pytest.UsageError(
                f'{node.nodeid}: the mark `treadle` takes `True` or `False`, and `clock="virtual"`. '
                "Write `@pytest.mark.treadle(False)` for a test that is to stay on asyncio's loop"
            )
