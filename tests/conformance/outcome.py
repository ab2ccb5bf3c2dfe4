"""What is known of a test once it has run, and its way through JSON. Knows neither tests nor loops."""

from dataclasses import asdict, dataclass, field
from typing import Any

# In the order in which they are told. A loop answers for the last four.
STATUSES = ("passed", "skipped", "failed", "errored", "hung", "crashed")
BAD = frozenset({"failed", "errored", "hung", "crashed"})


@dataclass
class Outcome:
    """One test on one loop."""

    id: str
    status: str
    # `not`, `made` or `run`: how far the test went with the loop under test.
    loop: str
    seconds: float
    reason: str = ""
    details: str = ""
    # What became of it when it was run again alone.
    retries: list[str] = field(default_factory=list)
    # Why it stands in the list of skips, when it is bad and does.
    listed: str = ""

    @property
    def bad(self) -> bool:
        """Whether it did not pass in the first place."""
        return self.status in BAD

    @property
    def flaky(self) -> bool:
        """Whether it passed when it was run again alone, at least once."""
        return any(status not in BAD for status in self.retries)

    @property
    def steady_alone(self) -> bool:
        """Whether it passed alone each of three times, so that the crowd was to blame."""
        return len(self.retries) >= 3 and all(status not in BAD for status in self.retries)

    @property
    def column(self) -> str:
        """The column of a table that it is counted in."""
        if self.flaky:
            return "flaky"
        if self.listed:
            return "listed"
        return "failed" if self.status == "errored" else self.status

    @property
    def took_the_loop(self) -> bool:
        """Whether the loop under test was made in it at all."""
        return self.loop != "not"


@dataclass
class Report:
    """All tests of one interpreter on one loop."""

    loop: str
    loop_version: str
    python: str
    platform: str
    # Whether all modules ran: only such a report says that a skip is stale, and only such ones go into the docs.
    whole: bool
    duplicates: list[str]
    outcomes: list[Outcome]

    def count(self, *statuses: str) -> int:
        """How many tests ended so, without those that are flaky or listed."""
        return sum(outcome.status in statuses and not (outcome.flaky or outcome.listed) for outcome in self.outcomes)

    def json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Report":
        """Read what `json` gave."""
        return cls(**{**data, "outcomes": [Outcome(**outcome) for outcome in data["outcomes"]]})
