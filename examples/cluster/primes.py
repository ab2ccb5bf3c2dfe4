"""Counts primes on threads, processes, loky's processes or a Dask cluster.

Run ``python primes.py {threads,processes,loky,dask}``.
"""

import contextlib
import sys
from collections.abc import Iterator
from concurrent.futures import Executor

import treadle

RANGES = [(start, start + 2_000) for start in range(0, 40_000, 2_000)]


def count_primes(start: int, stop: int) -> int:
    """Count the primes from ``start`` up to ``stop``, without it."""
    return sum(
        number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))
        for number in range(start, stop)
    )


@contextlib.contextmanager
def executor(kind: str) -> Iterator[Executor]:
    """Give an executor of a kind."""
    if kind == "threads":
        with treadle.ThreadPool(4, name="primes") as pool:
            yield pool
    elif kind == "processes":
        with treadle.ProcessPool(4, name="primes") as pool:
            yield pool
    elif kind == "loky":
        from loky import get_reusable_executor

        with get_reusable_executor(max_workers=4) as pool:
            yield pool
    elif kind == "dask":
        from distributed import Client, LocalCluster

        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            yield client.get_executor(pure=False)
    else:
        sys.exit(f"no such kind: {kind}")


async def count_all(where: Executor) -> list[int]:
    """Count in all ranges, at most eight at once."""

    async def count(span: tuple[int, int]) -> int:
        return await treadle.to_executor(where, count_primes, *span)

    return await treadle.amap(count, RANGES, limit=8)


def main() -> None:
    with executor(sys.argv[1]) as where:
        counts = treadle.run(count_all(where))
    print(sum(counts), *counts)


if __name__ == "__main__":
    main()
