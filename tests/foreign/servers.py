"""The servers that suites talk to: started on a free port of the loopback, stopped by their process id.

Of PostgreSQL a suite may want more than a server: asyncpg's makes and restarts clusters itself. It is given the
directory of the programs. They refuse to run as root; then it is one of stand-ins that give up the rights first.
"""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

PATIENCE = 20.0
# The servers that run, each with a group of its own.
PROCESSES: set[int] = set()
# Whom the programs run as when we are root; the first that is there.
SOMEBODY = ("postgres", "nobody")

STAND_IN = """\
#!{python} -I
import os
import sys

arguments = sys.argv[1:]
if "-D" in arguments:
    top = arguments[arguments.index("-D") + 1]
    for directory, _, files in os.walk(top):
        for name in [directory, *(os.path.join(directory, file) for file in files)]:
            os.chown(name, {user}, {group})
os.setgroups([])
os.setgid({group})
os.setuid({user})
os.execv({program!r}, [{program!r}, *arguments])
"""


class Missing(Exception):  # noqa: N818 (it says what is so)
    """The server is not installed here."""


@contextlib.contextmanager
def running(server: str, scratch: Path) -> Iterator[dict[str, str]]:
    """Start a server; what comes fills a suite's arguments and environment.

    Raises:
        Missing: the server is not installed.

    """
    if server == "redis":
        with redis(scratch) as port:
            yield {"port": str(port), "scratch": str(scratch)}
    elif server == "postgres":
        yield {"postgres": str(postgres(scratch)), "scratch": str(scratch)}
    else:
        yield {"scratch": str(scratch)}


@contextlib.contextmanager
def redis(scratch: Path) -> Iterator[int]:
    """Run a server of redis."""
    program = shutil.which("redis-server")
    if not program:
        raise Missing("redis-server is not installed")
    port = free_port()
    directory = scratch / "redis"
    directory.mkdir()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", ""]
    command += ["--enable-debug-command", "yes"]
    with (directory / "log").open("wb") as log, started(command, log) as process:
        try:
            wait_for(port)
            yield port
        finally:
            process.terminate()
            PROCESSES.discard(process.pid)


def started(command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a server, which a Ctrl-C at the terminal does not reach."""
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    PROCESSES.add(process.pid)
    return process


def postgres(scratch: Path) -> Path:
    """Return a directory with the programs of PostgreSQL, such as this user may run.

    Raises:
        Missing: they are not installed.

    """
    programs = directory_of_postgres()
    if os.geteuid():
        return programs
    # Its sockets and clusters are below, and are not root's.
    scratch.chmod(0o777)
    users = [entry for name in SOMEBODY for entry in pwd.getpwall() if entry.pw_name == name]
    if not users:
        raise Missing("PostgreSQL refuses to run as root, and there is nobody else")
    somebody = users[0]
    stand_ins = scratch / "postgres"
    stand_ins.mkdir()
    for program in programs.iterdir():
        text = STAND_IN.format(python=sys.executable, user=somebody.pw_uid, group=somebody.pw_gid, program=str(program))
        (stand_ins / program.name).write_text(text)
        (stand_ins / program.name).chmod(0o755)
    return stand_ins


def directory_of_postgres() -> Path:
    """Look for the programs: on the path, then where distributions put the newest."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    for home in ("/usr/lib/postgresql", "/usr/local/opt", "/opt/homebrew/opt", "/usr/pgsql"):
        places += sorted((place.parent for place in Path(home).glob("*/bin/initdb")), reverse=True)
    for place in places:
        if (place / "postgres").exists():
            return place
    raise Missing("PostgreSQL's `initdb` is not installed")


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    """Wait until somebody listens on a port."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return
