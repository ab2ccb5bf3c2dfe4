"""Findings as records of the program's own ``logging``.

The doctor's thread never waits for the interpreter, so another one, which sleeps outside of it, passes its words on.
"""

import json
import logging
import threading
from typing import Any

from treadle import _native

__all__ = ["start", "stop"]

_LEVELS = {"error": logging.ERROR, "warning": logging.WARNING}

_logger = logging.getLogger("treadle.doctor")
_thread: threading.Thread | None = None


def start() -> None:
    """Log from now on, in a thread."""
    global _thread  # noqa: PLW0603 - there is one doctor in a process
    _thread = threading.Thread(target=_pass_on, name="treadle-log", daemon=True)
    _thread.start()


def stop() -> None:
    """Wait until all is logged that the doctor has said; it has finished."""
    global _thread
    thread, _thread = _thread, None
    if thread is not None and thread is not threading.current_thread():
        thread.join()


def _pass_on() -> None:
    while (text := _native.next_to_log()) is not None:
        said = json.loads(text)
        if said["type"] == "finding":
            _log(said)
        else:
            count = len(said["findings"])
            seconds, callbacks = said["watched_seconds"], said["callbacks"]
            words = "%d findings in %.1f s and %d callbacks"
            _logger.info(words, count, seconds, callbacks, extra={"treadle": said})


def _log(found: dict[str, Any]) -> None:
    suspected = "suspected: " if found["suspected"] else ""
    place = f" at {found['path']}:{found['line']} in {found['function']}" if found["line"] else ""
    level = _LEVELS.get(found["severity"], logging.INFO)
    _logger.log(level, "%s%s: %s%s", found["name"], place, suspected, found["message"], extra={"treadle": found})
