"""A database that goes away under load, and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import asyncpg
import servers
from client import Client, Tally
from judged import Outcome, rounds
from served import House, Running, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLIENTS = 20
PATIENCE = 30.0
# Seconds for which the database is away, and within which nothing has a reason to fail any more when it is back: the
# service waits for it for 2 s.
AWAY = 1.5
RECOVERY = 2.5


async def away_and_back(house: House) -> Outcome:
    """Kill the server of the database again and again: rows that were acknowledged are there, and service resumes."""
    with PostgreSQL.running(house.folder) as database:
        connection = await database.ready()
        await connection.close()
        house = dataclasses.replace(house, environment={"LOAD_DATABASE": database.address})
        async with serving(house) as running:
            calm = Outcome()
            # From here on the service has as many connections as it ever has.
            await load(running, calm, 0.5)
            outcome = await rounds(running, lambda running, outcome: outage(database, running, outcome))
        outcome.tally.asked += calm.tally.asked
        outcome.tally.errors += calm.tally.errors
        outcome.tally.acknowledged |= calm.tally.acknowledged
        outcome.note = f"{outcome.tally.provoked} while it was away"
        connection = await database.ready()
        outcome.judge({row[0] for row in await connection.fetch("select name from load_rows")})
        await connection.close()
    return outcome


async def outage(database: PostgreSQL, running: Running, outcome: Outcome) -> None:
    """Kill the server of the database under load, and start it again."""
    tally = outcome.tally
    over = asyncio.Event()
    asking = [asyncio.ensure_future(insert(Client(running.address), tally, over)) for _ in range(CLIENTS)]
    await asyncio.sleep(0.5)
    failed = sum(tally.errors.values())
    database.kill()
    await asyncio.sleep(AWAY)
    database.start()
    await (await database.ready()).close()
    await asyncio.sleep(RECOVERY)
    tally.provoked += sum(tally.errors.values()) - failed
    resumed = len(tally.acknowledged)
    await asyncio.sleep(0.5)
    outcome.expect(len(tally.acknowledged) > resumed, "no rows although the database is back")
    over.set()
    await asyncio.gather(*asking)


async def load(running: Running, outcome: Outcome, seconds: float) -> None:
    """Insert rows for a while."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    await asyncio.gather(*(insert(Client(running.address), outcome.tally, over) for _ in range(CLIENTS)))


async def insert(client: Client, tally: Tally, over: asyncio.Event) -> None:
    """Insert rows until it is over."""
    while not over.is_set():
        if not await client.ask("row", tally):
            await asyncio.sleep(0.05)
    await client.close()


class PostgreSQL:
    """A server of its own, which can be killed and started again."""

    def __init__(self, programs: Path, cluster: Path) -> None:
        """Take where the programs are, and where a cluster is to be."""
        self.programs, self.cluster = programs, cluster
        self.port = servers.free_port()
        self.address = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextlib.contextmanager
    def running(cls, folder: Path) -> Iterator[PostgreSQL]:
        """Make a cluster and run its server."""
        for above in (folder, *folder.parents[:1]):
            above.chmod(0o777)
        programs = servers.postgres(folder)
        cluster = folder / "cluster"
        cluster.mkdir(mode=0o777)
        database = cls(programs, cluster)
        command = [str(programs / "initdb"), "-D", str(cluster), "-U", "postgres", "-A", "trust", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, cwd=folder)
        database.start()
        try:
            yield database
        finally:
            database.kill()

    def start(self) -> None:
        """Start the server."""
        command = [str(self.programs / "postgres"), "-D", str(self.cluster), "-p", str(self.port), "-h", "127.0.0.1"]
        command += ["-k", str(self.cluster)]
        with (self.cluster.parent / "postgres.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=self.cluster)

    def kill(self) -> None:
        """Kill the server with all its processes, as a machine that fails does."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            (self.cluster / "postmaster.pid").unlink(missing_ok=True)

    async def ready(self) -> asyncpg.Connection:
        """Return a connection as soon as there can be one; the table is there."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    connection = await asyncpg.connect(self.address)
                except (OSError, asyncpg.PostgresError):
                    await asyncio.sleep(0.1)
                else:
                    await connection.execute("create table if not exists load_rows (name text)")
                    return connection
