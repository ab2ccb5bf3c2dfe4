"""Measures one row on one loop, once, in processes of its own."""

import shutil
import subprocess
import sys
import time
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from benches.loops.backends import LIMIT
from benches.loops.processes import FailedError, Process, running
from benches.loops.processors import Processors
from benches.loops.rows import Held, Imported, Inside, Pending, Row, Served

WARM_CONNECTIONS = 50
"""Connections held before memory is first read, so that buffers that all share are there."""


@dataclass(frozen=True)
class Sample:
    """What one run gave."""

    rate: float
    """Operations a second; bytes or milliseconds where the row's unit says so."""
    cpu: float | None = None
    """Processor seconds of the process under test for each operation."""
    busy: float | None = None
    """The part of the time in which it ran: below 0.9, somebody else limits the rate."""


@dataclass(frozen=True)
class Bench:
    """Everything a sample needs but for the row and the loop."""

    load: str
    """The program ``treadle-load``."""
    seconds: float
    warm: float
    processors: Processors
    folder: Path
    """For Unix sockets and the certificate; gone afterwards."""

    def sample(self, row: Row, loop: str) -> Sample | None:
        """Measure, or return nothing where a limit has no meaning.

        Raises:
            FailedError: the loop cannot do it.
        """
        match row.work:
            case Inside():
                return self._inside(row.work, loop)
            case Served():
                return self._served(row.work, loop)
            case _ if loop == LIMIT:
                return None
            case Held():
                return self._held(row.work, loop)
            case Pending(timers):
                return self._figures(loop, "pending", str(timers))
            case Imported():
                return self._figures(loop, "import", loop)

    def _inside(self, work: Inside, loop: str) -> Sample | None:
        if loop == LIMIT and not work.limit:
            return None
        with ExitStack() as stack:
            address = []
            if work.peer:
                command = [self.load, "server", "tcp:127.0.0.1:0", "--answer", work.peer]
                where = self.processors.tested if work.beside else self.processors.others
                peer = stack.enter_context(running(command, where))
                address = [peer.line()["address"]]
            if loop == LIMIT:
                command = [self.load, *work.limit, *address, *self._time()]
                process = stack.enter_context(running(command, self.processors.tested))
                return window([process], process)
            more = ["--peer", *address] if address else []
            return self._figures(loop, "batches", work.operation, "--seconds", str(self.seconds), *more)

    def _served(self, work: Served, loop: str) -> Sample | None:
        if loop == LIMIT and not work.limit:
            return None
        with ExitStack() as stack:
            server = stack.enter_context(self._limit(work) if loop == LIMIT else self._server(work, loop))
            address = server.line()["address"]
            commands = self._clients(work, address)
            # On another core the wake-up of an idle processor would be all that one connection measures.
            where = self.processors.tested if work.connections == 1 else self.processors.others
            clients = [stack.enter_context(running(command, where)) for command in commands]
            if work.client == "tls":
                for client in clients:
                    client.expect("ready")
                for client in clients:
                    client.tell()
            return window(clients, server)

    def _held(self, work: Held, loop: str) -> Sample:
        with ExitStack() as stack:
            server = stack.enter_context(self._server(Served(work.server, work.connections), loop))
            address = server.line()["address"]
            before = 0
            for connections in (WARM_CONNECTIONS, work.connections):
                before = server.resident()
                command = [self.load, "hold", address, "--connections", str(connections)]
                stack.enter_context(running(command, self.processors.others)).expect("held")
            return Sample((server.resident() - before) / work.connections)

    def _figures(self, loop: str, what: str, name: str, *more: str) -> Sample:
        with self._child(loop, what, name, *more) as child:
            figures = child.line()
        return Sample(figures["rate"], figures.get("cpu"), figures.get("busy"))

    def _server(self, work: Served, loop: str) -> AbstractContextManager[Process]:
        path = self._certificate() if work.client == "tls" else self._socket()
        return self._child(loop, "serve", work.server, "--transport", work.transport, "--path", str(path))

    def _child(self, loop: str, *arguments: str) -> AbstractContextManager[Process]:
        command = [sys.executable, "-m", "benches.loops.child", loop, *arguments]
        return running(command, self.processors.tested)

    def _limit(self, work: Served) -> AbstractContextManager[Process]:
        place = f"unix:{self._socket()}" if work.transport == "unix" else f"{work.transport}:127.0.0.1:0"
        command = [self.load, "server", place, "--answer", str(work.limit)]
        return running(command, self.processors.tested)

    def _clients(self, work: Served, address: str) -> list[list[str]]:
        """Return the commands that load a server."""
        time_and_count = [*self._time(), "--connections", str(work.connections)]
        threads = ["--threads", str(self.processors.threads)]
        match work.client:
            case "client":
                return [[self.load, "client", address, *time_and_count, *threads, "--size", str(work.size)]]
            case "http":
                return [[self.load, "client", address, *time_and_count, *threads, "--http"]]
            case "dial":
                return [[self.load, "dial", address, *time_and_count, *threads]]
            case "tls":
                shared = str(work.connections // self.processors.threads)
                command = [sys.executable, "-m", "benches.loops.tls_load", address, *self._time()]
                return [[*command, "--connections", shared, "--size", str(work.size)]] * self.processors.threads

    def _time(self) -> list[str]:
        return ["--warm", str(self.warm), "--seconds", str(self.seconds)]

    def _socket(self) -> Path:
        path = self.folder / "socket"
        path.unlink(missing_ok=True)
        return path

    def _certificate(self) -> Path:
        """Make a certificate once, with its key in the same file."""
        path = self.folder / "certificate.pem"
        if not path.exists():
            if not shutil.which("openssl"):
                raise FailedError("the program `openssl`, which makes the certificate, is not installed")
            key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(path)]
            made = ["openssl", "req", "-x509", *key, "-subj", "/CN=localhost", "-days", "2"]
            certificate = subprocess.run(made, check=True, capture_output=True, text=True).stdout
            with path.open("a", encoding="ascii") as file:
                file.write(certificate)
        return path


def window(clients: list[Process], tested: Process) -> Sample:
    """Read the processor time of the process under test at the two ends of what its clients count."""
    for client in clients:
        client.expect("started")
    cpu, began = tested.processor_seconds(), time.perf_counter()
    figures = [client.line() for client in clients]
    cpu, wall = tested.processor_seconds() - cpu, time.perf_counter() - began
    operations = sum(figure["operations"] for figure in figures)
    if not operations:
        raise FailedError("no reply within the time")
    rate = sum(figure["operations"] / figure["seconds"] for figure in figures)
    return Sample(rate, cpu / wall / rate, cpu / wall)
