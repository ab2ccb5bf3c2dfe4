"""The list of tests that treadle cannot pass, each with its reason, and whether the list still says the truth.

A skip is not a test that does not run: every listed test runs, and one that passes makes its entry stale.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from outcome import Outcome, Report

LIST = Path(__file__).resolve().parent / "skips.toml"


@dataclass(frozen=True, kw_only=True)
class Skip:
    """One entry."""

    test: str
    versions: tuple[str, ...]
    reason: str
    # Whether a test may pass at times all the same: what it does depends on who comes first.
    sometimes: bool = False

    def covers(self, outcome: Outcome) -> bool:
        """Whether the entry speaks of this test."""
        return fnmatchcase(outcome.id, self.test)

    def __str__(self) -> str:
        """Name the entry in a message."""
        return f"`{self.test}`"


def everything() -> list[Skip]:
    """Read the list."""
    entries = tomllib.loads(LIST.read_text()).get("skip", [])
    return [Skip(**{**entry, "versions": tuple(entry["versions"])}) for entry in entries]


def apply(skips: Iterable[Skip], report: Report) -> list[str]:
    """Mark the bad outcomes that are listed, and say which entries are stale."""
    stale = []
    version = ".".join(report.python.split(".")[:2])
    for skip in skips:
        if version not in skip.versions:
            continue
        covered = [outcome for outcome in report.outcomes if skip.covers(outcome)]
        passing = [outcome for outcome in covered if not outcome.bad and not skip.sometimes]
        stale += [f"{skip} is listed, but `{outcome.id}` passes" for outcome in passing]
        if not covered and report.whole:
            stale.append(f"{skip} is listed, but there is no such test")
        for outcome in covered:
            outcome.listed = skip.reason if outcome.bad else ""
    return stale
