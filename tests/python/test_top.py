"""``treadle top`` on a terminal: every tab, every key, every end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from terminal import Terminal

TREADLE = str(Path(sysconfig.get_path("scripts")) / "treadle")
DOCS = Path(__file__).parents[2] / "docs"

# Two tasks that wait for each other, a crowd that waits for an event, a job in a thread that does not end, and a loop
# that is blocked whenever somebody has left a file called "block".
PROGRAM = """\
import asyncio
import time
from pathlib import Path


async def transfer(first: asyncio.Lock, second: asyncio.Lock) -> None:
    async with first:
        await asyncio.sleep(0.1)
        async with second:
            pass


async def follow(event: asyncio.Event) -> None:
    await event.wait()


async def main() -> None:
    one, two, event = asyncio.Lock(), asyncio.Lock(), asyncio.Event()
    tasks = [asyncio.create_task(follow(event), name=f"follower-{number}") for number in range(300)]
    tasks.append(asyncio.create_task(transfer(one, two), name="debit"))
    tasks.append(asyncio.create_task(transfer(two, one), name="credit"))
    job = asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    time.sleep(0.15)
    print("here", flush=True)
    while True:
        await asyncio.sleep(0.05)
        if Path("block").exists():
            time.sleep(2)


asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have each test in a directory of its own, for sockets too."""
    (tmp_path / "app.py").write_text(PROGRAM)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Watches itself, and runs the program.
WATCHED = """
import runpy, treadle
treadle.watch(output="silent", settings=False)
treadle.install()
runpy.run_path("app.py")
"""


def start() -> "subprocess.Popen[str]":
    """Start the program, and return when it runs."""
    process = subprocess.Popen([sys.executable, "-c", WATCHED], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    return process


@pytest.fixture
def program() -> Iterator["subprocess.Popen[str]"]:
    """Return a program that runs."""
    process = start()
    yield process
    process.kill()
    process.communicate()


def top(*arguments: str, columns: int = 120, rows: int = 30, no_color: str = "") -> Terminal:
    """Start ``treadle top`` on a terminal."""
    command = [TREADLE, "top", *arguments, "--refresh", "0.2"]
    return Terminal(command, columns=columns, rows=rows, environment={"NO_COLOR": no_color})


def once(*arguments: str, status: int = 0, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run ``treadle top --once``."""
    done = subprocess.run(
        [TREADLE, "top", "--once", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert done.returncode == status, done.stderr
    return done


def names(text: str) -> list[str]:
    """Return the names of the tasks on a screen, from the top."""
    return re.findall(r"^(?:! stuck|· waits|· active|▶ running|↻ polls) +([\w-]+|\(\w+\))", text, re.MULTILINE)


def test_every_tab_shows_the_program(program: "subprocess.Popen[str]") -> None:
    with top(str(program.pid)) as terminal:
        text = terminal.wait_for("[1 Findings", "deadlock", "blocked-loop")
        assert f"treadle top · {program.pid} " in text
        assert re.search(r"busy \[[#·]{10}\] .* callbacks/s  watching [\d.]+ %", text)
        assert re.search(r"lag p50 .* p99 .* max .*  fds \d+  timers \d+", text)
        terminal.wait_for("tasks 303 alive", "! 2 stuck", "executor 1 running, 0 queued")
        terminal.press("2")
        terminal.wait_for("[2 Tasks 303]", "follower-0", "app.py:14 in fol", "event")
        terminal.press("\t")
        ring = terminal.wait_for("⟳ ! 2 tasks wait for each other", "300 wait for event")
        assert re.search(r"╭▶ (debit|credit) waits for lock at app.py:9 in transfer", ring)
        assert re.search(r"└ held by (debit|credit) since app.py:7 in transfer", ring)
        terminal.press("4")
        terminal.wait_for(
            "code that takes the time", "app.py:17 in main", "blocked altogether: sleep", "callbacks that took too long"
        )
        terminal.press("\x1b[C")
        terminal.wait_for("[5 I/O]", "jobs of executors")
        terminal.press("6")
        terminal.wait_for("[6 Threads]", "loop 1", "a job")
        terminal.press("\t")
        terminal.wait_for("[7 Patterns]", "no pattern of treadle's is in use here")
        terminal.press("\t")
        terminal.wait_for("[1 Findings")
        terminal.press("q")
        assert terminal.wait_for_end() == 0
        assert terminal.is_restored()


def test_tasks_are_sorted_filtered_grouped_and_put_below_each_other(program: "subprocess.Popen[str]") -> None:
    with top(str(program.pid), "--tab", "tasks") as terminal:
        terminal.wait(lambda text: names(text)[1:3] == ["follower-0", "follower-1"])
        terminal.press("r")
        terminal.wait(lambda text: "age ↑" in text and "credit" in names(text)[:3])
        terminal.press("r" + "S")
        terminal.wait(lambda text: "s: state" in text and set(names(text)[:2]) == {"debit", "credit"})
        terminal.press("/")
        terminal.press("ER-2")
        terminal.wait_for("/ER-2▏")
        terminal.wait(lambda text: names(text)[:2] == ["follower-2", "follower-20"])
        terminal.press("9\r")
        terminal.wait(lambda text: names(text)[:3] == ["follower-29", "follower-290", "follower-291"])
        terminal.press("\x1b")
        terminal.wait(lambda text: "debit" in names(text))
        terminal.press("g")
        row = re.compile(r"^ +300 +0 +300 .* app.py:19 in main", re.MULTILINE)
        text = terminal.wait(lambda text: "oldest made at" in text and row.search(text) is not None)
        groups = text.splitlines()[6:]
        terminal.press("\x1b[B" * next(at for at, line in enumerate(groups) if "app.py:19" in line) + "\r")
        terminal.wait(lambda text: bool(names(text)) and all(name.startswith("follower") for name in names(text)))
        terminal.press("\x1b")
        terminal.wait_for("app.py:19 in main", "oldest")
        terminal.press("t")
        terminal.wait(lambda text: "· waits     follower-0" in text)
        terminal.press("\x1b[F")
        terminal.wait_for("follower-299")


def test_details_have_the_chain_the_reason_and_the_cure(program: "subprocess.Popen[str]") -> None:
    with top(str(program.pid), "--tab", "tasks", rows=60) as terminal:
        terminal.wait_for("follower-0")
        terminal.press("/debit\r")
        terminal.wait(lambda text: names(text) == ["debit"] and "! stuck" in text)
        terminal.press("\r")
        # As long as there are few events, the timer that has ended its sleep is among the last of them.
        text = terminal.wait_for("await chain, the outermost first", "Write this instead", "woken last by a timer")
        assert "! nothing wakes it any more: it and others wait for each other" in text
        assert "waits for lock: credit since app.py:7 in transfer" in text
        assert "holds Lock since app.py:7 in transfer" in text
        assert "error[deadlock]" in text
        terminal.press("\x1b")
        terminal.wait(lambda text: names(text) == ["debit"])
        terminal.press("?")
        terminal.wait_for("another tab", "quit")
        terminal.press("?1")
        terminal.wait_for("[1 Findings", "deadlock")
        terminal.press("\r")
        terminal.wait_for("-->", "= seen", "Write this instead")


def test_pause_keeps_the_screen_and_steps_go_back(program: "subprocess.Popen[str]") -> None:
    with top(str(program.pid), "--tab", "loop") as terminal:
        terminal.wait_for("code that takes the time")
        steps = re.compile(r"^ +1 runs +\S+ % +[\d ]+? {3,}([\d ]+?) {3,}", re.MULTILINE)

        def count(text: str) -> int:
            found = steps.search(text)
            return int(found[1].replace(" ", "")) if found else -1

        first = count(terminal.text())
        later = count(terminal.wait(lambda text: count(text) > first + 20))
        terminal.press(" ")
        terminal.wait_for("‖ paused at")
        paused = count(terminal.text())
        assert paused >= later
        terminal.press("[" * 10)
        terminal.wait(lambda text: 0 <= count(text) < paused)
        terminal.press("]" * 10)
        terminal.wait(lambda text: count(text) == paused)
        terminal.press(" ")
        terminal.wait(lambda text: "paused" not in text and count(text) > paused)


def test_a_blocked_loop_is_seen_while_it_is_blocked(program: "subprocess.Popen[str]", directory: Path) -> None:
    with top(str(program.pid), "--tab", "threads") as terminal:
        terminal.wait_for("[6 Threads]", "a job")
        (directory / "block").touch()
        text = terminal.wait_for("! blocked for", "! blocked")
        assert re.search(r"loop 1 +! blocked +sleep .* app.py:\d+ in main", text)


def test_the_screen_follows_its_size(program: "subprocess.Popen[str]") -> None:
    with top(str(program.pid), "--tab", "tasks", columns=80, rows=24) as terminal:
        text = terminal.wait_for("follower-0", "q: quit")
        assert len(names(text)) == 17
        terminal.resize(79, 24)
        terminal.wait_for("The terminal has 79 ×", "24 are needed.")  # noqa: RUF001
        terminal.resize(160, 50)
        text = terminal.wait(lambda text: len(names(text)) == 43)
        assert "made at" in text
        assert "longest" in text


def test_the_mouse_chooses(program: "subprocess.Popen[str]") -> None:
    with top(str(program.pid)) as terminal:
        terminal.wait_for("[1 Findings")
        line = terminal.text().splitlines()[4]
        terminal.click(line.index("Tasks"), 4)
        terminal.wait(lambda text: "follower-9" in names(text))
        wanted = names(terminal.text())[4]
        terminal.click(20, 10)
        terminal.click(20, 10)
        terminal.wait_for(f"{wanted}: ", "await chain")


def test_no_colour_is_written_where_none_is_wanted(program: "subprocess.Popen[str]") -> None:
    colour = re.compile(rb"\x1b\[[34]8;5;\d+")
    for no_color, has_colour in (("1", False), ("", True)):
        with top(str(program.pid), "--tab", "waits", no_color=no_color) as terminal:
            terminal.wait_for("⟳ ! 2 tasks")
            assert bool(colour.search(terminal.seen)) is has_colour


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it_with_the_terminal_as_it_was(program: "subprocess.Popen[str]", number: signal.Signals) -> None:
    with top(str(program.pid)) as terminal:
        terminal.wait_for("[1 Findings")
        os.kill(terminal.process, number)
        assert terminal.wait_for_end() == -number
        assert terminal.is_restored()


def test_control_c_quits(program: "subprocess.Popen[str]") -> None:
    with top(str(program.pid)) as terminal:
        terminal.wait_for("[1 Findings")
        terminal.press("\x03")
        assert terminal.wait_for_end() == 0
        assert terminal.is_restored()


def test_a_program_that_is_killed_stays_as_it_was_seen(program: "subprocess.Popen[str]") -> None:
    with top(str(program.pid), "--tab", "waits") as terminal:
        terminal.wait_for("⟳ ! 2 tasks")
        program.kill()
        text = terminal.wait_for("! the program has ended; this is the last that was seen")
        assert "⟳ ! 2 tasks" in text
        terminal.press("[")
        terminal.wait_for("‖ paused at")
        terminal.press("q")
        assert terminal.wait_for_end() == 0
        assert terminal.is_restored()


def test_without_a_number_the_only_program_or_the_chosen_one_is_shown(program: "subprocess.Popen[str]") -> None:
    with top() as terminal:
        terminal.wait_for(f"treadle top · {program.pid} ")
    other = start()
    try:
        with top() as terminal:
            text = terminal.wait_for("which program?", str(program.pid), str(other.pid))
            first, second = sorted((program.pid, other.pid), key=lambda number: text.index(str(number)))
            assert re.search(rf"▶ +{first}", text)
            terminal.press("\x1b[B")
            terminal.wait(lambda text: re.search(rf"▶ +{second}", text) is not None)
            terminal.press("\r")
            terminal.wait_for(f"treadle top · {second} ", "[1 Findings")
        with top() as terminal:
            terminal.wait_for("which program?")
            terminal.press("q")
            assert terminal.wait_for_end() == 0
            assert terminal.is_restored()
        error = once(status=2).stderr
        assert "several programs are watched" in error
    finally:
        other.kill()
        other.communicate()


# Patterns with names and without, of which one lets calls through all the time.
PATTERNS = """\
import asyncio

import treadle


async def main() -> None:
    database = treadle.Semaphore(2, name="database")
    crowd = [asyncio.create_task(database.acquire()) for _ in range(7)]
    idle = [treadle.Semaphore(9) for _ in range(3)]
    queue = treadle.PriorityQueue(10, name="mail")
    for number in range(4):
        await queue.put(number)
    clock = treadle.TokenBucket(100, name="clock")
    print("here", flush=True)
    while True:
        await clock.acquire()


asyncio.run(main())
"""


def kinds(text: str) -> list[tuple[str, str]]:
    """Return the kinds and names of the patterns on a screen, from the top."""
    return re.findall(r"^(Semaphore|PriorityQueue|TokenBucket) +(\S+)", text, re.MULTILINE)


def test_patterns_are_listed_sorted_and_filtered(directory: Path) -> None:
    (directory / "app.py").write_text(PATTERNS)
    program = start()
    try:
        with top(str(program.pid), "--tab", "patterns") as terminal:
            text = terminal.wait_for("[7 Patterns]", "database", "mail", "s: waiting ↓")
            assert kinds(text)[0] == ("Semaphore", "database")
            assert re.search(r"^Semaphore +database +2/2 +! 5\b", text, re.MULTILINE)
            assert re.search(r"^PriorityQueue +mail +4/10 +0\b", text, re.MULTILINE)
            assert kinds(text).count(("Semaphore", "–")) == 3  # noqa: RUF001 - a dash
            rate = re.compile(r"^TokenBucket +clock +[01] +(\d+)", re.MULTILINE)
            terminal.wait(lambda text: (found := rate.search(text)) is not None and int(found[1]) > 10)
            terminal.press("S")
            terminal.wait(lambda text: "s: kind" in text and kinds(text)[0] == ("PriorityQueue", "mail"))
            terminal.press("r")
            terminal.wait(lambda text: "s: kind ↑" in text and kinds(text)[0] == ("TokenBucket", "clock"))
            terminal.press("/MAIL\r")
            terminal.wait(lambda text: kinds(text) == [("PriorityQueue", "mail")])
        text = once("--tab", "patterns").stdout
        assert re.search(r"^Semaphore +database +2/2 +! 5\b", text, re.MULTILINE)
        found = re.search(r"^TokenBucket +clock +[01] +(\d+)", text, re.MULTILINE)
        assert found is not None
        assert int(found[1]) > 10
    finally:
        program.kill()
        program.communicate()


def test_nobody_to_watch_is_an_error_in_two_sentences() -> None:
    assert once(status=2).stderr == (
        "treadle: no program is watched. Start one with `treadle run --watch`, or call `treadle.watch()` in it\n"
    )
    assert "is not watched, or belongs to another user. Start it with" in once(str(os.getpid()), status=2).stderr


def test_a_frame_for_scripts(program: "subprocess.Popen[str]", directory: Path) -> None:
    with top(str(program.pid), "--tab", "waits") as terminal:
        terminal.wait_for("⟳ ! 2 tasks")
    for tab, words in [
        ("findings", "error     deadlock"),
        ("tasks", "follower-0"),
        ("waits", "⟳ ! 2 tasks wait for each other"),
        ("loop", "code that takes the time"),
        ("io", "jobs of executors"),
        ("threads", "loop 1"),
        ("patterns", "no pattern of treadle's is in use here"),
    ]:
        text = once("--tab", tab, COLUMNS="100").stdout
        assert words in text
        assert "\x1b" not in text
        assert max(len(line) for line in text.splitlines()) <= 100
    shown = without_numbers(once("--tab", "waits", COLUMNS="100").stdout, directory)
    page = DOCS / "top.md"
    if not page.exists():
        pytest.skip("the documentation is not beside the tests")
    if os.environ.get("TREADLE_UPDATE"):
        page.write_text(
            re.sub(
                r"```text\ntreadle top · .*?```", lambda _: f"```text\n{shown}```", page.read_text(), flags=re.DOTALL
            )
        )
    assert shown in page.read_text(), "TREADLE_UPDATE=1 writes the frame in docs/top.md anew"


def without_numbers(text: str, directory: Path) -> str:
    """Return a frame with numbers that are the same each time, and nothing of this machine."""
    text = text.replace(str(directory) + "/", "")
    text = re.sub(
        r"^(treadle top · )\d+ .*?( +)\d\d:\d\d:\d\d UTC.*$", r"\g<1>4711 python app.py", text, flags=re.MULTILINE
    )
    text = re.sub(r"^busy .*$", "busy [··········] 0.4 %  20 callbacks/s  watching 0.6 %", text, flags=re.MULTILINE)
    text = re.sub(r"^lag .*$", "lag p50 132 µs p99 301 µs max 301 µs  fds 14  timers 1", text, flags=re.MULTILINE)
    text = re.sub(r"\d[\d.]* (ns|µs|ms|s)(?=[:\n])", "4.20 s", text)
    text = re.sub(r"0x[0-9a-f]+", "0x7f3a5c0e4d90", text)
    # Whoever sleeps when it is looked at waits for a time.
    text = re.sub(r"^  0 for tasks, [01] for a time,", "  0 for tasks, 0 for a time,", text, flags=re.MULTILINE)
    return re.sub(r"follower-\d+", "follower-7", text).rstrip() + "\n"


def test_questions_change_nothing_and_wrong_ones_are_told_why(program: "subprocess.Popen[str]") -> None:
    def ask(question: str) -> dict[str, object]:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(f"treadle/{program.pid}.sock")
            asking.sendall(question.encode() + b"\n")
            answer = b""
            while piece := asking.recv(1 << 16):
                answer += piece
        found: dict[str, object] = json.loads(answer)
        return found

    assert "unknown field `everything`" in str(ask('{"everything": true}')["error"])
    assert "unknown variant" in str(ask('{"tasks": {"sort": "beauty"}}')["error"])
    assert "the question is not known" in str(ask("reboot")["error"])
    assert ask('{"findings": ' + " " * 5_000 + "true}")["error"] == "the question is too long"
    assert {"pulse", "tasks"} <= ask('{"tasks": {"count": 1000000000}}').keys()
    assert ask("snapshot")["type"] == "snapshot"


def test_output_that_is_no_terminal_is_told_of_once(program: "subprocess.Popen[str]") -> None:
    done = subprocess.run([TREADLE, "top", str(program.pid)], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "treadle: standard output is no terminal. `treadle top --once` prints one frame as text\n"
