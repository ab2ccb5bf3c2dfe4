"""What Python says of a program's mistakes, by its warnings and by the exception handlers of loops.

What the program and its user see stays as it is: warnings name the same line, with the same words, or stay unseen.
"""

import asyncio
import contextlib
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, FunctionType
from typing import Any, TypeAlias

from treadle import _native
from treadle.doctor import bytecode, places
from treadle.doctor.ear import Ear, gathered
from treadle.loop import native
from treadle.loop.event_loop import EventLoop

_warnings: Any = warnings
_Coroutine: TypeAlias = "CoroutineType[Any, Any, Any]"

# For how long Python notes where coroutines are made, once one was thrown away of which that is not known.
_MINUTE = 60.0

original: Callable[[_Coroutine], None] = _warnings._warn_unawaited_coroutine
ear: Ear | None = None
_class: Any = EventLoop


def listen(examples: list[Any]) -> None:
    """Hear of what goes wrong; ``examples`` are new tasks that were cancelled never, once and twice."""
    global ear, original  # noqa: PLW0603 - there is one doctor in a process
    ear = Ear()
    _native.listen(ear, examples, gathered)
    original = _warnings._warn_unawaited_coroutine
    _warnings._warn_unawaited_coroutine = _native.unawaited
    _warnings.filters.insert(0, _FILTER)
    for name, function in _METHODS.items():
        setattr(_class, name, function)


def stop_listening() -> None:
    """Hear of it no more; what somebody else has put in our place meanwhile stays."""
    if ear is not None:
        ear.finish()
        _forget()


def _forget() -> None:
    """Hear of it no more, and say nothing: so in a child process, in which there is no doctor."""
    global ear  # noqa: PLW0603 - as above
    if ear is None:
        return
    ear = None
    _origins.end()
    if _warnings._warn_unawaited_coroutine is _native.unawaited:
        _warnings._warn_unawaited_coroutine = original
    if _FILTER in _warnings.filters:
        _warnings.filters.remove(_FILTER)
    for name, function in _METHODS.items():
        if vars(_class).get(name) is function:
            delattr(_class, name)


os.register_at_fork(after_in_child=_forget)


# Coroutines that are thrown away.


class _Origins:
    """Python's notes of where coroutines are made. They cost something each time, so they are made for a minute."""

    def __init__(self) -> None:
        self.until: float | None = None

    def begin(self) -> None:
        """Make notes from now on, unless somebody else has them made."""
        if self.until is not None or sys.get_coroutine_origin_tracking_depth() == 0:
            self.until = time.monotonic() + _MINUTE
            sys.set_coroutine_origin_tracking_depth(1)

    def end(self) -> None:
        """Make none any more."""
        if self.until is not None:
            self.until = None
            if sys.get_coroutine_origin_tracking_depth() == 1:
                sys.set_coroutine_origin_tracking_depth(0)

    def end_in_time(self) -> None:
        """Make none any more when the minute is over."""
        if self.until is not None and time.monotonic() > self.until:
            self.end()


_origins = _Origins()


def unawaited(coroutine: _Coroutine) -> None:
    """Tell of a coroutine."""
    try:
        place, is_sure = _birth(coroutine, sys._getframe(1))
        if is_sure:
            _origins.end_in_time()
        else:
            _origins.begin()
        _native.tell("never-awaited", coroutine.__qualname__, place, [], address=id(coroutine), size=0)
    except Exception:  # noqa: BLE001, S110 - the doctor's faults are not the program's
        pass


def warning_of(coroutine: _Coroutine) -> str | None:
    """Return the words in which Python would warn of a coroutine without us; None if it finds them itself."""
    if _origins.until is None or original.__module__ not in {"warnings", "_py_warnings"}:
        return None
    return f"coroutine '{coroutine.__qualname__}' was never awaited"


def _birth(coroutine: Any, frame: FrameType | None) -> tuple[places.Place, bool]:
    """Return the line that made a coroutine, and whether it is sure; else the coroutine's own."""
    origin = coroutine.cr_origin
    if origin:
        file, line, function = origin[0]
        return (file, line, function, places.owner(file)), True
    code: CodeType = coroutine.cr_code
    name = coroutine.__qualname__.rsplit(".", 1)[-1]
    frames = list(_frames(frame))
    if frames and bytecode.drops_a_call(frames[0].f_code, frames[0].f_lasti) and _names(frames[0].f_code, name):
        return places.of_code(frames[0].f_code, frames[0].f_lineno or 0), True
    for codes in ([frame.f_code for frame in frames] + list(_running()), _module(coroutine.cr_frame.f_globals)):
        found = {place for one in codes if places.owner(one.co_filename) is None for place in bytecode.calls(one, name)}
        if found:
            return (found.pop(), True) if len(found) == 1 else (places.of_code(code, code.co_firstlineno), False)
    return places.of_code(code, code.co_firstlineno), False


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    for _ in range(8):
        if frame is None:
            return
        yield frame
        frame = places.above(frame)


def _names(code: CodeType, name: str) -> bool:
    return name in code.co_names + code.co_varnames + code.co_freevars


def _running() -> Iterator[CodeType]:
    """Yield the code of the task whose step this is, which may just have ended."""
    if asyncio._get_running_loop() is not None and (task := asyncio.current_task()) is not None:
        code = getattr(task.get_coro(), "cr_code", None)
        if isinstance(code, CodeType):
            yield code


def _module(variables: dict[str, Any]) -> Iterator[CodeType]:
    """Yield the code of a module's functions and methods."""
    for value in list(variables.values()):
        members = vars(value).values() if isinstance(value, type) else (value,)
        yield from (member.__code__ for member in members if isinstance(member, FunctionType))


# Things that are to be closed.

_UNCLOSED = re.compile(r"[Uu]nclosed (?:[a-z]+ )*<([\w.]+)")


class _Listener:
    """Stands in the list of filters as the pattern of messages, which it hears and never matches."""

    def match(self, text: str) -> None:
        """Hear of a warning."""
        try:
            found = _UNCLOSED.match(text)
            if found is not None and asyncio._get_running_loop() is not None:
                _tell_unclosed(found[1], sys._getframe(1))
        except Exception:  # noqa: BLE001, S110 - the doctor's faults are not the program's
            pass


_FILTER = ("ignore", _Listener(), ResourceWarning, None, 0)


def _tell_unclosed(name: str, frame: FrameType | None) -> None:
    transport = None
    if frame is not None and frame.f_code.co_qualname == "StreamWriter.__del__":
        transport = getattr(frame.f_locals.get("self"), "_transport", None)
    elif name.endswith("Transport"):
        # The loop tells of its own; others are told of with what holds them.
        return
    if native.is_collecting() and transport is None:
        return
    place = None if transport is not None else places.of_frames(frame)
    if transport is None and (place is None or place[3] is not None):
        return
    _native.tell("resource-unclosed", name, place, [], address=id(transport) if transport is not None else 0, size=0)


# What loops hear.


def call_exception_handler(self: Any, context: dict[str, Any]) -> None:
    """Hear what a loop is told, and go on as it would."""
    with contextlib.suppress(Exception):
        _hear(self, context)
    super(_class, self).call_exception_handler(context)


def _hear(event_loop: Any, context: dict[str, Any]) -> None:
    message = context.get("message", "")
    if ear is None:
        return
    if message == "Task was destroyed but it is pending!":
        ear.destroyed(event_loop, context["task"])
    elif message.endswith("exception was never retrieved"):
        ear.unretrieved(context["future"], context["exception"])


def _asyncgen_finalizer_hook(self: Any, agen: AsyncGeneratorType[Any, Any]) -> None:
    """Hear of a generator that was left, and go on as the loop would."""
    with contextlib.suppress(Exception):
        _tell_generator(agen, None if native.is_collecting() else places.of_frames(sys._getframe(1)))
    super(_class, self)._asyncgen_finalizer_hook(agen)


def shutdown_asyncgens(self: Any) -> Any:
    """Hear of the generators that are left at the end, and go on as the loop would."""
    with contextlib.suppress(Exception):
        for agen in list(self._asyncgens):
            _tell_generator(agen, None)
    return super(_class, self).shutdown_asyncgens()


def _tell_generator(agen: Any, place: places.Place | None) -> None:
    """Tell of a generator that has something to do yet: a ``finally`` or ``with`` around its ``yield``."""
    frame = agen.ag_frame
    if frame is None or places.owner(frame.f_code.co_filename) is not None:
        return
    if not bytecode.has_cleanup(frame.f_code, frame.f_lasti):
        return
    if place is None or place[3] is not None:
        place = places.of_code(frame.f_code, frame.f_lineno or 0)
    _native.tell("generator-left", agen.__qualname__, place, [], address=id(agen), size=0)


def _noted(self: Any, executor: Any, func: Callable[..., Any]) -> Callable[..., Any]:
    """Hear of a function that is handed to an executor, and go on as the loop would."""
    with contextlib.suppress(Exception):
        if ear is not None:
            ear.handed_over(self, executor)
    noted: Callable[..., Any] = super(_class, self)._noted(executor, func)
    return noted


_METHODS = {
    "_noted": _noted,
    "_asyncgen_finalizer_hook": _asyncgen_finalizer_hook,
    "call_exception_handler": call_exception_handler,
    "shutdown_asyncgens": shutdown_asyncgens,
}
