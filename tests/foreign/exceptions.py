"""The tests that may fail on treadle alone, each with its reason: entries as CPython's suite has them, of a suite."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from outcome import Outcome, Report
from skips import Skip
from skips import apply as apply_skips
from suites import matches

LIST = Path(__file__).resolve().parent / "exceptions.toml"


@dataclass(frozen=True, kw_only=True)
class Excused(Skip):
    """One entry."""

    suite: str

    def covers(self, outcome: Outcome) -> bool:
        """Whether the entry speaks of this test, whose id has brackets."""
        return matches(self.test, outcome.id)

    def __str__(self) -> str:
        """Name the entry in a message."""
        return f"{super().__str__()} of {self.suite}"


def everything() -> list[Excused]:
    """Read the list."""
    entries = tomllib.loads(LIST.read_text()).get("exception", [])
    return [Excused(**{**entry, "versions": tuple(entry["versions"])}) for entry in entries]


def apply(suite: str, report: Report) -> list[str]:
    """Mark the bad outcomes that are listed, and say which entries are stale."""
    return apply_skips((entry for entry in everything() if entry.suite == suite), report)
