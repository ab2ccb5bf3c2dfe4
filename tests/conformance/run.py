"""Runs CPython's own tests of asyncio, those of the interpreter that runs this, on a loop.

    python tests/conformance/run.py --loop treadle --beside asyncio --beside uvloop --json target/conformance/3.13.json

Each test runs in a process of its own (``forkserver.py``) with the loop behind every door (``doors.py``). What does not
pass is run again alone: once if it fails again, three times if it passes. The exit status is 1 when a test fails that
asyncio passes on the same interpreter and that is not in ``skips.toml``, when a flaky one is not steady alone, or when
an entry of the list is stale; 2 when there was nothing to run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import skips
from outcome import BAD, STATUSES, Outcome, Report

LOOPS = ("asyncio", "uvloop", "treadle")
SERVER = Path(__file__).resolve().parent / "forkserver.py"
# A loop that fails most tests is not to be asked thrice about each.
MOST_RETRIES = 300
SLOW = 5.0


class CouldNotRun(Exception):  # noqa: N818 (it says what is so)
    """The fork server ended early; it has said why."""


@dataclass(frozen=True)
class Runner:
    """What the command line says of how to run."""

    modules: list[str]
    only: list[str]
    jobs: int
    timeout: float
    verbose: bool

    def report(self, loop: str) -> Report:
        """Run the chosen tests on a loop, and again what did not pass."""
        started = time.monotonic()
        arguments = [f"--module={module}" for module in self.modules] + [f"--only={only}" for only in self.only]
        about, outcomes = self.serve(loop, self.jobs, arguments)
        report = Report(
            loop=loop,
            loop_version=about["loop_version"],
            python=about["python"],
            platform=about["platform"],
            whole=not self.modules and not self.only,
            duplicates=about["duplicates"],
            outcomes=sorted(outcomes, key=lambda outcome: outcome.id),
        )
        self.retry(report)
        print(f"{loop} on Python {report.python}: {summary(report)}; {time.monotonic() - started:.0f} s", flush=True)
        return report

    def again(self, loop: str, ids: list[str], jobs: int = 1) -> list[Outcome]:
        """Run the tests named, one at a time unless told otherwise."""
        if not ids:
            return []
        with tempfile.NamedTemporaryFile("w", suffix=".ids") as file:
            file.write("\n".join(ids))
            file.flush()
            return self.serve(loop, jobs, [f"--ids={file.name}"])[1]

    def retry(self, report: Report) -> None:
        """Run what did not pass again, and what passes then twice more, to know a flaky test from a failing one."""
        bad = {outcome.id: outcome for outcome in report.outcomes if outcome.bad}
        if len(bad) > MOST_RETRIES:
            print(f"{report.loop}: {len(bad)} tests did not pass; they are not run again")
            return
        # Those that take long wait for the most part, so that they do not crowd each other.
        slow = [test for test, outcome in bad.items() if outcome.seconds > SLOW]
        rest = [test for test in bad if test not in slow]
        for outcome in self.again(report.loop, slow, self.jobs) + self.again(report.loop, rest):
            bad[outcome.id].retries.append(outcome.status)
        for _ in range(2):
            for outcome in self.again(report.loop, [test for test, outcome in bad.items() if outcome.flaky]):
                bad[outcome.id].retries.append(outcome.status)

    def serve(self, loop: str, jobs: int, arguments: list[str]) -> tuple[dict[str, Any], list[Outcome]]:
        """Start a fork server and collect what it tells.

        Raises:
            CouldNotRun: it did not come to its end.
        """
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        # Short, because the paths of Unix sockets are.
        with tempfile.TemporaryDirectory(prefix="tc", ignore_cleanup_errors=True) as scratch:
            command = [sys.executable, str(SERVER), f"--loop={loop}", f"--jobs={jobs}", f"--timeout={self.timeout}"]
            command += [f"--scratch={scratch}", *arguments]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
                assert server.stdout
                first = server.stdout.readline()
                about = json.loads(first) if first else {"tests": 0}
                outcomes = list(self.watched((Outcome(**json.loads(line)) for line in server.stdout), about["tests"]))
        if server.returncode:
            raise CouldNotRun(f"the tests could not be run on `{loop}`")
        return about, outcomes

    def watched(self, outcomes: Iterable[Outcome], total: int) -> Iterator[Outcome]:
        """Show how far it is, where somebody looks."""
        for count, outcome in enumerate(outcomes, 1):
            if self.verbose:
                print(f"{outcome.status:<8}{outcome.seconds:7.2f} s  {outcome.loop:<5} {outcome.id}", flush=True)
            elif sys.stdout.isatty():
                print(f"\r{count}/{total}", end="\r", flush=True)
            yield outcome


@dataclass
class Judgement:
    """The outcomes of a loop that did not pass, by what is thought of them."""

    fatal: list[Outcome]
    flaky: list[Outcome]
    of_asyncio: list[Outcome]
    listed: list[Outcome]
    stale: list[str]

    @property
    def exit_status(self) -> int:
        """Zero when there is nothing to mend."""
        return 1 if self.fatal or self.stale else 0


def judge(report: Report, runner: Runner, measure: Report | None) -> Judgement:
    """Hold a loop's failures against the list and against asyncio, which is run on them when it was not."""
    judgement = Judgement([], [], [], [], skips.apply(skips.everything(), report) if report.loop == "treadle" else [])
    bad = [outcome for outcome in report.outcomes if outcome.bad]
    judgement.listed = [outcome for outcome in bad if outcome.listed]
    bad = [outcome for outcome in bad if not outcome.listed]
    if report.loop == "asyncio":
        by_asyncio = []
    elif measure:
        by_asyncio = measure.outcomes
    else:
        by_asyncio = runner.again("asyncio", [outcome.id for outcome in bad], runner.jobs)
    bad_by_asyncio = {outcome.id for outcome in by_asyncio if outcome.status in BAD}
    for outcome in bad:
        if outcome.id in bad_by_asyncio:
            judgement.of_asyncio.append(outcome)
        elif outcome.steady_alone:
            judgement.flaky.append(outcome)
        else:
            judgement.fatal.append(outcome)
    return judgement


def tell(judgement: Judgement) -> None:
    """Print what did not pass and why."""
    for outcome in judgement.fatal:
        again = f" (again: {', '.join(outcome.retries)})" if outcome.retries else ""
        print(f"\n{outcome.status}: {outcome.id}{again}\n    {outcome.reason}")
        print("\n".join(f"    | {line}" for line in outcome.details.strip().splitlines()[-25:]))
    for title, outcomes in (
        ("flaky, but steady alone", judgement.flaky),
        ("not on asyncio either", judgement.of_asyncio),
        ("listed in skips.toml", judgement.listed),
    ):
        for outcome in outcomes:
            print(f"{title}: {outcome.id}: {outcome.status}: {outcome.reason}")
    for line in judgement.stale:
        print(f"stale skip: {line}")
    both = f"{len(judgement.of_asyncio)} not on asyncio either"
    excused = f"{len(judgement.listed)} listed, {len(judgement.stale)} stale"
    print(f"{len(judgement.fatal)} to mend, {len(judgement.flaky)} flaky, {both}, {excused}")


def summary(report: Report) -> str:
    """Return the counts in a line."""
    taken = sum(outcome.took_the_loop for outcome in report.outcomes)
    counts = [f"{report.count(status)} {status}" for status in STATUSES if report.count(status)]
    flaky = sum(outcome.flaky for outcome in report.outcomes)
    return ", ".join([f"{len(report.outcomes)} tests, {taken} took the loop", *counts, f"{flaky} flaky"])


def options_of_command_line() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loop", choices=LOOPS, default="treadle", help="the loop that is judged; default: treadle")
    parser.add_argument("--beside", choices=LOOPS, action="append", default=[], help="another loop, for the table")
    parser.add_argument("--module", action="append", default=[], help="only modules like this, `test_s*`; repeatable")
    parser.add_argument("--only", action="append", default=[], help="only ids like this, `*.test_close`; repeatable")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="tests at a time; default: all cores")
    parser.add_argument("--timeout", type=float, default=60, help="seconds for a test; default: 60")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all outcomes to a file")
    parser.add_argument("--verbose", action="store_true", help="print each test as it ends")
    return parser.parse_args()


def main() -> int:
    """Run, judge, tell."""
    options = options_of_command_line()
    runner = Runner(options.module, options.only, options.jobs, options.timeout, options.verbose)
    try:
        reports = {loop: runner.report(loop) for loop in dict.fromkeys([*options.beside, options.loop])}
        judged = reports[options.loop]
        if not judged.outcomes:
            print("no test is like that", file=sys.stderr)
            return 2
        judgement = judge(judged, runner, reports.get("asyncio"))
    except CouldNotRun as problem:
        print(problem, file=sys.stderr)
        return 2
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps([report.json() for report in reports.values()], indent=1) + "\n")
    tell(judgement)
    return judgement.exit_status


if __name__ == "__main__":
    sys.exit(main())
