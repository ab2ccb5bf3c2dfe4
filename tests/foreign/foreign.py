"""Runs the tests of libraries that live on asyncio, out of their source distributions, on a loop.

    python tests/foreign/foreign.py --package WHEEL --beside asyncio --beside uvloop --json target/foreign/3.13.json

Each suite runs in an environment of its own with the loop behind asyncio's doors (``inside/foreign_loop.py``). What
does not pass is run again without the others: once if it fails again, three times if it passes. The exit status is 1
when a test fails that asyncio passes and that is not in ``exceptions.toml``, when a flaky one is not steady, when an
entry of the list is stale, or when a suite has made no loop of the kind; 2 when a suite could not be run. In uvloop's
own suite a test that either of the others fails does not count.
"""

import argparse
import concurrent.futures
import json
import os
import platform
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# Before what is installed, which may have modules of the same names.
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "conformance"))

import environment
import exceptions
import servers
import session
import suites
from outcome import BAD, STATUSES, Outcome, Report
from session import Run, Session
from suites import Suite

LOOPS = ("asyncio", "uvloop", "treadle")
# A loop that fails most tests is not to be asked thrice about each.
MOST_RETRIES = 300


@dataclass
class SuiteReport(Report):
    """One suite on one loop."""

    suite: str = ""
    suite_version: str = ""
    made: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "SuiteReport":
        """Read what `json` gave."""
        return cls(**{**data, "outcomes": [Outcome(**outcome) for outcome in data["outcomes"]]})


@dataclass(frozen=True)
class Runner:
    """What the command line says of how to run."""

    loops: dict[str, Path]
    only: list[str]
    quick: bool

    def session(self, suite: Suite, loop: str) -> Session:
        """Return a suite on a loop."""
        return Session(suite, environment.Environment.of(suite, self.loops), loop, quick=self.quick)

    def reports(self, suite: Suite, loops: list[str]) -> list[SuiteReport]:
        """Run a suite on one loop after the other: there are suites that want a port of their own."""
        environment.prepare(suite)
        return [self.report(suite, loop) for loop in loops]

    def report(self, suite: Suite, loop: str) -> SuiteReport:
        """Run a suite on a loop, and again what did not pass."""
        started = time.monotonic()
        chosen = self.session(suite, loop)
        run = chosen.run(self.only or None)
        report = SuiteReport(
            loop=loop,
            loop_version="",
            python=platform.python_version(),
            platform=f"{platform.system()} {platform.machine()}",
            whole=not self.only and not self.quick,
            duplicates=[],
            outcomes=sorted(run.outcomes, key=lambda outcome: outcome.id),
            suite=suite.name,
            suite_version=suite.version,
            made=run.made,
        )
        retry(chosen, report)
        made = ", ".join(f"{count} of {kind}" for kind, count in run.made.items()) or "none"
        seconds = time.monotonic() - started
        print(f"{suite.name} on {loop}: {summary(report)}; loops: {made}; {seconds:.0f} s", flush=True)
        return report

    def again(self, suite: Suite, loop: str, ids: list[str]) -> Run:
        """Run the tests named."""
        return self.session(suite, loop).run(ids) if ids else Run()


def retry(chosen: Session, report: SuiteReport) -> None:
    """Run what did not pass again, and what passes then twice more, to know a flaky test from a failing one."""
    # The others are known to hang in places, and nobody mends them here.
    bad = {
        outcome.id: outcome
        for outcome in report.outcomes
        if outcome.bad and (report.loop == "treadle" or outcome.status != "hung")
    }
    if len(bad) > MOST_RETRIES:
        print(f"{report.suite} on {report.loop}: {len(bad)} tests did not pass; they are not run again")
        return
    wanted = list(bad)
    for _ in range(3):
        for outcome in chosen.run(wanted).outcomes if wanted else []:
            if outcome.id in bad:
                bad[outcome.id].retries.append(outcome.status)
        wanted = [test for test, outcome in bad.items() if outcome.flaky]


@dataclass
class Judgement:
    """The outcomes of a suite that did not pass, by what is thought of them."""

    report: SuiteReport
    fatal: list[Outcome]
    flaky: list[Outcome]
    of_others: list[Outcome]
    listed: list[Outcome]
    stale: list[str]

    @property
    def is_fine(self) -> bool:
        """Whether there is nothing to mend."""
        return not self.fatal and not self.stale and self.has_taken_the_loop

    @property
    def has_taken_the_loop(self) -> bool:
        """Whether the suite has made a loop of the kind."""
        return self.report.made.get(self.report.loop, 0) > 0


def judge(suite: Suite, report: SuiteReport, beside: list[SuiteReport], runner: Runner) -> Judgement:
    """Hold a loop's failures against the list and against the others, asyncio above all."""
    judgement = Judgement(report, [], [], [], [], [])
    if report.loop == "treadle":
        judgement.stale = exceptions.apply(suite.name, report)
    bad = [outcome for outcome in report.outcomes if outcome.bad]
    judgement.listed = [outcome for outcome in bad if outcome.listed]
    bad = [outcome for outcome in bad if not outcome.listed]
    measures = ("asyncio", "uvloop") if suite.doors == "uvloop" else ("asyncio",)
    excused: set[str] = set()
    for loop in measures:
        known = next((other.outcomes for other in beside if other.loop == loop), None)
        if known is None:
            known = runner.again(suite, loop, [outcome.id for outcome in bad]).outcomes
        excused |= {outcome.id for outcome in known if outcome.status in BAD}
    for outcome in bad:
        if outcome.id in excused:
            judgement.of_others.append(outcome)
        elif outcome.steady_alone:
            judgement.flaky.append(outcome)
        else:
            judgement.fatal.append(outcome)
    return judgement


def tell(judgement: Judgement) -> None:
    """Print what did not pass and why."""
    name = judgement.report.suite
    for outcome in judgement.fatal:
        again = f" (again: {', '.join(outcome.retries)})" if outcome.retries else ""
        print(f"\n{name}: {outcome.status}: {outcome.id}{again}\n    {outcome.reason}")
        print("\n".join(f"    | {line}" for line in outcome.details.strip().splitlines()[-40:]))
    for title, outcomes in (
        ("flaky, but steady when run again", judgement.flaky),
        ("not on the others either", judgement.of_others),
        ("listed in exceptions.toml", judgement.listed),
    ):
        for outcome in outcomes:
            print(f"{name}: {title}: {outcome.id}: {outcome.status}: {outcome.reason}")
    for line in judgement.stale:
        print(f"stale exception: {line}")
    if not judgement.has_taken_the_loop:
        print(f"{name}: no loop of {judgement.report.loop} was made; what ran was something else")
    both = f"{len(judgement.of_others)} not on the others either"
    excused = f"{len(judgement.listed)} listed, {len(judgement.stale)} stale"
    print(f"{name}: {len(judgement.fatal)} to mend, {len(judgement.flaky)} flaky, {both}, {excused}", flush=True)


def summary(report: SuiteReport) -> str:
    """Return the counts in a line."""
    counts = [f"{report.count(status)} {status}" for status in STATUSES if report.count(status)]
    flaky = sum(outcome.flaky for outcome in report.outcomes)
    taken = sum(outcome.took_the_loop for outcome in report.outcomes)
    return ", ".join([f"{len(report.outcomes)} tests, {taken} made a loop", *counts, f"{flaky} flaky"])


def options_of_command_line() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, required=True, help="treadle: a wheel, or a directory with the package")
    parser.add_argument("--loop", choices=LOOPS, default="treadle", help="the loop that is judged; default: treadle")
    parser.add_argument("--beside", choices=LOOPS, action="append", default=[], help="another loop, for the table")
    parser.add_argument("--suite", action="append", default=[], help="only this suite; repeatable")
    parser.add_argument("--only", action="append", default=[], help="only this test, by pytest's id; repeatable")
    parser.add_argument("--quick", action="store_true", help="the quick parts of the suites that have one")
    parser.add_argument("--jobs", type=int, default=2, help="suites at a time; default: 2")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all outcomes to a file")
    parser.add_argument("--watch", action="store_true", help="have the doctor watch, and list what it finds")
    return parser.parse_args()


def chosen(options: argparse.Namespace) -> list[Suite]:
    """Return the suites to run."""
    found = [suite for suite in suites.everything() if not options.suite or suite.name in options.suite]
    return [suite for suite in found if suite.quick or not options.quick]


def main() -> int:
    """Prepare, run, judge, tell."""
    options = options_of_command_line()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, session.give_up)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        # Under `nohup`: what is ignored would be so in tests that send the signal, what is caught is not.
        signal.signal(signal.SIGHUP, lambda *_: None)
    if options.watch:
        os.environ["TREADLE_FOREIGN_WATCH"] = str(environment.TARGET / "found")
        (environment.TARGET / "found").unlink(missing_ok=True)
    wanted = chosen(options)
    loops = list(dict.fromkeys([*options.beside, options.loop]))
    runner = Runner(environment.loops(options.package), options.only, options.quick)
    reports: list[SuiteReport] = []
    status = 0 if wanted else 2
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = [pool.submit(runner.reports, suite, loops) for suite in wanted]
        for suite, ended in zip(wanted, running, strict=True):
            try:
                of_suite = ended.result()
            except environment.Absent as absent:
                print(f"{suite.name}: not run: {absent}", flush=True)
                continue
            except (servers.Missing, subprocess.CalledProcessError) as problem:
                print(f"{suite.name}: could not be run: {problem}", file=sys.stderr)
                status = 2
                continue
            judgement = judge(suite, of_suite[-1], of_suite[:-1], runner)
            tell(judgement)
            status = status or (0 if judgement.is_fine else 1)
            reports += of_suite
            if options.json:
                keep(reports, options.json)
    if options.watch:
        tell_what_was_found(environment.TARGET / "found")
    return status


def tell_what_was_found(path: Path) -> None:
    """Print what the doctor has found in all processes of the suites, by what and where."""
    text = path.read_text() if path.exists() else ""
    summaries = [json.loads(line) for line in text.splitlines() if '"type":"summary"' in line]
    found: dict[tuple[str, str, str], int] = {}
    for finding in (finding for summary in summaries for finding in summary["findings"]):
        suspected = " (suspected)" if finding["suspected"] else ""
        place = f"{finding['path']}:{finding['line']}"
        key = (finding["name"] + suspected, place, finding["message"])
        found[key] = found.get(key, 0) + finding["count"]
    callbacks = sum(summary["callbacks"] for summary in summaries)
    print(f"the doctor: {len(summaries)} processes, {callbacks} callbacks, {len(found)} findings")
    for (name, place, message), count in sorted(found.items()):
        print(f"  {count:>5} {name} {place}: {message}")


def keep(reports: list[SuiteReport], path: Path) -> None:
    """Write all outcomes so far to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(report) for report in reports], indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
