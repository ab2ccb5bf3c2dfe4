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
