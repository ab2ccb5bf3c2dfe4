"""What it costs to be watched, beside what others cost: ``python -m benches.doctor``.

Each measurement is a process of its own; watchers take turns within a round, and the table has the medians of processor
time for an operation, with the ratio to the same loop when nobody watches.
"""

import argparse
import statistics
import subprocess
import sys
from collections import defaultdict

# Each watcher with the loop that it is compared to.
WATCHERS = {
    "treadle": "treadle",
    "treadle-watch": "treadle",
    "uvloop": "uvloop",
    "asyncio": "asyncio",
    "asyncio-debug": "asyncio",
    "blockbuster": "asyncio",
    "aiodebug": "asyncio",
}
OPERATIONS = {"echo": 40_000, "switch": 400_000, "task": 100_000, "timer": 300_000, "callback": 400_000}


def measure(watcher: str, work: str) -> float:
    """Return the nanoseconds of an operation."""
    operations = OPERATIONS[work] // (10 if watcher == "asyncio-debug" else 1)
    command = [sys.executable, "-m", "benches.doctor.subject", watcher, work, str(operations)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", choices=OPERATIONS, default=list(OPERATIONS))
    parser.add_argument("--watchers", nargs="*", choices=WATCHERS, default=list(WATCHERS))
    options = parser.parse_args()
    spent: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(options.rounds):
        for work in options.only:
            for watcher in options.watchers:
                spent[work, watcher].append(measure(watcher, work))
    print(f"{'':16}" + "".join(f"{work:>20}" for work in options.only))
    for watcher in options.watchers:
        cells = []
        for work in options.only:
            own = statistics.median(spent[work, watcher])
            other = spent.get((work, WATCHERS[watcher]), [])
            # Round by round, so that a busy moment of the machine hits both.
            ratios = [mine / theirs for mine, theirs in zip(spent[work, watcher], other, strict=False)]
            ratio = "" if watcher == WATCHERS[watcher] or not ratios else f" ({statistics.median(ratios):.2f})"
            cells.append(f"{own:.0f} ns{ratio}")
        print(f"{watcher:16}" + "".join(f"{cell:>20}" for cell in cells))


if __name__ == "__main__":
    main()
