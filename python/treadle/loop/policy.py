"""The policy object, for programs that choose their loop by one. Python 3.14 deprecates policies, 3.16 removes them."""

import asyncio
import sys

from treadle.loop import new_event_loop

__all__ = ["EventLoopPolicy"]

if sys.version_info >= (3, 16):
    raise AttributeError(
        "Python 3.16 has no event loop policies: use `treadle.run`, or `loop_factory=treadle.new_event_loop`"
    )


class EventLoopPolicy(asyncio.DefaultEventLoopPolicy):
    """asyncio's default policy, whose new loops are treadle's.

    ``asyncio.set_event_loop_policy(treadle.EventLoopPolicy())`` is what :func:`treadle.install` does.
    """

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return a new loop of treadle's, which is not yet the current one."""
        return new_event_loop()
