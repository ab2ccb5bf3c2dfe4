"""The service under test, whatever serves it: what it acknowledges, with its process id, it has written down before.

``/order/ID`` appends to the record, ``/slow/ID`` does so after a while, ``/row/ID`` inserts into the database,
``/large`` is more than sockets take at once, ``/facts`` is what the process has open and how much memory it holds.
"""

import asyncio
import contextlib
import gc
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

PIECE = bytes(64 * 1024)
PIECES = 64
SLOW = 0.3
# How long the database is waited for before the client is told that it is away.
PATIENCE = 2.0


class Service:
    """Answers paths; one for each process."""

    def __init__(self) -> None:
        """Open the record, to which processes may append at once."""
        self.record = os.open(os.environ["LOAD_RECORD"], os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        self.pool: Any = None
        self.starting = asyncio.Lock()
        # asyncpg reports each attempt to reach a database that is away, and being away is what the test is about.
        logging.getLogger("asyncpg.pool").addFilter(lambda record: "pool connection floor" not in record.getMessage())

    async def answer(self, path: str) -> tuple[int, list[bytes]]:
        """Return a status and the pieces of a body."""
        _, kind, *rest = path.split("/")
        if kind == "slow":
            await asyncio.sleep(SLOW)
        if kind in ("slow", "order"):
            os.write(self.record, f"{rest[0]}\n".encode())
        elif kind == "row":
            return await self.insert(rest[0])
        elif kind == "large":
            return 200, [PIECE] * PIECES
        elif kind == "facts":
            return 200, [json.dumps(facts()).encode()]
        return 200, [str(os.getpid()).encode()]

    async def insert(self, name: str) -> tuple[int, list[bytes]]:
        """Insert a row; 503 says that the database is away, and nothing about the row."""
        import asyncpg  # noqa: PLC0415 -- only those with a database have it.

        try:
            async with asyncio.timeout(PATIENCE):
                async with self.starting:
                    if self.pool is None:
                        self.pool = await asyncpg.create_pool(os.environ["LOAD_DATABASE"], min_size=1, max_size=8)
                await self.pool.execute("insert into load_rows values ($1)", name)
        # The last of them is what asyncpg says when it is interrupted on a connection that goes away.
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            return 503, [repr(error).encode()]
        return 200, [str(os.getpid()).encode()]

    async def close(self) -> None:
        """Give back what is open."""
        if self.pool is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.pool.close(), PATIENCE)


def facts() -> dict[str, Any]:
    """Return what can be said of the process once there is no garbage."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return {
        "process": os.getpid(),
        "loop": type(asyncio.get_running_loop()).__module__.partition(".")[0],
        "resident": pages * os.sysconf("SC_PAGE_SIZE"),
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        "python": sys.version.split()[0],
    }
