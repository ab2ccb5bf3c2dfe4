"""``treadle run --record`` and ``treadle report``: what is kept, and who may be killed meanwhile."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from watched import TREADLE, child_of, start

MIB = 1 << 20

# Meets two pitfalls, in lines 12 and 17, and has a worker with a name.
APP = """\
import asyncio
import time


async def inner():
    await asyncio.sleep(0)
    return sum(range(3000))


async def spoil():
    await asyncio.sleep(0.05)
    time.sleep(0.3)


async def main():
    task = asyncio.create_task(spoil())
    inner()
    for _ in range(300):
        await inner()
    await asyncio.to_thread(time.sleep, 0.01)
    await task


asyncio.run(main())
"""

# Says when it runs, and goes on until it is told otherwise.
LASTING = """\
import asyncio


async def hold(mine, other):
    async with mine:
        await asyncio.sleep(0.05)
        async with other:
            pass


async def forgotten():
    await asyncio.sleep(0)


async def main():
    one, two = asyncio.Lock(), asyncio.Lock()
    tasks = [
        asyncio.create_task(hold(one, two), name="first"),
        asyncio.create_task(hold(two, one), name="second"),
    ]
    forgotten()
    await asyncio.sleep(0)
    print("here", flush=True)
    await asyncio.wait(tasks)


asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have each test in a directory of its own, for sockets too."""
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "lasting.py").write_text(LASTING)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, status: int = 0) -> "subprocess.CompletedProcess[str]":
    """Run treadle, which is to end with a status."""
    done = subprocess.run([TREADLE, *arguments], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stderr
    return done


def report(recording: str, *options: str) -> dict[str, Any]:
    """Return what a recording says."""
    report: dict[str, Any] = json.loads(run("report", recording, "--format", "json", *options).stdout)
    return report


def in_page(page: str) -> dict[str, Any]:
    """Return the report that is in a page."""
    found = re.search(r'id="report">([A-Za-z0-9+/=]+)</script>', page)
    assert found is not None
    report: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(found[1]), -15))
    return report


def lines(report: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Return the findings of a report: name, file and line."""
    found = []
    for one in report["findings"]:
        file, line, _, _ = report["sites"][one["site"]]
        found.append((one["name"], report["files"][file], line))
    return sorted(found)


def starts(columns: dict[str, list[int]]) -> list[int]:
    """Return when rows began."""
    total, times = 0, []
    for delta in columns["start_delta"]:
        total += delta
        times.append(total)
    return times


def stacks(flame: dict[str, Any], report: dict[str, Any], above: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    """Return the time of each stack of a flame graph, by the functions in it."""
    found = {above: flame["value"]}
    for child in flame["children"]:
        function = child["label"] or report["sites"][child["site"]][2]
        for stack, value in stacks(child, report, (*above, function)).items():
            found[stack] = found.get(stack, 0) + value
    return found


def test_recording_has_the_findings_that_are_told() -> None:
    done = run("run", "--watch=json", "--record", "app.treadle", "app.py")
    summary = json.loads([line for line in done.stderr.splitlines() if '"summary"' in line][-1])
    recorded = report("app.treadle")
    assert lines(recorded) == [("blocked-loop", "app.py", 12), ("never-awaited", "app.py", 17)]
    assert len(summary["findings"]) == 2
    for told in summary["findings"]:
        found = next(one for one in recorded["findings"] if one["name"] == told["name"])
        for field in ("message", "severity", "suspected", "count", "cause", "evidence", "help"):
            assert found[field] == told[field]
        assert abs(recorded["began"] / 1e3 + found["first"] / 1e6 - told["first"]) < 0.001
        worst = told["worst_seconds"]
        assert found["worst"] == (None if worst is None else pytest.approx(worst * 1e6, abs=2))
        assert len(found["marks"]) == found["count"]


def test_recording_implies_watching_for_people() -> None:
    done = run("run", "--record", "app.treadle", "app.py")
    assert "error[never-awaited]" in done.stderr
    run("run", "--record", "app.treadle", "--fail-on", "never-awaited", "app.py", status=3)


def test_report_has_tasks_steps_jobs_pauses_and_their_places() -> None:
    run("run", "--record", "app.treadle", "app.py")
    recorded = report("app.treadle")
    assert (recorded["format"], recorded["title"], recorded["kept_from"]) == (2, "app.py", 0)
    environment = dict(recorded["environment"])
    assert environment["command"] == "treadle run app.py"
    assert environment["Python"] == sys.version.split(" ")[0]
    assert (environment["ended"], environment["events lost"]) == ("by itself", "0")
    tasks, steps, sites = recorded["tasks"], recorded["steps"], recorded["sites"]
    codes = [sites[code][2] for code in tasks["code"]]
    main, spoil = codes.index("main"), codes.index("spoil")
    assert tasks["parent"][spoil] == main
    assert sites[tasks["birth"][spoil]][1:3] == [16, "main"]
    assert (tasks["outcome"][main], tasks["outcome"][spoil]) == (0, 0)
    assert tasks["ended"][spoil] > tasks["born"][spoil] >= tasks["born"][main]
    own = [at for at, task in enumerate(steps["task"]) if task == main]
    assert tasks["steps"][main] == len(own) >= 301
    assert int(environment["callbacks"]) == len(steps["took"])
    # The first step of a task was brought about by who has made it.
    first = steps["task"].index(spoil)
    assert steps["task"][first - steps["waker_delta"][first]] == main
    assert steps["queued"][first] >= 0
    # Who has brought about all others is known too, but for the tasks that were made while the loop did not run.
    unknown = [at for at, woken_by in enumerate(steps["woken_by"]) if woken_by == 0]
    assert [tasks["parent"][steps["task"][at]] for at in unknown] == [-1] * len(unknown)
    assert len(unknown) < 5
    assert min(steps["queued"]) >= 0
    woken = zip(steps["woken_by"], steps["waker_delta"], strict=True)
    assert all((woken_by == 1) == (delta > 0) for woken_by, delta in woken)
    # Its second step came from a timer's callback.
    second = steps["task"].index(spoil, first + 1)
    waker = second - steps["waker_delta"][second]
    assert (steps["task"][waker], steps["woken_by"][waker]) == (-1, 3)
    # The executor's thread has handed over what ends the wait for its job.
    assert 4 in steps["woken_by"]
    began = starts(steps)
    assert began == sorted(began)
    assert all(later + 2 >= start + took for start, took, later in zip(began, steps["took"], began[1:], strict=False))
    blocked = [at for at, kind in enumerate(recorded["pauses"]["kind"]) if kind == "blocked"]
    assert len(blocked) == 1
    # Without what the machine kept from it, but no less than what is too long.
    assert recorded["pauses"]["took"][blocked[0]] >= 100_000
    assert recorded["pauses"]["cause"][blocked[0]] == "sleeping"
    assert sites[recorded["pauses"]["site"][blocked[0]]][1] == 12
    longest = max(range(len(began)), key=lambda at: steps["took"][at])
    assert steps["task"][longest] == spoil
    assert abs(began[longest] - recorded["pauses"]["start"][blocked[0]]) < 1000
    jobs = recorded["jobs"]
    assert jobs["submitted"][0] <= jobs["started"][0] <= jobs["ended"][0]
    assert recorded["sites"][jobs["site"][0]][1] == 20
    assert recorded["excerpts"][str(sites[recorded["findings"][0]["site"]][0])]["12"] == "    time.sleep(0.3)"
    assert recorded["pages"]["blocked-loop"].startswith("# ")


def test_jobs_that_are_not_written_in_python_have_their_names(directory: Path) -> None:
    (directory / "jobs.py").write_text(
        "import asyncio, time\n"
        "async def main():\n"
        "    loop = asyncio.get_running_loop()\n"
        "    for function in (time.sleep, time.sleep, dict(a=1).get):\n"
        "        await loop.run_in_executor(None, function, 0)\n"
        "    await loop.run_in_executor(None, sum, ())\n"
        "asyncio.run(main())\n"
    )
    run("run", "--record", "jobs.treadle", "jobs.py")
    # A method that is made anew each time is called by its class.
    names = ["time.sleep", "time.sleep", "builtin_function_or_method", "sum"]
    assert report("jobs.treadle")["jobs"]["name"] == names


def test_whole_run_is_in_seconds_and_histograms() -> None:
    run("run", "--record", "app.treadle", "app.py")
    recorded = report("app.treadle")
    seconds, steps = recorded["seconds"], recorded["steps"]
    callbacks = int(dict(recorded["environment"])["callbacks"])
    assert sum(seconds["callbacks"]) == callbacks
    assert sum(recorded["histograms"]["step"]["counts"]) == callbacks
    assert len(recorded["histograms"]["step"]["edges"]) == len(recorded["histograms"]["step"]["counts"]) + 1
    assert sum(seconds["busy"]) == pytest.approx(sum(steps["took"]), rel=0.05)
    # Without what the machine kept from it, as above.
    assert max(seconds["lag"]) >= 100_000
    assert recorded["histograms"]["step"]["max"] >= 100_000
    # All that are not a transport's, which is called as soon as the system has answered.
    assert sum(recorded["histograms"]["queue"]["counts"]) == callbacks
    polls = recorded["polls"]["took"]
    assert sum(polls) == pytest.approx(sum(seconds["idle"]), rel=0.05, abs=len(polls))


def test_profile_is_folded_by_await_chain(directory: Path) -> None:
    (directory / "deep.py").write_text(
        "import asyncio, time\n"
        "async def leaf():\n"
        "    await asyncio.sleep(0)\n"
        "    end = time.perf_counter() + 0.02\n"
        "    while time.perf_counter() < end: pass\n"
        "async def middle():\n"
        "    await leaf()\n"
        "async def main():\n"
        "    for _ in range(50): await middle()\n"
        "    time.sleep(0.3)\n"
        "asyncio.run(main())\n"
    )
    run("run", "--record", "deep.treadle", "deep.py")
    recorded = report("deep.treadle")
    everything = stacks(recorded["flame"]["all"], recorded)
    assert everything["main", "middle", "leaf"] > 0.5 * everything[("main",)] > 0
    blocked = stacks(recorded["flame"]["blocked"], recorded)
    assert {()} < set(blocked) <= {(), ("(other)",), ("main",), ("main", "middle"), ("main", "middle", "leaf")}
    # The last round of `leaf` is part of the step that sleeps, and on a slow machine any round may take too long: what
    # is left is the sleep, which was `main`'s own.
    assert blocked[("main",)] - blocked.get(("main", "middle"), 0) > 200_000
    text = run("report", "deep.treadle", "--format", "collapsed").stdout
    assert re.search(r"^deep\.py:9 in main;deep\.py:7 in middle;deep\.py:\d in leaf \d+$", text, re.MULTILINE)


def test_page_has_the_report_and_its_title() -> None:
    done = run("run", "--report", "out.html", "app.py")
    assert "treadle: wrote out.html" in done.stderr
    page = Path("out.html").read_text()
    assert "<title>app.py</title>" in page
    assert "@@" not in page
    assert lines(in_page(page)) == [("blocked-loop", "app.py", 12), ("never-awaited", "app.py", 17)]
    assert [path.name for path in Path().iterdir() if path.is_file() and path.suffix != ".py"] == ["out.html"]


def test_page_is_written_beside_the_recording() -> None:
    run("run", "--record", "app.treadle", "--report", "now.html", "app.py")
    run("report", "app.treadle")
    assert in_page(Path("app.html").read_text()) == in_page(Path("now.html").read_text())


def wait_for(recording: str, name: str) -> dict[str, Any]:
    """Wait until a recording that is written to has a finding."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        done = subprocess.run(
            [TREADLE, "report", recording, "--format", "json"], check=False, capture_output=True, text=True
        )
        found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {"findings": []}
        if name in [one["name"] for one in found["findings"]] and found["waits"]["tasks"]:
            return found
        time.sleep(0.1)
    pytest.fail(f"{name} was not recorded")


def has_ended(process: int) -> bool:
    """Return whether a process is no more, or waits for its parent to look at it."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], check=False, capture_output=True, text=True)
    return found.stdout.strip() in {"", "Z"}


@pytest.mark.parametrize("victim", ["program", "parent", "both"])
def test_recording_is_there_whoever_is_killed(victim: str) -> None:
    process = start("--record", "lasting.treadle")
    program = child_of(process)
    wait_for("lasting.treadle", "deadlock")
    if victim != "program":
        os.kill(process.pid, signal.SIGKILL)
    if victim != "parent":
        os.kill(program, signal.SIGKILL)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGKILL
    end = time.monotonic() + 20
    while not has_ended(program) and time.monotonic() < end:
        time.sleep(0.05)
    recorded = report("lasting.treadle")
    assert {"deadlock", "never-awaited"} <= {one["name"] for one in recorded["findings"]}
    if victim != "parent":
        assert dict(recorded["environment"])["ended"] == "killed, or still running"
    names = [recorded["tasks"]["name"][task] for task in recorded["waits"]["tasks"]]
    assert {"first", "second"} <= set(names)
    ring = {(names[recorded["waits"]["tasks"].index(one)], thing) for one, _, thing in recorded["waits"]["edges"]}
    assert {("first", "Lock"), ("second", "Lock")} <= ring
    assert "nothing will wake them" in recorded["waits"]["reason"]
    first = recorded["waits"]["tasks"][names.index("first")]
    assert recorded["waits"]["waits_for"][str(first)] == "lock Lock"
    chain = recorded["waits"]["chains"][str(first)]
    assert recorded["sites"][chain[0]][1:3] == [7, "hold"]


def test_last_moment_of_a_program_that_is_killed_is_recorded(directory: Path) -> None:
    (directory / "dying.py").write_text(
        "import asyncio, os, signal\n"
        "async def work(): pass\n"
        "async def main():\n"
        "    await asyncio.sleep(0.2)\n"
        "    for number in range(500):\n"
        "        await asyncio.create_task(work(), name=f'task {number}')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    run("run", "--record", "app.treadle", "dying.py", status=-signal.SIGKILL)
    recorded = report("app.treadle")
    works = [at for at, code in enumerate(recorded["tasks"]["code"]) if recorded["sites"][code][2] == "work"]
    assert len(works) == 500
    assert all(recorded["tasks"]["ended"][at] >= 0 for at in works[:-1])
    steps = set(recorded["steps"]["task"])
    assert steps.issuperset(works)


def test_page_is_written_after_a_kill() -> None:
    process = start("--report", "out.html")
    program = child_of(process)
    time.sleep(0.5)
    os.kill(program, signal.SIGKILL)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGKILL
    assert ("never-awaited", "lasting.py", 21) in lines(in_page(Path("out.html").read_text()))


def test_recording_has_the_size_that_is_said_however_much_happens(directory: Path) -> None:
    (directory / "busy.py").write_text(
        "import asyncio\n"
        "async def work(number):\n"
        "    await asyncio.sleep(0)\n"
        "async def keeper(event):\n"
        "    await event.wait()\n"
        "    await asyncio.sleep(0)\n"
        "async def main():\n"
        "    event = asyncio.Event()\n"
        "    kept = asyncio.create_task(keeper(event), name='kept')\n"
        "    for _ in range(300):\n"
        "        await asyncio.gather(*(work(number) for number in range(200)))\n"
        "    event.set()\n"
        "    await kept\n"
        "asyncio.run(main())\n"
    )
    run("run", "--record", "busy.treadle", "--record-size", "4M", "busy.py")
    assert Path("busy.treadle").stat().st_size == 4 * MIB
    recorded = report("busy.treadle")
    callbacks = int(dict(recorded["environment"])["callbacks"])
    assert callbacks > 120_000
    assert sum(recorded["seconds"]["callbacks"]) == callbacks
    assert sum(recorded["histograms"]["step"]["counts"]) == callbacks
    assert 10_000 < len(recorded["steps"]["took"]) < 70_000
    assert recorded["kept_from"] > 0
    assert min(starts(recorded["steps"])) >= recorded["kept_from"]
    run("report", "busy.treadle")
    assert Path("busy.html").stat().st_size < 5 * MIB


def test_file_that_is_cut_says_so_or_loses_its_tail() -> None:
    run("run", "--record", "app.treadle", "--record-size", "4M", "app.py")
    wanted = lines(report("app.treadle"))
    whole = Path("app.treadle").read_bytes()
    events = int.from_bytes(whole[8:16], "little") * 32
    for cut in (9, 100, 4096, events, events + 4096):
        Path("cut.treadle").write_bytes(whole[:cut])
        done = run("report", "cut.treadle", status=2)
        assert done.stderr == (
            "treadle: `cut.treadle` is cut: not all of its events are there. Copy the whole file once more\n"
        )
    end = len(whole.rstrip(b"\0"))
    seen = set()
    for cut in range(end, events + 3 * MIB // 2, -((end - events - 3 * MIB // 2) // 60)):
        Path("cut.treadle").write_bytes(whole[:cut])
        found = lines(report("cut.treadle"))
        assert set(found) <= set(wanted)
        seen.add(len(found))
    assert 2 in seen


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "`foreign` is no recording of treadle's. Make one with `treadle run --record foreign app.py`"),
        (b"import asyncio\n", "`foreign` is no recording of treadle's. Make one with"),
        (b"treadle\x07" + bytes(5000), "`foreign` was recorded by a newer treadle than this one. Install that version"),
        (bytes(5000), "`foreign` holds nothing: the program has not made an event loop of treadle's."),
    ],
)
def test_file_that_is_no_recording_is_refused_in_two_sentences(text: bytes, words: str) -> None:
    Path("foreign").write_bytes(text)
    done = run("report", "foreign", status=2)
    assert done.stderr.startswith(f"treadle: {words}")
    assert len(re.findall(r"\. [A-Z]", done.stderr)) == 1
    assert "nowhere" in run("report", "nowhere", status=2).stderr


def test_nothing_that_is_needed_is_written_over() -> None:
    assert "is there and is no recording" in run("run", "--record", "app.py", "lasting.py", status=2).stderr
    assert "Give `--report` one that ends in `.html`" in run("run", "--report", "app.py", "app.py", status=2).stderr
    assert Path("app.py").read_text() == APP
    run("run", "--record", "app.treadle", "app.py")
    assert "is a recording" in run("report", "app.treadle", "-o", "./app.treadle", status=2).stderr
    assert "from `4M`" in run("run", "--record", "app.treadle", "--record-size", "1M", "app.py", status=2).stderr
    assert lines(report("app.treadle"))
    # A recording may be made anew.
    run("run", "--record", "app.treadle", "app.py")


def test_arguments_of_the_program_are_not_recorded() -> None:
    run("run", "--record", "app.treadle", "app.py", "--password", "hunter2")
    assert dict(report("app.treadle")["environment"])["command"] == "treadle run app.py …"
    assert b"hunter2" not in Path("app.treadle").read_bytes()


def test_difference_to_another_recording_is_shown(directory: Path) -> None:
    run("run", "--record", "old.treadle", "app.py")
    (directory / "app.py").write_text("# moved\n" + APP.replace("    inner()\n    for", "    for"))
    run("run", "--record", "new.treadle", "app.py")
    changed = report("new.treadle", "--compare", "old.treadle")["difference"]
    changes = {change["name"]: (change["change"], change["before"], change["after"]) for change in changed["findings"]}
    assert changes == {"blocked-loop": ("same", 1, 1), "never-awaited": ("gone", 1, 0)}
    rows = {what: (before, after) for what, before, after, _ in changed["rows"]}
    assert min(rows["longest step"]) >= 100
    # Without what the machine kept from it, but no less than what is too long.
    assert min(rows["blocked"]) >= 100
    assert changed["flame"]["before"] > 0
    assert "difference" not in report("new.treadle")


def test_program_that_watches_itself_records_itself(directory: Path) -> None:
    (directory / "own.py").write_text(
        "import asyncio, treadle\n"
        "async def store(): pass\n"
        "async def main():\n"
        "    store()\n"
        "treadle.watch(record='own.treadle', output='silent')\n"
        "treadle.run(main())\n"
    )
    subprocess.run([sys.executable, "own.py"], check=True, capture_output=True, timeout=60)
    recorded = report("own.treadle")
    assert lines(recorded) == [("never-awaited", "own.py", 4)]
    assert recorded["title"] == "own.py"


# Has two children, of which the second is killed when it has met a pitfall.
FAMILY = """\
import asyncio, multiprocessing, os, signal, treadle.doctor


async def store():
    pass


async def child(number):
    store()
    await asyncio.sleep(0, number)


async def stay(seen):
    store()
    while not treadle.doctor.findings():
        await asyncio.sleep(0.01)
    seen.set()
    await asyncio.sleep(600)


def begin(number):
    os.chdir("/")
    asyncio.run(child(number))


def last(seen):
    asyncio.run(stay(seen))


async def main():
    await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(main())
    context = multiprocessing.get_context("METHOD")
    first = context.Process(target=begin, args=(1,))
    first.start()
    first.join()
    seen = context.Event()
    second = context.Process(target=last, args=(seen,))
    second.start()
    seen.wait()
    os.kill(second.pid, signal.SIGKILL)
    second.join()
    print(first.pid, second.pid)
"""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_are_recorded_beside_their_parent(directory: Path, method: str) -> None:
    (directory / "family.py").write_text(FAMILY.replace("METHOD", method))
    done = run("run", "--record", "app.treadle", "--record-size", "4M", "family.py")
    first, second = done.stdout.split()
    files = f"app-1.treadle (process {first}), app-2.treadle (process {second})"
    assert f"treadle: recorded app.treadle, and beside it what children did: {files}\n" in done.stderr
    assert lines(report("app.treadle")) == []
    for name, process, line, ended in (
        ("app-1.treadle", first, 9, "by itself"),
        ("app-2.treadle", second, 14, "killed, or still running"),
    ):
        assert Path(name).stat().st_size == 4 * MIB
        recorded = report(name)
        assert recorded["title"] == f"family.py, process {process}"
        assert lines(recorded) == [("never-awaited", "family.py", line)]
        environment = dict(recorded["environment"])
        assert len(environment) == len(recorded["environment"])
        assert (environment["process"], environment["ended"]) == (process, ended)
        assert environment["recorded beside"] == "app.treadle"
    told = run("report", "app.treadle").stderr
    assert told == f"treadle: wrote app.html\ntreadle: children were recorded beside app.treadle: {files}\n"
    page = in_page(Path("app.html").read_text())
    assert dict(page["environment"])["children recorded too"] == f"{first}, {second}"
    run("report", "app.treadle", "app-1.treadle", "app-2.treadle")
    assert in_page(Path("app-2.html").read_text()) == report("app-2.treadle")


def test_each_child_gets_a_page_and_leaves_nothing_else(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(directory / "temporary"))
    (directory / "family.py").write_text(FAMILY.replace("METHOD", "spawn"))
    done = run("run", "--report", "out.html", "--record-size", "4M", "family.py")
    assert re.findall("wrote (.*)", done.stderr) == ["out.html", "out-1.html", "out-2.html"]
    assert lines(in_page(Path("out-2.html").read_text())) == [("never-awaited", "family.py", 14)]
    assert sorted(path.name for path in Path().glob("*.html")) == ["out-1.html", "out-2.html", "out.html"]
    assert list(Path().glob("*.treadle")) == list((directory / "temporary").iterdir()) == []


def test_children_of_a_process_without_loops_are_recorded(directory: Path) -> None:
    # As servers do that fork before their workers import anything.
    (directory / "fork.py").write_text(
        "import os\n"
        "def work():\n"
        "    import asyncio\n"
        "    async def store(): pass\n"
        "    async def main():\n"
        "        store()\n"
        "        await asyncio.sleep(0)\n"
        "    asyncio.run(main())\n"
        "children = []\n"
        "for _ in range(2):\n"
        "    children.append(os.fork())\n"
        "    if not children[-1]:\n"
        "        work()\n"
        "        raise SystemExit\n"
        "assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]\n"
    )
    done = run("run", "--record", "app.treadle", "--record-size", "4M", "fork.py")
    assert "nothing was watched" not in done.stderr
    for number in (1, 2):
        assert lines(report(f"app-{number}.treadle")) == [("never-awaited", "fork.py", 6)]
    words = run("report", "app.treadle", status=2).stderr
    assert "this process has run no event loop, but its children have: app-1.treadle" in words
    told = run("report", "app.treadle", "app-1.treadle", "app-2.treadle").stderr
    assert "`app.treadle` holds nothing" in told
    assert re.findall("wrote (.*)", told) == ["app-1.html", "app-2.html"]
    assert "there is nothing to show" in run("report", "app.treadle", "app.treadle", status=2).stderr
    assert "get a page each" in run("report", "app-1.treadle", "app-2.treadle", "-o", "x.html", status=2).stderr


def test_only_children_with_loops_are_recorded_and_only_the_last_run_is_kept(directory: Path) -> None:
    (directory / "pool.py").write_text(
        "import asyncio, multiprocessing, sys\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "async def nothing(): pass\n"
        "def loop():\n"
        "    asyncio.run(nothing())\n"
        "async def main():\n"
        "    context = multiprocessing.get_context(sys.argv[1])\n"
        "    with ProcessPoolExecutor(1, context) as pool:\n"
        "        work = loop if len(sys.argv) > 2 else abs\n"
        "        await asyncio.get_running_loop().run_in_executor(pool, work, *[1][: work is abs])\n"
        "if __name__ == '__main__': asyncio.run(main())\n"
    )
    (directory / "app-2.treadle").write_text("notes")
    for method, more, wanted in (("spawn", ["loop"], 1), ("spawn", [], 0), ("fork", ["loop"], 1), ("fork", [], 0)):
        run("run", "--record", "app.treadle", "--record-size", "4M", "pool.py", method, *more)
        assert len(list(Path().glob("app-*.treadle"))) == wanted + 1
        assert (directory / "app-1.treadle").exists() == bool(wanted)
    assert (directory / "app-2.treadle").read_text() == "notes"


def test_child_that_cannot_be_recorded_runs_and_is_watched(directory: Path) -> None:
    (directory / "child.py").write_text(
        "import asyncio, os, sys\n"
        "async def store(): pass\n"
        "async def main():\n"
        "    store()\n"
        "    await asyncio.sleep(0)\n"
        "asyncio.run(asyncio.sleep(0))\n"
        "os.rename('place', 'elsewhere')\n"
        "if os.fork():\n"
        "    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))\n"
        "asyncio.run(main())\n"
        "print('ran')\n"
    )
    (directory / "place").mkdir()
    done = run("run", "--record", "place/app.treadle", "child.py")
    assert done.stdout == "ran\n"
    assert re.search(r"treadle: process \d+ is not recorded: ", done.stderr)
    assert "never-awaited" in done.stderr


def test_children_of_a_program_that_records_itself_are_recorded(directory: Path) -> None:
    (directory / "own.py").write_text(
        "import asyncio, os, treadle\n"
        "async def store(): pass\n"
        "async def main():\n"
        "    store()\n"
        "    await asyncio.sleep(0)\n"
        "treadle.watch(record='own.treadle', output='silent', settings=False)\n"
        "if os.fork(): os.wait()\n"
        "else:\n"
        "    os.chdir('/')\n"
        "    treadle.run(main())\n"
    )
    subprocess.run([sys.executable, "own.py"], check=True, capture_output=True, timeout=60)
    assert lines(report("own.treadle")) == []
    assert lines(report("own-1.treadle")) == [("never-awaited", "own.py", 4)]
