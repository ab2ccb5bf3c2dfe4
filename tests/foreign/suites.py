"""The suites as data: what ``suites.toml`` says of each, and how a test is matched by a pattern."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIST = Path(__file__).resolve().parent / "suites.toml"


@dataclass(frozen=True)
class Suite:
    """One library's own tests."""

    name: str
    version: str
    # Debian's source package, when the source distribution has no tests and what upstream released does.
    debian: str = ""
    # What pip installs beside the library.
    needs: tuple[str, ...] = ()
    # What is taken out of the source distribution; the rest could be imported in place of what is installed.
    files: tuple[str, ...] = ("tests",)
    # A `conftest.py` beside the tests: what the suite's own runner does before it runs them.
    conftest: str = ""
    # pytest's arguments, and those that choose a quick part; `{port}` and `{scratch}` are filled in.
    arguments: tuple[str, ...] = ("tests",)
    quick: tuple[str, ...] = ()
    # Environment variables, filled in likewise.
    environment: tuple[tuple[str, str], ...] = ()
    # `postgres` or `redis`.
    server: str = ""
    # `uvloop` when the suite asks uvloop for its loops, by name.
    doors: str = ""
    # Tests that are left out, each with its reason.
    without: tuple[tuple[str, str], ...] = ()
    timeout: float = 60


def everything() -> list[Suite]:
    """Read the list."""
    return [suite(entry) for entry in tomllib.loads(LIST.read_text())["suite"]]


def suite(entry: dict[str, Any]) -> Suite:
    """Return what an entry says."""
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    fields["environment"] = tuple(entry.get("environment", {}).items())
    fields["without"] = tuple((out["test"], out["reason"]) for out in entry.get("without", []))
    return Suite(**fields)


def matches(pattern: str, test: str) -> bool:
    """Whether a test is like that."""
    return re.fullmatch(expression(pattern), test, re.DOTALL) is not None


def expression(pattern: str) -> str:
    """Return a pattern as a regular expression: `*` is anything; pytest's ids have brackets."""
    return ".*".join(re.escape(part) for part in pattern.split("*"))
