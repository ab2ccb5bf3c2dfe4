"""Puts the loop under test into every interpreter of a suite's environment, before anything of the suite is imported.

A ``.pth`` file of the environment imports this module, so that the interpreters that tests start are on the loop as
well. ``TREADLE_FOREIGN_LOOP`` names the loop; without it nothing happens. The doors are those of CPython's suite
(``tests/conformance/doors.py``): what a program gets that asks asyncio for a loop, by whatever name. With
``TREADLE_FOREIGN_DOORS=uvloop`` the doors are uvloop's instead, and asyncio's are left alone. With
``TREADLE_FOREIGN_WATCH`` treadle's doctor adds what it finds to that file.

Every loop that is made leaves one byte in ``TREADLE_FOREIGN_TALLY``, in the file of its kind: children count, and so do
tests that crash.
"""

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

LOOP = os.environ.get("TREADLE_FOREIGN_LOOP", "")
TALLY = os.environ.get("TREADLE_FOREIGN_TALLY", "")
WATCH = os.environ.get("TREADLE_FOREIGN_WATCH", "") if LOOP == "treadle" else ""
DOORS = Path(__file__).resolve().parents[2] / "conformance" / "doors.py"


class Tally:
    """Counts the loops of one kind. Stands where CPython's suite has its board."""

    def __init__(self, kind: str) -> None:
        """Nothing is counted yet."""
        self.file = f"{TALLY}/{kind}"

    def note(self, taken: Any) -> None:
        """Count a loop that is made; that it runs is its own business."""
        if taken.name == "MADE":
            # Not kept open: tests count descriptors.
            descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            try:
                os.write(descriptor, b".")
            finally:
                os.close(descriptor)


def made(kind: str) -> int:
    """Return how many loops of a kind there have been."""
    try:
        return os.stat(f"{TALLY}/{kind}").st_size  # noqa: PTH116 - tests may have patched `pathlib`
    except OSError:
        return 0


def replace() -> None:
    """Put the loop behind the doors."""
    if LOOP != "asyncio":
        sys.path.append(os.environ["TREADLE_FOREIGN_PATH"])
    spec = importlib.util.spec_from_file_location("foreign_doors", DOORS)
    assert spec
    assert spec.loader
    doors = importlib.util.module_from_spec(spec)
    sys.modules["foreign_doors"] = doors
    spec.loader.exec_module(doors)
    if os.environ.get("TREADLE_FOREIGN_DOORS") == "uvloop":
        replace_uvloop(doors)
        return
    doors.replace(LOOP, Tally(LOOP))
    if WATCH:
        importlib.import_module("treadle").watch(output="json", to=WATCH, settings=False)
    if LOOP != "asyncio":
        # Whoever goes past the doors.
        doors.watch(doors.asyncio.selector_events.BaseSelectorEventLoop, Tally("asyncio"))


def replace_uvloop(doors: Any) -> None:
    """Put the loop behind the names by which programs ask for uvloop's."""
    uvloop: Any = importlib.import_module("uvloop")
    chosen = doors.contender(LOOP)
    doors.watch(chosen.loop_class, Tally(LOOP))
    if LOOP != "uvloop":
        doors.watch(uvloop.Loop, Tally("uvloop"))
        uvloop.new_event_loop = chosen.make
        uvloop.Loop = chosen.loop_class
        uvloop.run.__kwdefaults__["loop_factory"] = chosen.make
        policies = doors.asyncio if LOOP == "asyncio" else importlib.import_module("treadle.loop.policy")
        uvloop.EventLoopPolicy = getattr(policies, "EventLoopPolicy", None) or policies.DefaultEventLoopPolicy


if LOOP:
    replace()
