"""What importing treadle and ``treadle run`` add to the start of a program.

Run it with the interpreter of an environment that has treadle. It prints medians of interleaved runs, each a process of
its own: the limit for ``import treadle`` is 20 ms beyond ``import asyncio``.
"""

import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

RUNS = 40
SCRIPTS = Path(sysconfig.get_path("scripts"))
PYTHON = [str(SCRIPTS / "python3")]
TREADLE = [str(SCRIPTS / "treadle"), "run"]

COMMANDS = {
    "python, nothing": [*PYTHON, "-c", ""],
    "treadle run, nothing": [*TREADLE, "-c", ""],
    "import asyncio": [*PYTHON, "-c", "import asyncio"],
    "import asyncio, treadle": [*PYTHON, "-c", "import asyncio, treadle"],
    "… and its loop": [*PYTHON, "-c", "import asyncio, treadle; treadle.new_event_loop"],
    "treadle run, import asyncio": [*TREADLE, "-c", "import asyncio"],
}


def seconds(command: list[str]) -> float:
    """Return how long a command takes."""
    start = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Print a line for each command."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, command in COMMANDS.items():
            taken[name].append(seconds(command))
    print(f"Python {sys.version.split()[0]}, medians of {RUNS}")
    for name, times in taken.items():
        print(f"{name:<28}{statistics.median(times) * 1000:8.1f} ms")


if __name__ == "__main__":
    main()
