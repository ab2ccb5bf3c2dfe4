"""What is kept of a run: names and numbers, one file in ``results`` for each version of Python.

The page is written from these files, so that a machine without some version leaves its columns as they are.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from outcome import Outcome, Report

RESULTS = Path(__file__).resolve().parent / "results"
ORDER = ("asyncio", "uvloop", "treadle")


@dataclass(frozen=True)
class Summary:
    """One loop on one version."""

    python: str
    platform: str
    loop: str
    loop_version: str
    tests: int
    # How many tests ended how, of those that take the loop and of the others.
    taking: dict[str, int]
    others: dict[str, int]
    # How many tests of each module take the loop, and how many do not pass.
    modules: dict[str, tuple[int, int]]
    # What did not pass and is not listed, and how it ended.
    failing: dict[str, str]
    # What unittest skips and runs on asyncio, and why.
    hidden: dict[str, str]

    @property
    def version(self) -> tuple[int, ...]:
        """The version of the language."""
        return tuple(int(part) for part in self.python.split(".")[:2])


def of(report: Report, by_asyncio: Iterable[Outcome]) -> Summary:
    """Sum a run up, which is held against what became of the same tests on asyncio."""
    passed = {outcome.id for outcome in by_asyncio if outcome.status == "passed"}
    outcomes = report.outcomes
    taking = Counter(_module(outcome) for outcome in outcomes if outcome.took_the_loop)
    bad = Counter(_module(outcome) for outcome in outcomes if outcome.bad)
    return Summary(
        report.python,
        report.platform,
        report.loop,
        report.loop_version,
        len(outcomes),
        dict(Counter(outcome.column for outcome in outcomes if outcome.took_the_loop)),
        dict(Counter(outcome.column for outcome in outcomes if not outcome.took_the_loop)),
        {name: (taking[name], bad[name]) for name in sorted({*taking, *bad})},
        {outcome.id: outcome.column for outcome in outcomes if outcome.bad and not outcome.listed},
        {outcome.id: outcome.reason for outcome in outcomes if outcome.status == "skipped" and outcome.id in passed},
    )


def keep(reports: list[Report]) -> None:
    """Write down the runs of one version, in place of those before."""
    by_asyncio = [outcome for report in reports if report.loop == "asyncio" for outcome in report.outcomes]
    summaries = [of(report, by_asyncio) for report in sorted(reports, key=lambda report: ORDER.index(report.loop))]
    version = ".".join(reports[0].python.split(".")[:2])
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps([asdict(summary) for summary in summaries], indent=1)
    (RESULTS / f"{version}.json").write_text(text + "\n")


def everything() -> list[Summary]:
    """Read what is kept, in the order of the page."""
    files = [json.loads(path.read_text()) for path in RESULTS.glob("*.json")]
    summaries = [Summary(**summary) for file in files for summary in file]
    return sorted(summaries, key=lambda summary: (summary.version, ORDER.index(summary.loop)))


def _module(outcome: Outcome) -> str:
    return outcome.id.partition(".")[0]
