"""The tests that may fail on treadle alone, each with its reason, and whether the list still says the truth.

An exception is not a test that does not run: one that passes makes its entry stale, unless it says `sometimes`.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from outcome import Report
from suites import matches

LIST = Path(__file__).resolve().parent / "exceptions.toml"


@dataclass(frozen=True)
class Excused:
    """One entry."""

    suite: str
    test: str
    versions: tuple[str, ...]
    reason: str
    # Whether a test may pass at times all the same.
    sometimes: bool = False


def everything() -> list[Excused]:
    """Read the list."""
    entries = tomllib.loads(LIST.read_text()).get("exception", [])
    return [Excused(**{**entry, "versions": tuple(entry["versions"])}) for entry in entries]


def apply(suite: str, report: Report) -> list[str]:
    """Mark the bad outcomes that are listed, and say which entries are stale."""
    stale = []
    version = ".".join(report.python.split(".")[:2])
    for entry in everything():
        if entry.suite != suite or version not in entry.versions:
            continue
        covered = [outcome for outcome in report.outcomes if matches(entry.test, outcome.id)]
        passing = [outcome for outcome in covered if not outcome.bad and not entry.sometimes]
        stale += [f"`{entry.test}` of {suite} is listed, but `{outcome.id}` passes" for outcome in passing]
        if not covered and report.whole:
            stale.append(f"`{entry.test}` of {suite} is listed, but there is no such test")
        for outcome in covered:
            outcome.listed = entry.reason if outcome.bad else ""
    return stale
