"""What all tests share: the loops."""

from __future__ import annotations

import signal
from multiprocessing import forkserver, resource_tracker
from typing import TYPE_CHECKING, Any

import loops
import pytest

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

FACTORIES = loops.factories()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and hear signals that shells and `nohup` have their jobs ignore."""
    heard = (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGQUIT, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),
    )
    for number, handler in heard:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    config.addinivalue_line("markers", "not_on(*loops, reason): what these loops cannot do")


@pytest.fixture(scope="module", autouse=True)
def _helpers_of_multiprocessing_end() -> Iterator[None]:
    # They live as long as the process, and tests of subprocesses count its children.
    yield
    helpers: Any = forkserver, resource_tracker
    helpers[0]._forkserver._stop()
    helpers[1]._resource_tracker._stop()


@pytest.fixture(params=FACTORIES)
def new_loop(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes a loop; the test runs once for each loop."""
    name: str = request.param
    for mark in request.node.iter_markers("not_on"):
        if name in mark.args:
            pytest.skip(f"{name}: {mark.kwargs['reason']}")
    return FACTORIES[name]
