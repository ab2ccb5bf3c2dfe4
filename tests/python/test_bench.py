"""``treadle bench`` with real programs and servers: that they are measured, on which loop, and that nothing is left.

What the figures are is not looked at.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

TREADLE = str(Path(sysconfig.get_path("scripts")) / "treadle")

PROGRAM = """\
import asyncio, sys
async def main():
    print(type(asyncio.get_running_loop()).__module__.split(".")[0], file=open(sys.argv[1], "a"))
asyncio.run(main())
"""

SERVER = """\
import asyncio, os, sys

here = []

async def answer(reader, writer):
    while head := await reader.readuntil(b"\\r\\n\\r\\n"):
        if head.startswith(b"GET /lengthy"):
            reply = b"HTTP/1.1 200 OK\\r\\nContent-Length: 70000\\r\\n\\r\\n" + bytes(70000)
        elif head.startswith(b"GET /chunked"):
            reply = b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n2\\r\\nok\\r\\n0\\r\\n\\r\\n"
        elif head.startswith(b"GET /wayward"):
            here.append(head)
            reply = b"HTTP/1.1 %d -\\r\\nContent-Length: 0\\r\\n\\r\\n" % (500 if len(here) % 2 else 200)
        elif head.startswith(b"GET /closed"):
            reply = b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: 2\\r\\n\\r\\nok"
        else:
            reply = b"HTTP/1.1 404 Not Found\\r\\nContent-Length: 0\\r\\n\\r\\n"
        writer.write(reply)
        await writer.drain()
        if b"close" in reply:
            writer.close()
            return

async def main():
    open(sys.argv[2], "a").write(f"{os.getpid()}\\n")
    server = await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()

asyncio.run(main())
"""


SHORT = ["--rounds", "2", "--seconds", "0.2", "--connections", "4"]


def bench(
    place: Path, *arguments: str, loops: str = "asyncio,treadle", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command; without loops it compares those that it takes by itself."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | environment
    command = [TREADLE, "bench", *(["--compare", loops] if loops else []), *SHORT, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=place, env=variables, timeout=120)


def measured(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Return the rows of the first table."""
    assert (done.returncode, done.stderr) == (0, "")
    rows: list[dict[str, Any]] = json.loads(done.stdout)["measured"][0]["loops"]
    return rows


@pytest.fixture
def port() -> str:
    """Return a port nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def test_program_runs_on_each_loop_in_turns(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PROGRAM)
    rows = measured(bench(tmp_path, "--format", "json", "--", "app.py", "seen"))
    assert (tmp_path / "seen").read_text().split() == ["asyncio", "treadle"] * 2
    assert [row["loop"] for row in rows] == ["asyncio", "treadle"]
    assert all(row["used"] for row in rows)
    assert rows[0]["ratio"] == 1
    for row in rows:
        assert len(row["rounds"]) == 2
        assert all(
            figures["rate"] > 0 and figures["cpu"] > 0 and figures["memory"] > 2**20 for figures in row["rounds"]
        )


UVLOOP = """\
import asyncio, sys
class Loop: pass
def new_event_loop(): return Loop()
async def check():
    assert isinstance(asyncio.get_running_loop(), Loop)
    print(type(asyncio.get_running_loop()).__module__.split(".")[0], file=open("seen", "a"))
def run(): asyncio.Runner(loop_factory=new_event_loop).run(check())
"""


def test_program_that_asks_uvloop_has_the_loop_that_is_chosen(tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text(UVLOOP)
    (tmp_path / "app.py").write_text("import uvloop; uvloop.run()")
    rows = measured(bench(tmp_path, "--format", "json", "--", "app.py"))
    assert all(row["used"] for row in rows)
    assert (tmp_path / "seen").read_text().split() == ["asyncio", "treadle"] * 2


def test_server_that_names_its_factory_has_the_loop_that_is_chosen(tmp_path: Path) -> None:
    # As uvicorn does with what our hook has put into its table.
    code = """
import asyncio
from treadle.hosts.hooks import uvicorn_loop_factory
loop = uvicorn_loop_factory()()
print(type(loop).__module__.split(".")[0], file=open("seen", "a"))
loop.close()
"""
    rows = measured(bench(tmp_path, "--format", "json", "--", "-c", code))
    assert all(row["used"] for row in rows)
    assert (tmp_path / "seen").read_text().split() == ["asyncio", "treadle"] * 2


def test_table_has_a_line_for_each_loop(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PROGRAM)
    done = bench(tmp_path, "--", "app.py", "/dev/null")
    assert re.search(r"^app.py /dev/null\n  loop .*\n  asyncio +\d.*\n  treadle +\d.*\n", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("path", ["lengthy", "chunked", "closed"])
def test_server_is_loaded_and_ended(tmp_path: Path, port: str, path: str) -> None:
    (tmp_path / "app.py").write_text(SERVER)
    rows = measured(
        bench(tmp_path, "--format=json", "--url", f"http://127.0.0.1:{port}/{path}", "--", "app.py", port, "seen")
    )
    for row in rows:
        assert row["used"]
        assert all(figures["rate"] > 0 and 0 < figures["p50"] <= figures["p99"] for figures in row["rounds"])
        assert [figures["errors"] for figures in row["rounds"]] == [0, 0]
    served = [int(line) for line in (tmp_path / "seen").read_text().split()]
    assert len(served) == 4
    assert not any(map(is_there, served))


def is_there(process: int) -> bool:
    """Return whether a process runs, and goes on for a while: a signal takes its time under load."""
    deadline = time.monotonic() + 2
    while runs(process):
        if time.monotonic() > deadline:
            return True
        time.sleep(0.01)
    return False


def runs(process: int) -> bool:
    """Return whether a process runs; one that has ended and has not been waited for does not."""
    if sys.platform == "linux":
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
    else:
        command = ["ps", "-o", "stat=", "-p", str(process)]
        state = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    return state[:1] not in ("", "Z", "X")


def test_server_that_only_refuses_is_an_error(tmp_path: Path, port: str) -> None:
    (tmp_path / "app.py").write_text(SERVER)
    done = bench(tmp_path, "--url", f"http://127.0.0.1:{port}/", "--", "app.py", port, "seen")
    assert done.returncode == 2
    assert "the server gave no good reply: the server answered with an error's status. See" in done.stderr


def test_server_that_ends_before_it_answers_is_an_error(tmp_path: Path, port: str) -> None:
    done = bench(tmp_path, "--url", f"http://127.0.0.1:{port}/", "--", "-c", "import sys; sys.exit('no configuration')")
    assert done.returncode == 2
    assert "on asyncio: the program ended with exit code 1: `no configuration`. Mend that first" in done.stderr


def test_port_that_is_taken_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        done = bench(tmp_path, "--url", f"http://{address}/", "--", "app.py")
    assert done.returncode == 2
    assert f"another program answers on {address} already. End it, or choose another port" in done.stderr


def test_program_that_fails_is_an_error(tmp_path: Path) -> None:
    done = bench(tmp_path, "--", "-c", "raise SystemExit(3)")
    assert (done.returncode, done.stdout) == (2, "")
    assert "on asyncio: the program ended with exit code 3 and said nothing. Mend that first" in done.stderr


def test_program_that_chooses_its_loop_is_told_of(tmp_path: Path) -> None:
    code = "import asyncio; asyncio.SelectorEventLoop().close()"
    rows = measured(bench(tmp_path, "--format", "json", "--", "-c", code))
    assert not any(row["used"] for row in rows)
    assert "the row `treadle` may be of another loop" in bench(tmp_path, "--", "-c", code).stdout


def test_program_sees_nothing_of_it(tmp_path: Path) -> None:
    code = "import os, sys; sys.exit([n for n in os.environ if 'TREADLE' in n or n == 'PYTHONPATH'] or 0)"
    assert bench(tmp_path, "--", "-c", code).returncode == 0


def test_loop_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    done = bench(tmp_path, "--", "-c", "", loops="asyncio,wayward")
    assert done.returncode == 2
    assert "`wayward` is no loop that can be chosen from outside. Name some of" in done.stderr


@pytest.mark.parametrize("name", ["echo", "streams", "http", "call-soon", "timers", "sleep", "tasks", "queue"])
def test_workload_is_measured(tmp_path: Path, name: str) -> None:
    for row in measured(bench(tmp_path, "--format", "json", "--workload", name)):
        assert row["used"]
        assert all(figures["rate"] > 0 and figures["p50"] <= figures["p99"] for figures in row["rounds"])
        assert all(figures["errors"] == 0 for figures in row["rounds"])


def test_errors_are_counted_and_the_first_is_named(tmp_path: Path, port: str) -> None:
    (tmp_path / "app.py").write_text(SERVER)
    command = ["--url", f"http://127.0.0.1:{port}/wayward", "--", "app.py", port, "seen"]
    for row in measured(bench(tmp_path, "--format=json", *command)):
        assert all(figures["errors"] > 0 and figures["rate"] > 0 for figures in row["rounds"])
        assert row["rounds"][0]["first_error"] == "the server answered with an error's status"
    text = bench(tmp_path, *command).stdout
    assert re.search(r"on treadle: errors: \d+, first: the server answered with an error's status\. Look", text), text


def test_uvloop_is_left_out_by_default_where_it_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "uvloop.py").write_text("raise ModuleNotFoundError('no uvloop')\n")
    without = {"PYTHONPATH": str(tmp_path / "without")}
    (tmp_path / "app.py").write_text(PROGRAM)
    rows = measured(bench(tmp_path, "--format", "json", "--", "app.py", "seen", loops="", **without))
    assert [row["loop"] for row in rows] == ["asyncio", "treadle"]
    done = bench(tmp_path, "--", "app.py", "seen", loops="asyncio,uvloop,treadle", **without)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(
        r"cannot import uvloop\. Install it there with `.* -m pip install uvloop`, or leave it", done.stderr
    )


def test_loop_that_cannot_be_imported_is_an_error_with_its_cause(tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("")
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['treadle.loop'] = None\n")
    done = bench(tmp_path, "--", "-c", "", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot import treadle.loop: `ModuleNotFoundError: import of treadle.loop halted" in done.stderr
    assert "Name another interpreter with `--python`" in done.stderr


def test_folder_for_files_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "a,b").mkdir()
    (tmp_path / "app.py").write_text(PROGRAM)
    done = bench(tmp_path, "--format", "json", "--", "app.py", "seen", TMPDIR=str(tmp_path / "a,b"))
    assert all(row["used"] for row in measured(done))
    assert {path.name for path in tmp_path.iterdir()} == {"a,b", "app.py", "seen"}


def test_url_has_no_meaning_for_a_workload(tmp_path: Path) -> None:
    done = bench(tmp_path, "--url", "http://127.0.0.1/", "--workload", "echo")
    assert done.returncode == 2
    assert "'--url <URL>' cannot be used with" in done.stderr or "'--workload <NAME>' cannot be used" in done.stderr


def test_option_that_is_not_there_is_said_to_be_none_of_this_command(tmp_path: Path) -> None:
    done = bench(tmp_path, "--watsh", "app.py")
    assert done.returncode == 2
    assert "neither `treadle bench` nor Python has an option `--watsh`. Put the program's own" in done.stderr


def test_title_of_code_is_one_line(tmp_path: Path) -> None:
    done = bench(tmp_path, "--", "-c", "import asyncio\n\nasyncio.run(asyncio.sleep(0))")
    assert "\n-c import asyncio asyncio.run(asyncio.sleep(0))\n" in done.stdout


def test_what_a_program_leaves_behind_is_ended(tmp_path: Path) -> None:
    code = "import subprocess; print(subprocess.Popen(['sleep', '300']).pid, file=open('seen', 'a'))"
    assert bench(tmp_path, "--", "-c", code).returncode == 0
    left = [int(line) for line in (tmp_path / "seen").read_text().split()]
    assert len(left) == 4
    assert not any(map(is_there, left))


ENDLESS = """\
import os, subprocess, sys, time
print(os.getpid(), subprocess.Popen(["sleep", "300"]).pid, file=open("seen", "w"), flush=True)
time.sleep(300)
"""


@contextmanager
def begun(
    place: Path, variables: dict[str, str], *arguments: str
) -> Iterator[tuple["subprocess.Popen[str]", list[int]]]:
    """Start the command, and yield it with the processes that it has started; none of them is there afterwards."""
    # In a group of its own, as a shell at a terminal has it.
    process = subprocess.Popen(
        [TREADLE, "bench", *arguments],
        cwd=place,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    started: list[int] = []
    try:
        seen, deadline = place / "seen", time.monotonic() + 60
        while not (seen.exists() and seen.read_text().endswith("\n")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        started += map(int, seen.read_text().split())
        yield process, started
    finally:
        process.kill()
        for number in filter(is_there, started):
            os.kill(number, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: str(number.name))
@pytest.mark.parametrize("kind", ["a program", "a server that starts", "a server under load"])
def test_interrupt_leaves_no_process_and_no_file_behind(
    tmp_path: Path, port: str, kind: str, number: signal.Signals
) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "endless.py").write_text(ENDLESS)
    (tmp_path / "app.py").write_text(SERVER)
    url = ["--url", f"http://127.0.0.1:{port}/chunked"]
    command = {
        "a program": ["--", "endless.py"],
        "a server that starts": [*url, "--", "endless.py"],
        "a server under load": ["--seconds", "300", *url, "--", "app.py", port, "seen"],
    }[kind]
    variables = {**os.environ, "TMPDIR": str(tmp_path / "files")}
    with begun(tmp_path, variables, "--compare", "asyncio,treadle", *command) as (process, started):
        interrupted = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert time.monotonic() - interrupted < 4
        assert not any(map(is_there, started))
    assert (process.returncode, out) == (2, "")
    assert err.startswith("treadle: stopped in round 1, and what was running has been ended. "), err
    assert ("measure a server with `--url`" in err) == (kind == "a program")
    assert list((tmp_path / "files").iterdir()) == []


def test_program_that_does_not_mind_being_asked_is_killed(tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    (tmp_path / "endless.py").write_text(deaf + ENDLESS)
    with begun(tmp_path, dict(os.environ), "--compare", "asyncio", "endless.py") as (process, started):
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 2
        assert not any(map(is_there, started))
