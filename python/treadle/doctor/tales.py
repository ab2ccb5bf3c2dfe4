"""What Python says of a program's mistakes, told to the doctor: by its warnings, and by the exception handlers of loops."""

import sys
import warnings
from collections.abc import Callable, Coroutine
from types import CodeType
from typing import Any

from treadle import _native

_warnings: Any = warnings
_original: Callable[[Coroutine[Any, Any, Any]], None] | None = None


def listen() -> None:
    """Hear of coroutines that are thrown away."""
    global _original  # noqa: PLW0603 - there is one doctor in a process
    _original = _warnings._warn_unawaited_coroutine
    _warnings._warn_unawaited_coroutine = _unawaited
    sys.set_coroutine_origin_tracking_depth(max(1, sys.get_coroutine_origin_tracking_depth()))


def stop_listening() -> None:
    """Hear of them no more, unless somebody else listens too."""
    if _original is not None and _warnings._warn_unawaited_coroutine is _unawaited:
        _warnings._warn_unawaited_coroutine = _original


def _unawaited(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Tell of a coroutine, and let Python warn as it would have."""
    try:
        code: CodeType = coroutine.cr_code  # type: ignore[attr-defined]
        origin = getattr(coroutine, "cr_origin", None)
        place = (*origin[0], None) if origin else (code.co_filename, code.co_firstlineno, code.co_qualname, None)
        _native.tell("never-awaited", coroutine.__qualname__, place, [], address=id(coroutine), size=0)
    except Exception:  # noqa: BLE001, S110 - the doctor's faults are not the program's
        pass
    if _original is not None:
        _original(coroutine)
