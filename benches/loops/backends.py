"""The loops that are compared, and how each is made."""

import asyncio
import importlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

NAMES = ("asyncio", "uvloop", "rloop", "treadle")
BASE = "uvloop"
"""Ratios are to this one."""
LIMIT = "limit"
"""The load server in the loop's place."""

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@dataclass(frozen=True)
class Backend:
    """A loop that is here, or why it is not."""

    name: str
    version: str
    absent: str | None = None


def factory(name: str) -> LoopFactory:
    """Return what makes the loop of this name."""
    module = asyncio if name == "asyncio" else importlib.import_module(name)
    made: LoopFactory = module.new_event_loop
    return made


PROBE = """
import importlib, platform, sys
name = sys.argv[1]
module = importlib.import_module(name)
module.new_event_loop().close()
print(platform.python_version() if name == "asyncio" else module.__version__)
"""


def probe(name: str) -> Backend:
    """Make the loop once, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", PROBE, name], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        return Backend(name, "", (done.stderr.strip().splitlines() or ["no reason given"])[-1])
    return Backend(name, done.stdout.strip())
