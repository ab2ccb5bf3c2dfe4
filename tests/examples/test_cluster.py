"""`examples/cluster`: the same program on threads, on processes, on loky's and on a local Dask cluster."""

import asyncio
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import treadle

PROGRAM = Path(__file__).parents[2] / "examples/cluster/primes.py"
needs_loky = pytest.mark.skipif(importlib.util.find_spec("loky") is None, reason="loky is not installed")
needs_dask = pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="distributed is not installed")


def answer(kind: str) -> str:
    """Return what the program prints."""
    done = subprocess.run(
        [sys.executable, PROGRAM, kind], capture_output=True, text=True, timeout=300, check=False, cwd=PROGRAM.parent
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "kind",
    ["threads", "processes", pytest.param("loky", marks=needs_loky), pytest.param("dask", marks=needs_dask)],
)
def test_the_answers_are_the_same_everywhere(kind: str) -> None:
    total, *counts = map(int, answer(kind).split())
    # There are so many primes below 40,000.
    assert total == sum(counts) == 4203
    assert counts[:3] == [303, 247, 233]


@needs_dask
def test_cancelling_and_errors_reach_the_cluster() -> None:
    distributed: Any = importlib.import_module("distributed")

    async def main(client: Any) -> None:
        executor = client.get_executor(pure=False)
        with pytest.raises(ZeroDivisionError):
            await treadle.to_executor(executor, divmod, 1, 0)
        task = asyncio.create_task(treadle.to_executor(executor, __import__("time").sleep, 1000))
        while not await asyncio.to_thread(processing, client):
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        # Dask forgets a call that nobody wants.
        while await asyncio.to_thread(processing, client):
            await asyncio.sleep(0.01)

    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        treadle.run(main(client))


def processing(client: Any) -> bool:
    """Return whether the cluster has something to do."""
    return any(client.processing().values())
