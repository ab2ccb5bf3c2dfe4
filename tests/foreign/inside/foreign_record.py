"""The plugin of pytest that tells the runner of each test: one JSON line when it starts, one when it has ended.

``TREADLE_FOREIGN_RECORD`` is the file; ``TREADLE_FOREIGN_DONE`` names the tests that have run already and
``TREADLE_FOREIGN_ONLY`` those that are wanted, one in a line; ``TREADLE_FOREIGN_WITHOUT`` has expressions for those
that are left out.
"""

import gc
import json
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import foreign_loop
import pytest

RECORD = Path(os.environ["TREADLE_FOREIGN_RECORD"])
# Of what a test prints, so much is kept.
MOST_DETAILS = 6000


class Recorder:
    """Keeps the reports of the test that runs."""

    def __init__(self) -> None:
        """No test runs."""
        self.reports: list[pytest.TestReport] = []
        self.started = 0.0
        self.loops = 0
        self.file = RECORD.open("a", buffering=1)

    def tell(self, **fields: object) -> None:
        """Write a line."""
        self.file.write(json.dumps(fields) + "\n")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Tell of a module that cannot be imported as of a test."""
        if report.failed:
            self.tell(event="end", id=report.nodeid or "session", status="errored", **words([report]))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what has run or is not wanted."""
        done, only = named("TREADLE_FOREIGN_DONE"), named("TREADLE_FOREIGN_ONLY")
        without = [re.compile(expression, re.DOTALL) for expression in named("TREADLE_FOREIGN_WITHOUT")]

        def wanted(test: str) -> bool:
            if test in done or any(expression.fullmatch(test) for expression in without):
                return False
            return not only or test in only

        config.hook.pytest_deselected(items=[item for item in items if not wanted(item.nodeid)])
        items[:] = [item for item in items if wanted(item.nodeid)]
        self.tell(event="collected", tests=len(items))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """Spare the collector what is there already: aiohttp's tests have it run after each of thousands."""
        gc.collect()
        gc.freeze()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Tell that a test starts."""
        self.reports = []
        self.started = time.monotonic()
        self.loops = foreign_loop.made(foreign_loop.LOOP)
        self.tell(event="start", id=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what is said of a part of the test."""
        self.reports.append(report)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Tell how the test ended."""
        took = foreign_loop.made(foreign_loop.LOOP) > self.loops
        self.tell(
            event="end",
            id=nodeid,
            status=status(self.reports),
            loop="made" if took else "not",
            seconds=round(time.monotonic() - self.started, 3),
            **words([report for report in self.reports if report.failed or report.skipped]),
        )

    def pytest_sessionfinish(self) -> None:
        """Tell that all tests have run; what is left is to end."""
        self.tell(event="finished")


def named(variable: str) -> set[str]:
    """Return the tests a file names."""
    path = os.environ.get(variable)
    return set(Path(path).read_text().splitlines()) if path else set()


def status(reports: list[pytest.TestReport]) -> str:
    """Return what became of a test."""
    for report in reports:
        if report.failed:
            return "failed" if report.when == "call" else "errored"
    if any(report.skipped and not hasattr(report, "wasxfail") for report in reports):
        return "skipped"
    return "passed"


def words(reports: Sequence[pytest.TestReport | pytest.CollectReport]) -> dict[str, str]:
    """Return the reason in a line, and the details."""
    if not reports:
        return {}
    report = reports[0]
    said: Any = report.longrepr
    crash = getattr(said, "reprcrash", None)
    reason = crash.message if crash else str(said[2] if isinstance(said, tuple) else said)
    details = "" if report.skipped else "\n".join([report.longreprtext, *(text for _, text in report.sections)])
    return {"reason": (reason.strip().splitlines() or [""])[0][:300], "details": details[-MOST_DETAILS:]}


def pytest_configure(config: pytest.Config) -> None:
    """Begin to record."""
    config.pluginmanager.register(Recorder(), "foreign-recorder")
