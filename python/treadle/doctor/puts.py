"""Who puts things into queues: told for a moment, once one was seen to grow and grow. From Python 3.12 on."""

import sys
from asyncio import queues
from types import CodeType, FrameType
from typing import Any

from treadle import _native

_PUTS = 64
_NAME = "treadle-queues"

_PUT: CodeType = queues.Queue.put.__code__
_PUT_NOWAIT: CodeType = queues.Queue.put_nowait.__code__

_tool: int | None = None
_left = 0


def learn() -> None:
    """Tell the doctor of the next puts into any queue."""
    global _tool, _left
    if sys.version_info < (3, 12) or _tool is not None:
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
    if sys.version_info < (3, 12) or _tool is None:
        return
    monitoring = sys.monitoring
    monitoring.set_local_events(_tool, _PUT_NOWAIT, monitoring.events.NO_EVENTS)
    monitoring.register_callback(_tool, monitoring.events.PY_START, None)
    monitoring.free_tool_id(_tool)
    _tool = None


def _putting(_code: CodeType, _offset: int) -> None:
    global _left  # noqa: PLW0603 - there is one doctor in a process
    _left -= 1
    try:
        if _left <= 0:
            stop()
        _tell(sys._getframe(1))
    except Exception:  # noqa: BLE001, S110 - the doctor's faults are not the program's
        pass


def _tell(frame: FrameType) -> None:
    queue: Any = frame.f_locals["self"]
    caller = frame.f_back
    if caller is not None and caller.f_code is _PUT:
        caller = caller.f_back
    if caller is None:
        return
    code = caller.f_code
    _, _, installed = code.co_filename.rpartition("/site-packages/")
    package = installed.split("/")[0] if "/site-packages/" in code.co_filename else None
    place = (code.co_filename, caller.f_lineno, code.co_qualname, package)
    _native.tell("queue-put", type(queue).__name__, place, [], address=id(queue), size=0)
