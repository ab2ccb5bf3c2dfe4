"""Numbers of a watched program over HTTP, and findings through its own ``logging``."""

import json
import re
import socket
import subprocess
import sys
import sysconfig
import urllib.request
from pathlib import Path

import pytest

TREADLE = str(Path(sysconfig.get_path("scripts")) / "treadle")

# Blocks its loop until a file is there.
BLOCKED = """\
import asyncio
import os
import time


async def main():
    await asyncio.sleep(0)
    while not os.path.exists("seen"):
        time.sleep(0.01)


asyncio.run(main())
"""

# A process and one that it has forked, which both wait for the end of standard input.
FORKED = """\
import asyncio
import os
import sys


async def main():
    await asyncio.to_thread(sys.stdin.read)


if os.fork():
    asyncio.run(main())
    os.wait()
else:
    asyncio.run(main())
    sys.stderr.flush()
    os._exit(0)
"""

LOGGED = """\
import asyncio
import json
import logging

import treadle


class Handler(logging.Handler):
    def emit(self, record):
        print(record.name, record.levelname, record.getMessage())
        print(json.dumps(record.treadle))


logging.getLogger("treadle").addHandler(Handler())
logging.getLogger("treadle").setLevel(logging.INFO)


async def store(row):
    await asyncio.sleep(0)


async def main():
    store(1)
    await asyncio.sleep(0)


if "treadle" not in __import__("sys").argv:
    treadle.watch(output="logging", settings=False)
    treadle.run(main())
    treadle.doctor.finish()
else:
    asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have each test in a directory of its own."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def values(address: str) -> dict[str, float]:
    """Return the metrics that are served at an address, by name and labels."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def address_in(said: str) -> str:
    """Return the address that the doctor has said."""
    found = re.search(r"metrics are at http://(\S+)/metrics", said)
    assert found is not None, said
    return found[1]


def test_numbers_are_served_while_the_loop_is_blocked(directory: Path) -> None:
    (directory / "app.py").write_text(BLOCKED)
    command = [TREADLE, "run", "--metrics", "0", "app.py"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = address_in(process.stderr.readline())
        assert address.startswith("127.0.0.1:")
        seen: dict[str, float] = {}
        while seen.get('treadle_loop_delay_seconds{loop="1"}', 0) < 0.5:
            seen = values(address)
        assert seen['treadle_tasks{state="running"}'] == 1
        while sum(seen[name] for name in seen if name.startswith("treadle_loop_blocked_seconds_total")) < 0.5:
            seen = values(address)
        assert seen['treadle_findings_total{pitfall="blocked-loop",severity="error"}'] == 1
        assert seen['treadle_findings_total{pitfall="deadlock",severity="error"}'] == 0
        (directory / "seen").touch()
        _, rest = process.communicate(timeout=60)
    assert "blocked-loop" in rest
    assert process.returncode == 0


def test_each_child_has_numbers_of_its_own(directory: Path) -> None:
    (directory / "app.py").write_text(FORKED)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = [TREADLE, "run", "--metrics", f"127.0.0.1:{port}", "app.py"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        addresses: set[str] = set()
        while len(addresses) < 2:
            line = process.stderr.readline()
            assert line
            if "metrics are at" in line:
                addresses.add(address_in(line))
        for address in addresses:
            assert any(name.startswith("treadle_tasks") for name in values(address))
        process.communicate(timeout=60)
    assert f"127.0.0.1:{port}" in addresses


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:x"])
def test_address_that_is_none_is_told_before_the_program_starts(directory: Path, address: str) -> None:
    (directory / "app.py").write_text("print('started')")
    command = [TREADLE, "run", "--metrics", address, "app.py"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"`{address}` is no address for metrics. Write `127.0.0.1:9464`" in done.stderr


def test_port_of_somebody_else_is_told_before_the_program_starts(directory: Path) -> None:
    (directory / "app.py").write_text("print('started')")
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [TREADLE, "run", "--metrics", f"127.0.0.1:{server.getsockname()[1]}", "app.py"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert "somebody else has the port" in done.stderr


def test_address_that_others_reach_is_warned_of() -> None:
    command = [TREADLE, "run", "--metrics", "0.0.0.0:0", "-c", "import asyncio"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert "warning: metrics are served at 0.0.0.0:" in done.stderr


@pytest.mark.parametrize("command", [[sys.executable], [TREADLE, "run", "--watch=logging"]])
def test_findings_are_records_of_the_programs_logging(directory: Path, command: list[str]) -> None:
    (directory / "app.py").write_text(LOGGED)
    arguments = ["app.py", "treadle"] if "run" in command else ["app.py"]
    done = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True, timeout=60)
    finding, details, closing, summary = done.stdout.splitlines()
    assert re.match(r"treadle\.doctor (WARNING|ERROR) never-awaited at .*app\.py:23 in main: ", finding)
    assert json.loads(details)["line"] == 23
    assert closing.startswith("treadle.doctor INFO 1 findings in ")
    assert [found["name"] for found in json.loads(summary)["findings"]] == ["never-awaited"]
    assert "treadle:" not in done.stderr


# Has patterns of its own, and blocks its loop from one file on until there is another.
PATTERNS = """\
import asyncio
import os
import time

import treadle


async def fail():
    raise OSError


async def main():
    database = treadle.Semaphore(2, name="database")
    unnamed = [treadle.TokenBucket(1000) for _ in range(3)]
    breaker = treadle.Breaker(min_calls=1, open_for=600, name="upstream")
    policy = treadle.Policy(breaker=breaker, name="upstream")
    results = await treadle.gather(*(policy.call(fail) for _ in range(3)), return_exceptions=True)
    tasks = [asyncio.create_task(database.acquire()) for _ in range(5)]
    while not os.path.exists("read"):
        await unnamed[0].acquire()
        await asyncio.sleep(0.01)
    while not os.path.exists("seen"):
        time.sleep(0.01)
    for task in tasks:
        task.cancel()


asyncio.run(main())
"""


def test_patterns_are_counted_by_name_and_stand_while_the_loop_is_blocked(directory: Path) -> None:
    (directory / "app.py").write_text(PATTERNS)
    command = [TREADLE, "run", "--metrics", "0", "app.py"]
    wanted = {
        'treadle_pattern_in_use{kind="Semaphore",name="database"}': 2,
        'treadle_pattern_limit{kind="Semaphore",name="database"}': 2,
        'treadle_pattern_waiting{kind="Semaphore",name="database"}': 3,
        'treadle_patterns{kind="TokenBucket",name=""}': 3,
        'treadle_pattern_calls_total{kind="Policy",name="upstream"}': 3,
        'treadle_pattern_failed_total{kind="Policy",name="upstream"}': 3,
        'treadle_pattern_rejected_total{kind="Breaker",name="upstream"}': 2,
        'treadle_breakers{name="upstream",state="open"}': 1,
        'treadle_breakers{name="upstream",state="closed"}': 0,
        "treadle_patterns_unread": 0,
    }
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = address_in(process.stderr.readline())
        seen: dict[str, float] = {}
        while not wanted.keys() <= seen.keys():
            seen = values(address)
        assert {name: seen[name] for name in wanted} == wanted
        calls = 'treadle_pattern_calls_total{kind="TokenBucket",name=""}'
        first = seen[calls]
        while seen[calls] <= first:
            seen = values(address)
        (directory / "read").touch()
        while seen.get('treadle_loop_delay_seconds{loop="1"}', 0) < 0.2:
            seen = values(address)
        assert {name: seen[name] for name in wanted} == wanted
        (directory / "seen").touch()
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_vitals_have_the_patterns_as_they_are_now() -> None:
    program = """\
import asyncio
import treadle
import treadle.doctor

async def main():
    crowd = [treadle.Semaphore(1, name=f"customer {number}") for number in range(30)]
    for semaphore in crowd:
        await semaphore.acquire()
    shown = treadle.doctor.vitals()["patterns"]
    print(len(shown), sum(row["in_use"] for row in shown))
    (other,) = [row for row in shown if row["name"] == "other"]
    print(other["kind"], other["objects"], other["limit"], other["calls"])
    del crowd, semaphore
    print([row["in_use"] for row in treadle.doctor.vitals()["patterns"]])

treadle.watch(output="silent", settings=False)
treadle.run(main())
print(treadle.doctor.vitals()["patterns_unread"])
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["21 30", "Semaphore 10 10 None", "[]", "0"]
