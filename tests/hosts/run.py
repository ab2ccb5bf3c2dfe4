"""Runs what ``docs/hosts.md`` shows, and looks at the loop that runs: ``python tests/hosts/run.py --wheel WHEEL``.

A file of the page stands below a comment with its name; each line of its ``sh`` blocks is one command to be tried.
Lines that end in ``&`` are started for the command that follows them, and run beside it. A command that has to do with
the port is a server: it is asked over HTTP, and answers with its loop's class. The others print it, and so does one
that has others beside it; every class that is printed counts. Each runs in a directory of its own with all files, with
the port exchanged for a free one, and ends when it has answered; what has been started is stopped by its process group.
"""

import argparse
import http.client
import http.server
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PORT = "8000"
OURS = "treadle.loop.event_loop.EventLoop"
LIMIT = 60.0


@dataclass
class Command:
    """A line to be tried."""

    host: str
    line: str
    # What has to run beside it.
    beside: list[str]


@dataclass
class Page:
    """What there is to try."""

    files: dict[str, str]
    commands: list[Command]


def read(text: str) -> Page:
    """Take files and commands out of the page."""
    page = Page({}, [])
    for section in text.split("\n## ")[1:]:
        host = section.partition("\n")[0]
        for name, content in re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```\n", section, re.DOTALL):
            page.files[name] = content
        for block in re.findall(r"```sh\n(.*?)```\n", section, re.DOTALL):
            beside: list[str] = []
            for line in block.splitlines():
                if line.endswith(" &"):
                    beside.append(line.removesuffix(" &"))
                else:
                    page.commands.append(Command(host, line, beside))
                    beside = []
    return page


def free_port() -> str:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


class Discord(http.server.BaseHTTPRequestHandler):
    """As much of Discord as a client asks before it calls ``setup_hook``."""

    def do_GET(self) -> None:
        """Answer with a user who is an application, too."""
        user = {"id": "1", "username": "chat", "discriminator": "0", "avatar": None}
        application = {"name": "chat", "icon": None, "description": "", "verify_key": "", "flags": 0, "owner": user}
        words = {"bot_public": True, "bot_require_code_grant": False}
        body = json.dumps({**user, **application, **words}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


# Runs before each program, after the launch file of `treadle run` if there is one.
SITE = """\
import os, sys
if os.path.basename(sys.orig_argv[-1]).startswith("chat"):
    import discord.http
    discord.http.Route.BASE = os.environ["DISCORD_BASE"]
"""


class Trial:
    """A command that runs, in a directory of its own."""

    def __init__(self, page: Page, command: Command, scripts: Path, directory: Path, base: str) -> None:
        """Write the files and start the command."""
        self.port = free_port()
        for name, content in page.files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content.replace(PORT, self.port))
        site = directory / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(SITE)
        words = shlex.split(command.line)
        program = next((page.files[word] for word in words if word in page.files), "")
        has_port = PORT in command.line or f"={PORT}" in program or f":{PORT}" in program
        self.is_server = has_port and not command.beside
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
        self.environment = {
            **environment,
            "PATH": f"{scripts}:{environment['PATH']}",
            "PYTHONPATH": str(site),
            "PYTHONUNBUFFERED": "1",
            "HOME": str(directory),
            "JUPYTER_PATH": str(directory),
            "TELEGRAM_TOKEN": "1:token",
            "DISCORD_TOKEN": "token",
            "DISCORD_BASE": base,
        }
        self.directory = directory
        self.beside = [self.start(shlex.split(line), f"beside-{at}") for at, line in enumerate(command.beside)]
        self.process = self.start(words, "output")

    def start(self, words: list[str], output: str) -> "subprocess.Popen[bytes]":
        """Start a program in a process group of its own, with what it says in a file."""
        return subprocess.Popen(
            [word.replace(PORT, self.port) for word in words],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=(self.directory / output).open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=self.environment,
        )

    def said(self) -> str:
        """Return the last that those beside the command have said, and the command itself."""
        names = [*(f"beside-{at}" for at in range(len(self.beside))), "output"]
        return "".join((self.directory / name).read_text()[-3000:] for name in names)

    def answer(self) -> str:
        """Return the classes of the loops, or nothing if none has come in time."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            has_ended = self.process.poll() is not None
            text = self.ask() if self.is_server else (self.directory / "output").read_text()
            if found := re.findall(r"<class '(.*?)'>", text):
                return ", ".join(sorted(set(found)))
            if has_ended:
                return ""
            # There is nothing to wait for but the port or the line.
            time.sleep(0.05)
        return ""

    def ask(self) -> str:
        """Ask the server."""
        connection = http.client.HTTPConnection("127.0.0.1", int(self.port), timeout=5)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            connection.close()

    def stop(self) -> bool:
        """End the command as a supervisor would, then those beside it; return whether all went by themselves."""
        went = [stopped(process) for process in [self.process, *reversed(self.beside)]]
        return all(went)


def stopped(process: "subprocess.Popen[bytes]") -> bool:
    """Ask a program to end, and return whether it did."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        return False
    else:
        return True
    finally:
        # It leads a group of its own; what it has left behind goes too.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def discord() -> Iterator[str]:
    """Serve what discord.py asks, and yield where."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Discord) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def scripts_of(wheel: Path) -> Path:
    """Make the environment with the packages and the wheel in it, and return where its programs are."""
    directory = ROOT / "target" / "hosts" / "python-{}.{}".format(*sys.version_info)
    venv.create(directory, with_pip=True, symlinks=True)
    pip = [str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--requirement", str(HERE / "requirements.txt")], check=True)
    subprocess.run([*pip, "--no-deps", "--force-reinstall", str(wheel)], check=True)
    return directory / "bin"


def main() -> int:
    """Try all commands and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, help="treadle, to be put into an environment below `target`")
    parser.add_argument("--environment", type=Path, help="an environment that has everything already")
    parser.add_argument("--only", default="", help="a part of the host's name or of the command")
    options = parser.parse_args()
    scripts = options.environment.absolute() / "bin" if options.environment else scripts_of(options.wheel)
    page = read((ROOT / "docs" / "hosts.md").read_text())
    commands = [command for command in page.commands if options.only in f"{command.host}: {command.line}"]
    if not commands:
        parser.error(f"no command of the page has `{options.only}` in it")
    failed = 0
    with discord() as base:
        for command in commands:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
                trial = Trial(page, command, scripts, Path(directory), base)
                answer = trial.answer()
                went = trial.stop()
                is_good = answer == OURS
                failed += not is_good
                # Said, and not held against the loop: granian, on any loop, misses what arrives while a worker starts.
                words = "" if went else ", and did not end by itself"
                print(f"{'good' if is_good else 'BAD'}  {command.line}: {answer or 'no answer'}{words}", flush=True)
                if not is_good:
                    print(trial.said())
    print(f"{failed} of {len(commands)} commands are not on the loop" if failed else "all are on the loop")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
