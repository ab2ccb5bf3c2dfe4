"""The native parts of the patterns: what is done so often that it is not Python. Importing this imports ``asyncio``."""

from types import ModuleType

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
