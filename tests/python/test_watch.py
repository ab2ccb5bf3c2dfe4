"""``treadle run --watch`` and :func:`treadle.watch`: what the user says, hears and gets."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from watched import TREADLE, child_of, start

# Meets one pitfall, in line 9.
FORGETFUL = """\
import asyncio


async def store(row):
    await asyncio.sleep(0)


async def main():
    store(1)
    await asyncio.sleep(0)


asyncio.run(main())
"""
CLEAN = FORGETFUL.replace("    store(1)", "    await store(1)")

# Says when it runs, and goes on until it is told otherwise.
LASTING = FORGETFUL.replace(
    "await asyncio.sleep(0)\n\n\nasyncio", 'print("here", flush=True)\n    await asyncio.sleep(60)\n\n\nasyncio'
)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have each test in a directory of its own, for sockets too."""
    for name, text in {"forgetful": FORGETFUL, "clean": CLEAN, "lasting": LASTING}.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, status: int = 0) -> "subprocess.CompletedProcess[str]":
    """Run treadle, which is to end with a status."""
    done = subprocess.run([TREADLE, *arguments], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    return done


def objects(text: str) -> list[dict[str, Any]]:
    """Return the objects on the lines of a text; Python's own warnings stand between them."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def wait_for_finding(process: int) -> None:
    """Wait until the doctor of a process has found something."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        done = subprocess.run(
            [TREADLE, "snapshot", str(process), "--json"], check=False, capture_output=True, text=True, timeout=20
        )
        if done.returncode == 0 and json.loads(done.stdout)["findings"]:
            return
        time.sleep(0.05)
    pytest.fail("nothing was found")


def test_clean_program_gets_one_line_saying_so() -> None:
    done = run("run", "--watch", "clean.py")
    assert done.stdout == ""
    assert re.fullmatch(r"treadle: nothing found; watched .* and \d+ callbacks\n", done.stderr)


def test_finding_is_told_with_line_and_cure_at_once_and_at_the_end() -> None:
    text = run("run", "--watch", "forgetful.py").stderr
    assert text.count("error[never-awaited]") == 2
    assert "  --> forgetful.py:9 in main\n  |\n9 |     store(1)\n  |\n" in text
    assert "= help: await it: `await store(…)`" in text
    assert "treadle: 1 finding; watched" in text


def test_findings_for_programs_are_objects_on_lines() -> None:
    finding, summary = objects(run("run", "--watch=json", "forgetful.py").stderr)
    expected = {
        "type": "finding",
        "name": "never-awaited",
        "severity": "error",
        "line": 9,
        "function": "main",
        "count": 1,
    }
    assert expected.items() <= finding.items()
    assert finding["path"].endswith("forgetful.py")
    assert abs(finding["first"] - time.time()) < 60
    assert summary["type"] == "summary"
    assert [found["name"] for found in summary["findings"]] == ["never-awaited"]


def test_findings_are_added_to_a_file() -> None:
    Path("words").write_text("before\n")
    done = run("run", "--watch=json", "--watch-to", "words", "forgetful.py")
    assert objects(done.stderr) == []
    lines = Path("words").read_text().splitlines()
    assert lines[0] == "before"
    assert [json.loads(line)["type"] for line in lines[1:]] == ["finding", "summary"]


def test_findings_are_written_to_a_descriptor() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as words:
        command = [TREADLE, "run", "--watch=json", "--watch-to", str(writing), "forgetful.py"]
        subprocess.run(command, check=True, capture_output=True, pass_fds=[writing], timeout=60)
        os.close(writing)
        assert [found["type"] for found in objects(words.read())] == ["finding", "summary"]


@pytest.mark.parametrize(
    ("wanted", "program", "status"),
    [("never-awaited", "forgetful", 3), ("any", "forgetful", 3), ("blocked-loop", "forgetful", 0), ("any", "clean", 0)],
)
def test_program_fails_for_a_finding_if_asked(wanted: str, program: str, status: int) -> None:
    run("run", "--watch", "--fail-on", wanted, f"{program}.py", status=status)


def test_own_failure_of_the_program_comes_first(directory: Path) -> None:
    (directory / "failing.py").write_text(FORGETFUL + "\nraise SystemExit(7)\n")
    run("run", "--watch", "--fail-on", "any", "failing.py", status=7)


def test_threshold_says_from_when_on_it_is_too_much(directory: Path) -> None:
    (directory / "slow.py").write_text(CLEAN.replace("    await store(1)", "    __import__('time').sleep(0.3)"))
    names = [
        [found["name"] for found in objects(run("run", "--watch=json", *options, "slow.py").stderr)[-1]["findings"]]
        for options in ([], ["--threshold", "blocked-loop=5s"])
    ]
    assert names == [["blocked-loop"], []]


def test_comments_for_the_checker_silence_the_doctor(directory: Path) -> None:
    for word in ("never-awaited", "missing-await"):
        (directory / "known.py").write_text(FORGETFUL.replace("store(1)", f"store(1)  # treadle: ignore[{word}] known"))
        assert "nothing found" in run("run", "--watch", "--fail-on", "any", "known.py").stderr


def test_baseline_knows_what_was_found_before(directory: Path) -> None:
    run("run", "--watch", "--write-baseline", "known.json", "forgetful.py")
    # Another line, and another mistake.
    (directory / "forgetful.py").write_text("# moved\n" + FORGETFUL)
    assert "nothing found" in run("run", "--watch", "--baseline", "known.json", "forgetful.py").stderr
    (directory / "forgetful.py").write_text(FORGETFUL.replace("store", "keep"))
    assert "1 finding" in run("run", "--watch", "--baseline", "known.json", "forgetful.py").stderr


def test_settings_of_the_project_hold_where_nothing_is_said(directory: Path) -> None:
    settings = '[tool.treadle.watch]\nfail-on = ["never-awaited"]\n'
    (directory / "pyproject.toml").write_text(settings)
    run("run", "--watch", "forgetful.py", status=3)
    run("run", "--watch", "--fail-on", "blocked-loop", "forgetful.py")
    (directory / "pyproject.toml").write_text('[tool.treadle.watch]\nignore = ["never-awaited"]\n')
    assert "nothing found" in run("run", "--watch", "forgetful.py").stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fail-on", "blocked"], "`blocked` is no pitfall"),
        (["--fail-on", "legacy-loop-api"], "found by `treadle check` only"),
        (["--threshold", "blocked-loop=5"], "`5` is no duration such as `50ms`"),
        (["--threshold", "never-awaited=5s"], "`never-awaited` has no threshold"),
        (["--watch-to", "nowhere/words"], "nowhere/words"),
        (["--baseline", "clean.py"], "clean.py"),
    ],
)
def test_slips_are_told_before_the_program_starts(arguments: list[str], words: str) -> None:
    done = run("run", "--watch", *arguments, "forgetful.py", status=2)
    assert words in done.stderr
    assert "never awaited" not in done.stderr


@pytest.mark.parametrize("line", ['fail-on = ["blocked"]', 'output = "loud"', "nonsense = 1"])
def test_slips_in_settings_are_told(directory: Path, line: str) -> None:
    (directory / "pyproject.toml").write_text(f"[tool.treadle.watch]\n{line}\n")
    assert run("run", "--watch", "clean.py", status=2).stderr.startswith("treadle: ")


# What a program may import before asyncio: the doctor begins when asyncio is there, in the middle of that.
@pytest.mark.parametrize(
    "module", ["", ".doctor", ".doctor.watching", ".loop", ".loop.streams", ".patterns", ".testing"]
)
def test_program_may_begin_with_any_part_of_treadle(module: str) -> None:
    done = run("run", "--watch", "-c", f"import treadle{module}, asyncio; asyncio.run(asyncio.sleep(0))")
    assert "nothing found" in done.stderr


def test_program_without_a_loop_is_told_of() -> None:
    done = run("run", "--watch", "-c", "print(1)")
    assert (done.stdout, done.stderr.count("nothing was watched")) == ("1\n", 1)


def test_program_that_was_killed_leaves_its_findings() -> None:
    process = start("--watch")
    wait_for_finding(child_of(process))
    os.kill(child_of(process), signal.SIGKILL)
    _, text = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGKILL
    assert "the program was killed by SIGKILL; this is what was found until then\ntreadle: 1 finding" in text
    assert "at the end:\n  loop 1 waited for the system\n" in text


def test_program_that_was_killed_leaves_its_findings_for_programs_too() -> None:
    process = start("--watch=json")
    wait_for_finding(child_of(process))
    os.kill(child_of(process), signal.SIGKILL)
    _, text = process.communicate(timeout=20)
    summary = objects(text)[-1]
    assert (summary["type"], summary["ended"]) == ("summary", "was killed by SIGKILL")
    assert [found["name"] for found in summary["findings"]] == ["never-awaited"]
    assert summary["last"]["loops"][0]["activity"] == "polling"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_signals_that_somebody_sends_go_on_to_the_program(number: signal.Signals) -> None:
    process = start("--watch")
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == -number


def test_interrupt_that_somebody_sends_reaches_the_program_once(directory: Path) -> None:
    handling = "import signal\nsignal.signal(signal.SIGUSR2, lambda *_: print('got it', flush=True))\n" + LASTING
    (directory / "lasting.py").write_text(handling)
    process = start("--watch")
    assert process.stdout is not None
    process.send_signal(signal.SIGUSR2)
    assert process.stdout.readline() == "got it\n"
    process.send_signal(signal.SIGINT)
    out, text = process.communicate(timeout=20)
    assert out == ""
    assert text.splitlines().count("KeyboardInterrupt") == 1
    assert process.returncode == -signal.SIGINT


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system does not tell a process of its parent's end")
def test_program_does_not_outlive_who_watches_it() -> None:
    process = start("--watch")
    program = child_of(process)
    process.kill()
    process.communicate(timeout=20)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            os.kill(program, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail("it lives on")


def test_snapshot_needs_no_number_if_there_is_one_program() -> None:
    assert "no program is watched" in run("snapshot", status=2).stderr
    process = start("--watch")
    text = run("snapshot").stdout
    assert text.startswith("loop 1 (polling): ")
    process.terminate()
    process.communicate(timeout=20)
    assert f"process {os.getpid()} is not watched" in run("snapshot", str(os.getpid()), status=2).stderr


def test_nobody_else_reaches_the_socket(directory: Path) -> None:
    process = start("--watch")
    program = child_of(process)
    assert (directory / "treadle").stat().st_mode & 0o777 == 0o700
    assert (directory / f"treadle/{program}.sock").stat().st_mode & 0o777 == 0o600
    process.terminate()
    process.communicate(timeout=20)


def test_directory_of_somebody_else_is_not_used(directory: Path) -> None:
    (directory / "treadle").mkdir(mode=0o755)
    assert "nothing found" in run("run", "--watch", "clean.py").stderr
    assert list((directory / "treadle").iterdir()) == []


FORKING = """\
import asyncio
import multiprocessing


async def store(row):
    await asyncio.sleep(0)


async def main():
    store(1)
    await asyncio.sleep(0)


def work():
    asyncio.run(main())


if __name__ == "__main__":
    child = multiprocessing.get_context("METHOD").Process(target=work)
    child.start()
    child.join()
    raise SystemExit(child.exitcode)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.filterwarnings("ignore")
def test_children_are_watched_too(directory: Path, method: str) -> None:
    (directory / "forking.py").write_text(FORKING.replace("METHOD", method))
    found = objects(run("run", "--watch=json", "--watch-to", "words", "forking.py").stderr)
    assert found == []
    names = [line["name"] for line in objects(Path("words").read_text()) if line["type"] == "finding"]
    assert names == ["never-awaited"]


WATCHING = """\
import asyncio
import treadle
import treadle.doctor


async def store(row):
    await asyncio.sleep(0)


async def main():
    treadle.watch(output="silent", settings=False)
    store(1)
    await asyncio.sleep(0)
    (finding,) = treadle.doctor.findings()
    print(finding["name"], finding["line"])
    try:
        treadle.watch()
    except RuntimeError as error:
        print(error)
    print(treadle.doctor.finish(), treadle.doctor.finish(), treadle.doctor.findings())


treadle.run(main())
"""


def test_program_can_watch_itself(directory: Path) -> None:
    (directory / "watching.py").write_text(WATCHING)
    done = subprocess.run([sys.executable, "watching.py"], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["never-awaited 12", "this process is watched already", "1 0 []"]


SLIPS = """
import treadle
for slip in ({"thresholds": {"blocked-loop": "fast"}}, {"ignore": ["nothing"]}, {"to": "no/where"}, {"output": "loud"}):
    try:
        treadle.watch(**slip)
    except (ValueError, OSError) as error:
        print(type(error).__name__, error)
"""


def test_slips_in_a_call_raise() -> None:
    done = subprocess.run([sys.executable, "-c", SLIPS], check=True, capture_output=True, text=True, timeout=60)
    thresholds, ignore, to, output = done.stdout.splitlines()
    assert thresholds.startswith("ValueError `fast` is no duration")
    assert ignore.startswith("ValueError `nothing` is no pitfall")
    assert to.startswith("FileNotFoundError")
    assert output.startswith("ValueError unknown variant `loud`")
