"""Whatever blocks the loop is found while it does: the line, the function called there, and what it was doing."""

import json
import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

# The line that blocks is the one with the mark. `BLOCK` is how long what can be told to takes.
HEAD = """
import asyncio, concurrent.futures, contextlib, gc, hashlib, http.client, json, os, pickle, random, re, socket, sqlite3
import subprocess, sys, threading, time
import treadle.doctor
treadle.install()
BLOCK = 0.35
later = lambda function, *arguments: threading.Timer(BLOCK, function, arguments).start()
query = "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select count(*) from n".format
"""

TAIL = """
treadle.doctor.watch(output="silent", settings=False)
asyncio.run(main())
print(json.dumps(treadle.doctor.findings()))
"""


class Situation(NamedTuple):
    """Something that blocks."""

    # What is done before the watch begins.
    before: str
    block: str
    # The function that is named, and what it is said to be doing.
    called: str
    causes: set[str]
    # What the coroutine does first.
    first: str = "pass"


NETWORK = {"waiting for the network"}
PROCESSOR = {"using the processor"}
LOCK = {"waiting for a lock"}

SITUATIONS = {
    "sleep": Situation("", "time.sleep(BLOCK)", "time.sleep", {"sleeping"}),
    "sleep under another name": Situation("from time import sleep as nap", "nap(BLOCK)", "nap", {"sleeping"}),
    "recv": Situation(
        "ours, theirs = socket.socketpair()", "ours.recv(1)", "ours.recv", NETWORK, "later(theirs.send, b'x')"
    ),
    "recv with a timeout": Situation(
        "ours, theirs = socket.socketpair(); ours.settimeout(5)",
        "ours.recv(1)",
        "ours.recv",
        NETWORK,
        "later(theirs.send, b'x')",
    ),
    "accept": Situation(
        "listener = socket.create_server(('127.0.0.1', 0))",
        "listener.accept()",
        "socket.socket.accept",
        NETWORK,
        "later(socket.create_connection, listener.getsockname())",
    ),
    # Nobody accepts, and the queue is full.
    "connect": Situation(
        "listener = socket.create_server(('127.0.0.1', 0), backlog=0); name = listener.getsockname()\n"
        "full = [socket.socket() for _ in range(4)]\n"
        "for one in full: one.setblocking(False); one.connect_ex(name)",
        "with contextlib.suppress(OSError): socket.create_connection(name, timeout=BLOCK)",
        "socket.create_connection",
        NETWORK,
    ),
    "http.client": Situation(
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "client = http.client.HTTPConnection(*listener.getsockname())",
        "client.getresponse()",
        "http.client.HTTPConnection.getresponse",
        NETWORK,
        "client.request('GET', '/'); server = listener.accept()[0]; "
        "later(server.sendall, b'HTTP/1.1 204 No Content\\r\\n\\r\\n')",
    ),
    "fifo": Situation(
        "os.mkfifo('pipe')",
        "open('pipe').read()",
        "open",
        {"waiting for a file"},
        "later(lambda: open('pipe', 'w').close())",
    ),
    "pipe": Situation(
        "reader, writer = os.pipe()",
        "os.read(reader, 1)",
        "os.read",
        {"waiting for a pipe"},
        "later(os.write, writer, b'x')",
    ),
    "json": Situation("text = '[' + ','.join(['1.5'] * SIZE) + ']'", "json.loads(text)", "json.loads", PROCESSOR),
    "re": Situation("", "re.match(r'(a+)+$', 'a' * LENGTH + 'b')", "re.", PROCESSOR),
    "pbkdf2": Situation("", "hashlib.pbkdf2_hmac('sha256', b'', b'', ROUNDS)", "hashlib.pbkdf2_hmac", PROCESSOR),
    "pickle": Situation("rows = [[i, str(i)] for i in range(ROWS)]", "pickle.dumps(rows)", "pickle.dumps", PROCESSOR),
    "sort": Situation("rows = [random.random() for _ in range(ITEMS)]", "rows.sort(key=abs)", "rows.sort", PROCESSOR),
    "subprocess.run": Situation(
        "",
        "subprocess.run(['sleep', str(BLOCK)], check=True)",
        "subprocess.run",
        {"waiting for a child process"},
    ),
    "lock": Situation(
        "lock = threading.Lock(); lock.acquire()", "lock.acquire()", "lock.acquire", LOCK, "later(lock.release)"
    ),
    "with lock": Situation(
        "lock = threading.Lock(); lock.acquire()", "with lock: pass", "main", LOCK, "later(lock.release)"
    ),
    "future": Situation(
        "future = concurrent.futures.Future()",
        "future.result()",
        "concurrent.futures.Future.result",
        LOCK,
        "later(future.set_result, 1)",
    ),
    "sqlite3": Situation(
        "database = sqlite3.connect(':memory:')", "database.execute(query(STEPS)).fetchall()", "", PROCESSOR
    ),
    "loop": Situation("", "for i in range(TURNS): i * i", "main", PROCESSOR),
    "generator": Situation("", "sum(i * i for i in range(TURNS))", "sum", PROCESSOR),
    "gc.collect": Situation(
        "gc.disable(); rows = [[] for _ in range(OBJECTS)]",
        "gc.collect()",
        "gc.collect",
        {"collecting garbage", *PROCESSOR},
    ),
    "import": Situation(
        "open('heavy.py', 'w').write(f'import time\\ntime.sleep({BLOCK})\\n'); sys.path.insert(0, '')",
        "import heavy",
        "import heavy",
        {"importing"},
    ),
    # A name server that never answers cannot be had everywhere.
    "getaddrinfo": Situation(
        "exec(compile('def slow(*names): time.sleep(BLOCK); return []', '<frozen slow>', 'exec'))\n"
        "socket._socket.getaddrinfo = slow",
        "socket.getaddrinfo('localhost', 80)",
        "socket.getaddrinfo",
        {"sleeping"},
    ),
}

# How much is much of each kind of work: found out once, so that each takes about as long on any machine.
CALIBRATION = """
def size(make):
    count, took = 5_000, 0
    while took < 0.04:
        count *= 2
        action = make(count)
        began = time.thread_time()
        action()
        took = time.thread_time() - began
    return int(count * BLOCK / took)
def loads(count):
    text = '[' + ','.join(['1.5'] * count) + ']'
    return lambda: json.loads(text)
def dumps(count):
    rows = [[i, str(i)] for i in range(count)]
    return lambda: pickle.dumps(rows)
def sort(count):
    rows = [random.random() for _ in range(count)]
    return lambda: rows.sort(key=abs)
def collect(count):
    gc.disable()
    rows = [[] for _ in range(count)]
    return lambda: (gc.collect(), len(rows))
def turns(count):
    def run():
        for i in range(count): i * i
    return run
length, took = 16, 0
while took < BLOCK:
    length += 1
    began = time.perf_counter()
    re.match(r'(a+)+$', 'a' * length + 'b')
    took = time.perf_counter() - began
print(json.dumps({
    'SIZE': size(loads), 'ROWS': size(dumps), 'ITEMS': size(sort), 'OBJECTS': size(collect), 'TURNS': size(turns),
    'ROUNDS': size(lambda count: lambda: hashlib.pbkdf2_hmac('sha256', b'', b'', count)),
    'STEPS': size(lambda count: lambda: sqlite3.connect(':memory:').execute(query(count)).fetchall()),
    'LENGTH': length,
}))
"""


def run_python(code: str, directory: Path, environment: dict[str, str]) -> str:
    """Run a program and return what it prints."""
    (directory / "app.py").write_text(code)
    command = [sys.executable, "app.py"]
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def program(name: str, sizes: str) -> str:
    """Return a program that is blocked."""
    situation = SITUATIONS[name]
    return (
        f"{HEAD}{sizes}\n{situation.before}\n"
        f"async def main():\n    {situation.first}\n    {situation.block}  # here\n{TAIL}"
    )


class Run(NamedTuple):
    """What was found in a program, and the line where it is blocked."""

    found: list[dict[str, object]]
    line: int


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, "Future[Run]"]:
    """Run all programs, two at a time: most of them wait."""
    # A copy, since pytest changes the environment at each test: `exec` fails with EFAULT if that happens while a
    # thread starts a process.
    environment = dict(os.environ)
    values = json.loads(run_python(HEAD + CALIBRATION, tmp_path_factory.mktemp("sizes"), environment))
    sizes = "\n".join(f"{key} = {value}" for key, value in values.items())

    def run(name: str) -> Run:
        code = program(name, sizes)
        line = next(number for number, line in enumerate(code.splitlines(), 1) if line.endswith("# here"))
        return Run(json.loads(run_python(code, tmp_path_factory.mktemp("blocked"), environment)), line)

    pool = ThreadPoolExecutor(2)
    started = {name: pool.submit(run, name) for name in SITUATIONS}
    pool.shutdown(wait=False)
    return started


@pytest.mark.skipif(sys.platform != "linux", reason="what threads execute and wait for is read from files of Linux")
@pytest.mark.parametrize("name", SITUATIONS)
def test_line_that_blocks_the_loop_is_found_with_what_it_calls(runs: dict[str, "Future[Run]"], name: str) -> None:
    result = runs[name].result()
    found = [finding for finding in result.found if finding["name"] == "blocked-loop"]
    assert [(str(finding["path"]).rpartition("/")[2], finding["line"]) for finding in found] == [
        ("app.py", result.line)
    ], found
    assert f"`{SITUATIONS[name].called}" in str(found[0]["message"])
    assert found[0]["cause"] in SITUATIONS[name].causes
