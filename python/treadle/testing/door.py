"""The place where asyncio makes a loop when nobody has said which, and what is put there while tests run.

pytest-asyncio, anyio, aiohttp, tornado, ``unittest`` and ``asyncio.run`` all end there. Loops, factories and policies
that a suite names itself do not, and stay as they are.
"""

import asyncio
import sys
import warnings
from typing import Any

from treadle.hosts.hooks import places_of_factory
from treadle.loop import new_event_loop


class Door:
    """Gives loops of treadle's, or of asyncio's while :attr:`ours` is false. Opens at once, until it is closed."""

    def __init__(self) -> None:
        """Replace what makes loops."""
        self.ours = True
        # Whose clock jumps when every task waits.
        self.virtual = False
        places = places_of_factory(sys.modules["asyncio.unix_events"])
        self._replaced = [(owner, name, vars(owner)[name]) for owner, name in places]
        for owner, name in places:
            setattr(owner, name, self.new_event_loop)

    def policy_beside(self) -> str | None:
        """Return the name of the policy that the suite has set, if it makes loops of its own kind."""
        if sys.version_info >= (3, 16):
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            kind: Any = type(asyncio.get_event_loop_policy())
        default = self._replaced[0][0]
        if kind.new_event_loop is default.new_event_loop and kind._loop_factory == self.new_event_loop:
            return None
        return None if kind.__module__ == "treadle.loop.policy" else f"{kind.__module__}.{kind.__qualname__}"

    def close(self) -> None:
        """Put back what was there."""
        for owner, name, value in self._replaced:
            setattr(owner, name, value)

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return a new loop of the kind that is wanted now."""
        if not self.ours:
            return asyncio.SelectorEventLoop()
        if self.virtual:
            from treadle.testing.clock import virtual_event_loop  # noqa: PLC0415 - few tests want it

            return virtual_event_loop()
        return new_event_loop()
