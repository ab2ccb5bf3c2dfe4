"""The native parts of the patterns: what is done so often that it is not Python. Importing this imports ``asyncio``."""

from types import ModuleType
from typing import Any

from treadle import _native

_made = ModuleType("treadle._native.patterns")
_native.add_patterns(_made)
Timeout = _made.Timeout
MoveOnAfter = _made.MoveOnAfter
Permits = _made.Permits
Pace = _made.Pace
timeout = _made.timeout
move_on_after = _made.move_on_after
remaining = _made.remaining


class _Block:
    async def __aenter__(self: Any) -> Any:
        """Begin the block.

        Raises:
            RuntimeError: there is no task, or the object has been used before.

        """
        self._begin()
        return self


# Until Python 3.13 a native awaitable hands over a value by an exception, which takes longer than a coroutine.
Timeout.__aenter__ = MoveOnAfter.__aenter__ = _Block.__aenter__
