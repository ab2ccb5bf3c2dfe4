"""From plain code onto the loop: :func:`treadle.run` and :func:`treadle.install`.

What runs, warns and raises is asyncio's own; only the loop is ours.
"""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from treadle.loop import new_event_loop

__all__ = ["install", "run"]

Result = TypeVar("Result")


def run(main: Coroutine[Any, Any, Result], *, debug: bool | None = None) -> Result:
    """Run a coroutine on a new loop of treadle's, close the loop, and return the result.

    The same as :func:`asyncio.run` of the running Python, but for the loop: what is left of its tasks is cancelled, its
    asynchronous generators and its default executor are shut down, and Ctrl-C cancels the main task.

    Args:
        main: the coroutine; whatever else :func:`asyncio.run` takes.
        debug: whether the loop is in debug mode; by default as ``PYTHONASYNCIODEBUG`` and ``-X dev`` say.

    Returns:
        What the coroutine returns.

    Raises:
        RuntimeError: a loop is running in this thread.
        ValueError: ``main`` is no coroutine; from Python 3.14 on a ``TypeError`` if it cannot be awaited.
        KeyboardInterrupt: Ctrl-C was pressed.

    """
    if sys.version_info >= (3, 12):
        return asyncio.run(main, debug=debug, loop_factory=new_event_loop)
    if asyncio._get_running_loop() is not None:
        # `asyncio.run` of 3.11 takes no factory, and what it is made of says this in other words.
        raise RuntimeError("asyncio.run() cannot be called from a running event loop")
    with asyncio.Runner(debug=debug, loop_factory=new_event_loop) as runner:
        return runner.run(main)


def install() -> None:
    """Make the loop the one that asyncio's event loop policy gives, for this process. The old way.

    New programs call :func:`treadle.run`, or hand :func:`treadle.new_event_loop` to :class:`asyncio.Runner`. Python
    3.14 deprecates policies and warns of them; Python 3.16 removes them.

    Raises:
        RuntimeError: this Python has no policies.

    """
    if sys.version_info >= (3, 16):
        raise RuntimeError(
            "Python 3.16 has no event loop policies: use `treadle.run`, or `loop_factory=treadle.new_event_loop`"
        )
    from treadle.loop.policy import EventLoopPolicy  # noqa: PLC0415 - newer versions warn of it

    asyncio.set_event_loop_policy(EventLoopPolicy())
