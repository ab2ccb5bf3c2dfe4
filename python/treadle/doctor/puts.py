"""Who puts things into queues: told for a moment, once one was seen to grow and grow.

From Python 3.12 on only what puts is looked at. Before, each call in the loop's thread is, for a short while, and only
if nobody else has such a function there.
"""

import sys
from asyncio import queues
from types import CodeType, FrameType
from typing import Any

from treadle import _native
from treadle.doctor import places

_PUTS = 64
# Calls and returns that are looked at before Python 3.12: some milliseconds.
_CALLS = 20_000
_NAME = "treadle-queues"

_PUT: CodeType = queues.Queue.put.__code__
_PUT_NOWAIT: CodeType = queues.Queue.put_nowait.__code__

_tool: int | None = None
_left = 0
_calls = 0


def learn() -> None:
    """Tell the doctor of the next puts into any queue."""
    global _tool, _left, _calls
    if sys.version_info < (3, 12):
        if sys.getprofile() is None:
            _left, _calls = _PUTS, _CALLS
            sys.setprofile(_calling)
        return
    if _tool is not None:
        return
    monitoring = sys.monitoring
    free = [number for number in (3, 4) if monitoring.get_tool(number) is None]
    if free:
        _tool, _left = free[0], _PUTS
        monitoring.use_tool_id(_tool, _NAME)
        monitoring.register_callback(_tool, monitoring.events.PY_START, _putting)
        monitoring.set_local_events(_tool, _PUT_NOWAIT, monitoring.events.PY_START)


def stop() -> None:
    """Tell no more."""
    global _tool  # noqa: PLW0603 - there is one doctor in a process
    if sys.version_info < (3, 12):
        if sys.getprofile() is _calling:
            sys.setprofile(None)
        return
    if _tool is None:
        return
    monitoring = sys.monitoring
    monitoring.set_local_events(_tool, _PUT_NOWAIT, monitoring.events.NO_EVENTS)
    monitoring.register_callback(_tool, monitoring.events.PY_START, None)
    monitoring.free_tool_id(_tool)
    _tool = None


def _calling(frame: FrameType, event: str, _argument: object) -> None:
    global _calls  # noqa: PLW0603 - there is one doctor in a process
    _calls -= 1
    if _calls <= 0:
        stop()
    if event == "call" and frame.f_code is _PUT_NOWAIT:
        _put(frame)


def _putting(_code: CodeType, _offset: int) -> None:
    _put(sys._getframe(1))


def _put(frame: FrameType) -> None:
    global _left  # noqa: PLW0603 - there is one doctor in a process
    _left -= 1
    try:
        if _left <= 0:
            stop()
        _tell(frame)
    except Exception:  # noqa: BLE001, S110 - the doctor's faults are not the program's
        pass


def _tell(frame: FrameType) -> None:
    queue: Any = frame.f_locals["self"]
    caller = frame.f_back
    if caller is not None and caller.f_code is _PUT:
        caller = caller.f_back
    if caller is None:
        return
    place = places.of_code(caller.f_code, caller.f_lineno or 0)
    _native.tell("queue-put", type(queue).__name__, place, [], address=id(queue), size=0)
