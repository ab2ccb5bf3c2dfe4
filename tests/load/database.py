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
from judged import Outcome
from served import House, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLIENTS = 20
PATIENCE = 30.0


async def away_and_back(house: House) -> Outcome:
    """Kill the server of the database for two seconds: rows that were acknowledged are there, and service resumes."""
    outcome = Outcome()
    with PostgreSQL.running(house.folder) as database:
        await (await database.ready()).close()
        house = dataclasses.replace(house, environment={"LOAD_DATABASE": database.address})
        async with serving(house) as running:
            client = Client(running.address)
            outcome.expect(await client.ask("row", outcome.tally), f"no row at first: {dict(outcome.tally.errors)}")
            over = asyncio.Event()
            away = Tally()
            outcome.tally, calm = away, outcome.tally
            asking = [asyncio.ensure_future(insert(Client(running.address), away, over)) for _ in range(CLIENTS)]
            await asyncio.sleep(1)
            before = len(away.acknowledged)
            database.kill()
            await asyncio.sleep(2)
            database.start()
            connection = await database.ready()
            await asyncio.sleep(2)
            over.set()
            await asyncio.gather(*asking)
            outcome.expect(before > 0, "no rows before")
            # From here on the database is there, so nothing has a reason to fail.
            away.provoked = sum(away.errors.values())
            outcome.note = f"{away.provoked} while it was away"
            for _ in range(50):
                outcome.expect(await client.ask("row", away), "a row failed though the database is back")
            await client.close()
            away.acknowledged |= calm.acknowledged
            rows = {row[0] for row in await connection.fetch("select name from load_rows")}
            await connection.close()
            outcome.judge(rows)
    return outcome


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
