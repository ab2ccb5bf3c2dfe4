"""Rates beside nginx, which counts by itself: `limit_req`, fifty requests a second."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import treadle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Where it is that no user has in the path.
NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (apt-get install nginx)")

# As many as come 0.4 s too early are let through: a machine that is busy bunches requests.
CONFIGURATION = """
daemon off;
master_process off;
pid {directory}/pid;
error_log stderr crit;
events {{ worker_connections 100; }}
http {{
    log_format times "$msec $status";
    access_log {directory}/access times;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    limit_req_zone $server_addr zone=fifty:1m rate=50r/s;
    limit_req_status 429;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            limit_req zone=fifty burst=20 nodelay;
            error_page 429 = @later;
            try_files /none @answer;
        }}
        location /any {{ return 200 "answer"; }}
        location @answer {{ return 200 "answer"; }}
        location @later {{ add_header Retry-After 1 always; return 429 "later"; }}
    }}
}}
"""


@dataclass
class Nginx:
    """A server, and what it has written of the requests it was asked."""

    port: int
    log: Path

    def requests(self) -> list[tuple[float, int]]:
        """Return when it was asked, in seconds, and what it has said."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return sorted((float(when), int(status)) for when, status in lines)


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    """Start nginx, and wait until it listens."""
    assert NGINX is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(directory=tmp_path, port=port))
    with subprocess.Popen([NGINX, "-p", tmp_path, "-c", configuration], stderr=subprocess.PIPE, text=True) as process:
        try:
            while True:
                assert process.poll() is None, process.stderr and process.stderr.read()
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                except ConnectionRefusedError:
                    continue
                break
            yield Nginx(port, tmp_path / "access")
        finally:
            process.terminate()


class Refused(Exception):  # noqa: N818 - what the server says
    """The server has refused a request."""

    def __init__(self, retry_after: float) -> None:
        """Keep how long it asks to wait, in seconds."""
        super().__init__(f"429, Retry-After: {retry_after:g}")
        self.retry_after = retry_after


@dataclass
class Client:
    """Asks, and keeps when it has begun to."""

    port: int
    path: str = "/"
    begun: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    async def ask(self) -> None:
        """Ask once."""
        loop = asyncio.get_running_loop()
        self.begun.append(loop.time())
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"GET {self.path} HTTP/1.1\r\nHost: nginx\r\nConnection: close\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        finally:
            writer.close()
            await writer.wait_closed()
        status = int(head.split()[1])
        if status == 429:
            self.refused.append(loop.time())
            raise Refused(float(head.partition("retry-after:")[2].split()[0]))
        assert status == 200, head

    async def ask_often(self, limiter: treadle.Limiter, requests: int) -> None:
        """Ask so often through a limiter, whatever the answers are."""

        async def once(_: int) -> None:
            async with limiter:
                await self.ask()

        await treadle.amap(once, range(requests), limit=requests, return_exceptions=True)


def statuses(nginx: Nginx) -> list[int]:
    """Return what the server has said, and forget it."""
    said = [status for _, status in nginx.requests()]
    nginx.log.write_text("")
    return said


LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, treadle.new_event_loop], ids=["asyncio", "treadle"])


@LOOPS
def test_nginx_refuses_a_semaphore_and_no_bucket(
    nginx: Nginx, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(Client(nginx.port).ask_often(treadle.Semaphore(10), 200))
        said = statuses(nginx)
        assert len(said) == 200
        assert said.count(429) > 100
        # What it still counts against the next ones is forgotten.
        runner.run(asyncio.sleep(0.5))
        runner.run(Client(nginx.port).ask_often(treadle.TokenBucket(50), 200))
    assert statuses(nginx) == [200] * 200


def test_nginx_never_sees_more_than_a_window_allows(nginx: Nginx) -> None:
    asyncio.run(Client(nginx.port, "/any").ask_often(treadle.SlidingWindow(40, 0.8), 120))
    times = [when for when, _ in nginx.requests()]
    assert len(times) == 120
    # Wherever one begins to count; half of the time is for what is late on its way.
    assert all(later - sooner > 0.4 for sooner, later in zip(times, times[40:], strict=False))


@LOOPS
def test_what_nginx_asks_for_is_honoured(nginx: Nginx, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    client = Client(nginx.port)

    def wait(error: Exception) -> bool | float:
        return error.retry_after if isinstance(error, Refused) else False

    # Twice as fast as it may be, until the server says so.
    rate = treadle.TokenBucket(100, name="nginx")
    policy = treadle.Policy(rate=rate, limit=10, retry=treadle.Retry(on=wait, attempts=10, budget=None))
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(every(policy, client))
    assert client.refused
    said = statuses(nginx)
    assert (said.count(200), said.count(429)) == (100, len(client.refused))
    # Nobody has begun within the second that a refusal has asked for, from when it was read.
    for refused in client.refused:
        assert not [begun for begun in client.begun if refused < begun < refused + 0.999]


async def every(policy: treadle.Policy, client: Client) -> None:
    """Ask a hundred times, until each is answered."""
    await treadle.amap(lambda _: policy.call(client.ask), range(100), limit=100)
