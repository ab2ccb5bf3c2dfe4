"""The doctor: watches this process and says what is wrong in it, with the line.

:func:`watch` begins. What the loop does is recorded natively; a native thread reads that and asks the pitfalls. What
only Python sees, the modules here tell it: see :mod:`treadle.doctor.tales`.
"""

import asyncio  # noqa: F401 - where the doctor begins with it, that needs this package, and none of its modules half made

from treadle.doctor.telemetry import instrument
from treadle.doctor.watching import findings, finish, snapshot, vitals, watch

__all__ = ["findings", "finish", "instrument", "snapshot", "vitals", "watch"]
