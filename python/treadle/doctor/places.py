"""Where in the program something is: the line, and whose code it is."""

import os
from collections.abc import Iterator
from types import CodeType, FrameType, TracebackType

# File, line, function, and the package if it is not the program's: what the native half takes.
Place = tuple[str, int, str, str | None]

_PYTHON = os.path.dirname(os.__file__) + "/"  # noqa: PTH120
_OURS = os.path.dirname(os.path.dirname(__file__)) + "/"  # noqa: PTH120
_FILES = 4096
_owners: dict[str, str | None] = {}


def owner(file: str) -> str | None:
    """Return the package that a file belongs to, ``"python"`` for Python's own and ours, None for the program's."""
    if file not in _owners:
        if len(_owners) >= _FILES:
            _owners.clear()
        _owners[file] = _owner(file)
    return _owners[file]


def _owner(file: str) -> str | None:
    if file.startswith(_OURS):
        return "python"
    for directory in ("/site-packages/", "/dist-packages/"):
        _, found, rest = file.rpartition(directory)
        if found:
            return rest.split("/")[0].removesuffix(".py")
    return "python" if file.startswith(("<frozen ", _PYTHON)) else None


def of_code(code: CodeType, line: int) -> Place:
    """Return the place of a line."""
    return code.co_filename, line, code.co_qualname, owner(code.co_filename)


def of_frames(frame: FrameType | None, depth: int = 16) -> Place | None:
    """Return the line that is executed: the innermost that is not Python's own, None if there is none."""
    for _ in range(depth):
        if frame is None:
            return None
        if owner(frame.f_code.co_filename) != "python":
            return of_code(frame.f_code, frame.f_lineno or 0)
        frame = above(frame)
    return None


def above(frame: FrameType) -> FrameType | None:
    """Return who has called a function; None if that was a loop."""
    return None if frame.f_code.co_name == "run_forever" else frame.f_back


def of_exception(exception: BaseException) -> Place | None:
    """Return the line at which an exception left the program's code: the innermost of its own, else of a package."""
    found: Place | None = None
    for code, line in _traceback(exception.__traceback__):
        package = owner(code.co_filename)
        if package is None or (package != "python" and (found is None or found[3] is not None)):
            found = of_code(code, line)
    return found


def _traceback(traceback: TracebackType | None) -> Iterator[tuple[CodeType, int]]:
    for _ in range(1000):
        if traceback is None:
            return
        yield traceback.tb_frame.f_code, traceback.tb_lineno or 0
        traceback = traceback.tb_next


def class_name(thing: object) -> str:
    """Return the name of an object's class, as the program writes it."""
    kind = type(thing)
    return (
        kind.__qualname__ if kind.__module__ in {"builtins", "__main__"} else f"{kind.__module__}.{kind.__qualname__}"
    )
