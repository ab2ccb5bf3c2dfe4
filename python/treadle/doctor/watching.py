"""Starting and ending the doctor."""

import asyncio
import atexit
import contextlib
import functools
import gc
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextvars import Context
from typing import Any, Literal

from treadle import _native
from treadle.doctor import log, objects, puts, tales, waits
from treadle.hosts import hooks
from treadle.loop import native
from treadle.loop.base import before_first
from treadle.loop.event_loop import EventLoop

__all__ = ["begin", "findings", "finish", "snapshot", "vitals", "watch"]

# asyncio's package and ours: what they do, they do for somebody else.
_INNER = [os.path.dirname(asyncio.__file__), os.path.dirname(os.path.dirname(__file__))]  # noqa: PTH120
_PYTHON = os.path.dirname(os.__file__)  # noqa: PTH120


_threading: Any = threading

# What the doctor of this process goes by.
_settings: str | None = None


class _Stage:
    """A loop that never runs: futures and a task are made on it to see what they look like inside."""

    def __init__(self) -> None:
        self.scheduled: list[Callable[..., Any]] = []

    def get_debug(self) -> bool:
        """Return False: no tracebacks are wanted."""
        return False

    def call_soon(self, callback: Callable[..., Any], *_arguments: object, context: Context | None = None) -> None:  # noqa: ARG002
        """Keep a callback."""
        self.scheduled.append(callback)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Say nothing."""


async def _nothing() -> None:
    pass


def _examples(stage: Any) -> list[Any]:
    """Return a pending, a cancelled and a finished future, a new task and the callback by which it begins."""
    pending, cancelled, finished = (asyncio.Future[None](loop=stage) for _ in range(3))
    cancelled.cancel()
    finished.set_result(None)
    return [pending, cancelled, finished, _task(stage), stage.scheduled.pop()]


def _task(stage: Any) -> Any:
    """Return a new task that nobody complains of when it is thrown away."""
    # With a name, or the program's tasks would be numbered from another number on.
    task: Any = asyncio.Task(_nothing(), loop=stage, name="treadle")
    task.get_coro().close()
    task._log_destroy_pending = False
    return task


def _listen() -> None:
    """Show tasks that were cancelled never, once and twice to who listens."""
    stage: Any = _Stage()
    tasks = [_task(stage) for _ in range(3)]
    for times, task in enumerate(tasks):
        for _ in range(times):
            task.cancel()
    tales.listen(tasks)


def watch(  # noqa: PLR0913 - each is a setting of its own
    *,
    output: Literal["text", "json", "logging", "silent"] = "text",
    to: int | str | os.PathLike[str] = 2,
    thresholds: Mapping[str, str] | None = None,
    ignore: Iterable[str] = (),
    baseline: str | os.PathLike[str] | None = None,
    metrics: str | None = None,
    settings: bool = True,
    record: str | os.PathLike[str] | None = None,
) -> None:
    """Begin to watch this process, until it ends.

    What ``[tool.treadle.watch]`` says in the current directory's project holds where nothing is said here. ``treadle
    run --watch`` does this; a program that starts its loop by :func:`treadle.run` does it before, or in its main
    coroutine.

    Args:
        output: ``"text"`` for people, ``"json"`` for programs (an object on a line for each finding, and one at the
            end), ``"logging"`` for the logger ``treadle.doctor``, whose records have the finding as ``treadle``,
            ``"silent"`` for those who ask :func:`treadle.doctor.findings`.
        to: what is written to: a descriptor, or a file that is appended to; standard error by default.
        thresholds: from when on something is too much, by the name of the pitfall: ``{"blocked-loop": "50ms"}``;
            what grows in each of ten windows piles up, and ``"window"`` is the length of one, 5 s by default.
        ignore: names of pitfalls not to report.
        baseline: a file of findings that are known, as ``treadle run --write-baseline`` makes it.
        metrics: where metrics are served for Prometheus, ``"127.0.0.1:9464"`` or the port alone; children that
            are watched too take the next free ports.
        settings: whether the project's settings are read.
        record: a file for ``treadle report``, of 64 MiB, which is readable also if the process is killed; children
            that are watched too make theirs beside it, ``app-1.treadle`` and so on.

    Raises:
        RuntimeError: the process is watched already.
        ValueError: something is named that does not exist.
        OSError: a file cannot be read or written, or somebody else has the port.

    """
    said = {
        "output": output,
        "to": to if isinstance(to, int) else os.fspath(to),
        "thresholds": dict(thresholds or {}),
        "ignore": list(ignore),
        "baseline": None if baseline is None else os.fspath(baseline),
        "metrics": metrics,
        # Children may be elsewhere.
        "record": None if record is None else {"path": os.path.abspath(record), **_about()},  # noqa: PTH100
    }
    begin(_native.settings(json.dumps(said), project=settings))


def _about() -> dict[str, Any]:
    """Return what a recording says of this program: its name, and not its arguments."""
    program = os.path.basename(sys.argv[0]) if sys.argv else ""  # noqa: PTH119
    rest = " …" if len(sys.argv) > 1 else ""
    platform = f"{sys.platform} {os.uname().machine}"
    rows = {"command": f"python {program}{rest}", "directory": os.getcwd(), "platform": platform}  # noqa: PTH109
    return {"title": program, "environment": list(rows.items())}


def start(settings: str) -> None:
    """Begin to watch, as settings in JSON say: at once, or in a child when it makes its first loop.

    Many children never do; neither memory nor a recording is made for them.
    """
    if json.loads(settings)["is-follower"]:
        before_first[:] = [functools.partial(_begin_in_child, settings)]
    else:
        begin(settings)


def _begin_in_child(settings: str) -> None:
    # It runs all the same if it cannot be watched, or is already.
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        begin(settings)


def begin(settings: str) -> None:
    """Begin to watch, as settings in JSON say."""
    global _settings  # noqa: PLW0603 - there is one doctor in a process
    said = json.loads(settings)
    before_first.clear()
    if said["record"] is not None:
        said["record"]["environment"] = [
            *(row for row in said["record"]["environment"] if row[0] != "Python"),
            ("Python", sys.version.split(" ", 1)[0]),
        ]
        settings = json.dumps(said)
    stage: Any = _Stage()
    suspended = waits.Examples()
    try:
        known = waits.knowledge(stage, suspended)
        _native.watch(_examples(stage), known, _PYTHON, _INNER, settings)
    finally:
        suspended.close()
    _settings = settings
    if said["output"] == "logging":
        log.start()
    for descriptor in (said["tape"], said["record"] and said["record"]["file"]):
        # The memory stays; processes that this one starts need not inherit it.
        if descriptor is not None:
            os.close(descriptor)
    _listen()
    if native.note_collection not in gc.callbacks:
        # A process that was forked has it.
        gc.callbacks.append(native.note_collection)
    _have_loop_look()
    atexit.register(finish)
    if said["is-follower"]:
        # Children of multiprocessing end without what is registered for the end, but wait for their threads.
        _threading._register_atexit(finish)


def findings() -> list[dict[str, Any]]:
    """Return what was found up to now, in the order in which it was first seen, as ``output="json"`` writes it."""
    return [json.loads(found) for found in _native.found()]


def snapshot() -> dict[str, Any] | None:
    """Return what the tasks of this process are doing, and what they were last seen waiting for.

    A task is looked at when it has made no step for half a second. Nothing is returned if the process is not watched.
    """
    shown = _native.snapshot()
    return None if shown is None else json.loads(shown)


def vitals() -> dict[str, Any] | None:
    """Return this process in numbers, those of the metrics: seconds, bytes and counts.

    Nothing is returned if the process is not watched.
    """
    # This thread may be the loop's, which then tells nothing of itself meanwhile.
    objects.show()
    shown = _native.vitals()
    return None if shown is None else json.loads(shown)


def finish() -> int:
    """Have the doctor say all there is to say and end; the program's end does this by itself.

    Returns:
        How many findings there are; 0 if nothing is watched.

    """
    global _settings  # noqa: PLW0603
    _settings = None
    before_first.clear()
    atexit.unregister(finish)
    tales.stop_listening()
    puts.stop()
    if native.note_collection in gc.callbacks:
        gc.callbacks.remove(native.note_collection)
    found = _native.finish()
    log.stop()
    _have_loop_look()
    return found


def _have_loop_look() -> None:
    """Have the loop that runs in this thread notice that it is watched, or is not; others look when they begin."""
    running: Any = asyncio._get_running_loop()
    if isinstance(running, EventLoop):
        running._look_for_recorder()
        sys.set_asyncgen_hooks(finalizer=running._asyncgen_finalizer_hook)


def _forked() -> None:
    """Have a child that was forked leave the doctor to its parent, and get one of its own."""
    global _settings
    if _settings is None:
        return
    settings, _settings = hooks.follower(_settings), None
    _native.forget()
    tales.stop_listening()
    start(settings)


os.register_at_fork(after_in_child=_forked)
