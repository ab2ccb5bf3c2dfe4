"""One measurement in a process of its own: ``python -m benches.doctor.subject WATCHER WORK OPERATIONS``.

Prints the processor time of an operation in nanoseconds, that of all threads together, the watcher's own included.
"""

import asyncio
import importlib
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

CONNECTIONS = 8

# Sends and receives on some connections in turn, as fast as the other side answers; ends when it has been answered.
CLIENT = """
import socket, sys
peers = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(int(sys.argv[2]))]
for _ in range(int(sys.argv[3]) // len(peers)):
    for peer in peers:
        peer.sendall(b"x" * 100)
    for peer in peers:
        left = 100
        while left:
            left -= len(peer.recv(left))
"""


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    # uvloop's is no `asyncio.Transport`.
    transport: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Send it back."""
        self.transport.write(data)


async def echo(operations: int) -> float:
    """Answer requests of another process."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    command = [sys.executable, "-c", CLIENT, str(port), str(CONNECTIONS), str(operations)]
    client = await asyncio.to_thread(subprocess.Popen, command)
    began = time.process_time()
    await asyncio.to_thread(client.wait)
    spent = time.process_time() - began
    server.close()
    return spent


async def switch(operations: int) -> float:
    """Switch between two tasks."""

    async def spin() -> None:
        for _ in range(operations // 2):
            await asyncio.sleep(0)

    began = time.process_time()
    await asyncio.gather(spin(), spin())
    return time.process_time() - began


async def task(operations: int) -> float:
    """Make tasks that do nothing, and wait for each."""

    async def nothing() -> None:
        pass

    began = time.process_time()
    for _ in range(operations):
        await asyncio.create_task(nothing())
    return time.process_time() - began


async def timer(operations: int) -> float:
    """Set timers and cancel them."""
    loop = asyncio.get_running_loop()
    began = time.process_time()
    for _ in range(operations):
        loop.call_later(60, print).cancel()
    return time.process_time() - began


async def callback(operations: int) -> float:
    """Run callbacks."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    left = operations

    def step() -> None:
        nonlocal left
        left -= 1
        if left:
            loop.call_soon(step)
        else:
            done.set_result(None)

    began = time.process_time()
    loop.call_soon(step)
    await done
    return time.process_time() - began


WORK: dict[str, Callable[[int], Coroutine[Any, Any, float]]] = {
    "echo": echo,
    "switch": switch,
    "task": task,
    "timer": timer,
    "callback": callback,
}


def factory(watcher: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the loop, with the watcher at work."""
    if watcher.startswith("treadle"):
        treadle = importlib.import_module("treadle")
        if watcher == "treadle-watch":
            treadle.watch(output="silent", settings=False)
        return treadle.new_event_loop  # type: ignore[no-any-return]
    if watcher == "uvloop":
        return importlib.import_module("uvloop").new_event_loop  # type: ignore[no-any-return]
    if watcher == "blockbuster":
        importlib.import_module("blockbuster").BlockBuster().activate()
    if watcher == "aiodebug":
        importlib.import_module("aiodebug.log_slow_callbacks").enable(0.1)
    return asyncio.SelectorEventLoop


async def twice(work: Callable[[int], Coroutine[Any, Any, float]], operations: int) -> float:
    """Do the work once to warm up, and once to measure."""
    await work(operations // 10)
    return await work(operations)


def main() -> None:
    """Measure once."""
    watcher, work, operations = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with asyncio.Runner(loop_factory=factory(watcher), debug=watcher == "asyncio-debug") as runner:
        spent = runner.run(twice(WORK[work], operations))
    print(spent / operations * 1e9)


if __name__ == "__main__":
    main()
