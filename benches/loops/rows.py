"""What is measured, and what treadle aims at.

A floor is a ratio to uvloop, larger is better: operations in the same time, or what uvloop takes in memory or time
divided by what the loop takes. ``limit_ms`` is an absolute aim where a ratio would say nothing.
"""

from dataclasses import dataclass
from typing import Literal

Unit = Literal["ops/s", "bytes", "ms"]


@dataclass(frozen=True)
class Inside:
    """Batches of operations within the process under test, from ``batches`` or ``dialling``."""

    operation: str
    peer: Literal["close", "http"] | None = None
    """How the load server answers, when the loop under test is the client."""
    beside: bool = False
    """The load server is on the same processor, since one operation after the other would wake an idle one."""
    limit: tuple[str, ...] = ()
    """What ``treadle-load`` is told, before the peer's address, to do the same without a loop."""


@dataclass(frozen=True)
class Served:
    """A server on the loop under test, and a client that is not."""

    server: str
    """A function of ``servers``."""
    connections: int
    size: int = 1024
    transport: Literal["tcp", "udp", "unix"] = "tcp"
    client: Literal["client", "http", "dial", "tls"] = "client"
    limit: Literal["echo", "http", "close"] | None = "echo"
    """How the load server answers when it stands in for the loop."""


@dataclass(frozen=True)
class Held:
    """Growth of a server's resident memory for each connection that rests."""

    server: str
    connections: int


@dataclass(frozen=True)
class Pending:
    """Growth of resident memory for each timer that waits."""

    timers: int


@dataclass(frozen=True)
class Imported:
    """Time of importing the loop's package when asyncio is there already."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    title: str
    floor: float | None
    work: Inside | Served | Held | Pending | Imported
    limit_ms: float | None = None

    @property
    def unit(self) -> Unit:
        """What its figures are."""
        match self.work:
            case Held() | Pending():
                return "bytes"
            case Imported():
                return "ms"
            case _:
                return "ops/s"


ROWS = (
    Row("call-soon-0", "call_soon", 1.8, Inside("call_soon")),
    Row("call-soon-2", "call_soon, 2 arguments", 2.2, Inside("call_soon_arguments")),
    Row("chain", "call_soon chain, one a turn", 4.5, Inside("chain")),
    Row("timer-cancel", "call_later + cancel", 3.9, Inside("timer_cancel")),
    Row("timer-fire", "call_later, fired", 2.2, Inside("timer_fire")),
    Row("threadsafe", "call_soon_threadsafe", 2.0, Inside("threadsafe")),
    Row("threadsafe-wake", "… from a thread, answered", None, Inside("threadsafe_wake")),
    Row("sleep-0", "sleep(0)", 1.6, Inside("sleep_zero")),
    Row("spawn", "create_task + await", 1.9, Inside("spawn")),
    Row("future", "future wake-up", 2.4, Inside("future")),
    Row("queue", "Queue ping-pong", 1.5, Inside("queue")),
    Row("lock", "Lock hand-over", 1.5, Inside("lock")),
    Row("wait-for", "wait_for", 1.8, Inside("wait_for")),
    Row("gather", "gather of 10", 1.3, Inside("gather")),
    Row("echo-1k-1", "protocol echo 1 KiB, 1", 1.02, Served("protocol", 1)),
    Row("echo-1k-50", "protocol echo 1 KiB, 50", 1.14, Served("protocol", 50)),
    Row("echo-1k-500", "protocol echo 1 KiB, 500", None, Served("protocol", 500)),
    Row("echo-10k-50", "protocol echo 10 KiB, 50", None, Served("protocol", 50, 10 << 10)),
    Row("echo-100k-50", "protocol echo 100 KiB, 50", None, Served("protocol", 50, 100 << 10)),
    Row("streams-1", "streams echo 1 KiB, 1", 1.2, Served("streams", 1)),
    Row("streams-50", "streams echo 1 KiB, 50", 1.5, Served("streams", 50)),
    Row("readline-50", "readline 1 KiB, 50", 1.5, Served("readline", 50)),
    Row("pieces-50", "replies in two pieces, 50", 1.9, Served("pieces", 50)),
    Row("sock-1", "sock_recv + sock_sendall, 1", 1.6, Served("sock", 1)),
    Row("sock-50", "sock_recv + sock_sendall, 50", 2.5, Served("sock", 50)),
    Row("tls-1k-50", "TLS protocol 1 KiB, 50", 1.3, Served("tls_protocol", 50, client="tls", limit=None)),
    Row("tls-streams-50", "TLS streams 1 KiB, 50", 1.45, Served("tls_streams", 50, client="tls", limit=None)),
    Row(
        "tls-100k-50", "TLS protocol 100 KiB, 50", 1.0, Served("tls_protocol", 50, 100 << 10, client="tls", limit=None)
    ),
    Row("udp-50", "UDP echo 1 KiB, 50", 1.34, Served("datagrams", 50, transport="udp")),
    Row("unix-50", "Unix echo 1 KiB, 50", 1.1, Served("protocol", 50, transport="unix")),
    Row(
        "sock-connect",
        "sock_connect",
        2.7,
        Inside("sock_connect", peer="close", beside=True, limit=("dial", "--leave")),
    ),
    Row("subprocess", "subprocess `true`", 3.5, Inside("subprocess", limit=("spawn", "true"))),
    Row("accept", "accept + close", 1.1, Served("closing", 8, client="dial", limit="close")),
    Row("uvicorn", "uvicorn server, 50", 1.4, Served("uvicorn", 50, client="http", limit="http")),
    Row("aiohttp-server", "aiohttp server, 50", 1.36, Served("aiohttp", 50, client="http", limit="http")),
    Row("aiohttp-client", "aiohttp client, 50", 1.2, Inside("aiohttp_client", peer="http")),
    Row("memory-protocol", "memory, idle connection", None, Held("protocol", 1000)),
    Row("memory-streams", "memory, idle streams", None, Held("streams", 1000)),
    Row("memory-timer", "memory, pending timer", None, Pending(100_000)),
    Row("import", "import beyond asyncio", None, Imported(), limit_ms=20.0),
)


def chosen(patterns: list[str]) -> list[Row]:
    """Return the rows that have one of the texts as name, or else in their name; all rows when there is no text.

    Raises:
        ValueError: a text is in no name.
    """
    names = {row.name for row in ROWS} if not patterns else set()
    for pattern in patterns:
        found = {row.name for row in ROWS if row.name == pattern} or {row.name for row in ROWS if pattern in row.name}
        if not found:
            raise ValueError(f"no row is called `{pattern}`; there are {', '.join(row.name for row in ROWS)}")
        names |= found
    return [row for row in ROWS if row.name in names]
