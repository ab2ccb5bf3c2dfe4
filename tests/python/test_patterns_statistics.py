"""Who reads the statistics of the patterns' objects finds all of them, keeps none, and sees what was counted."""

import asyncio
import gc
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import treadle
import treadle.doctor
from treadle.doctor import objects
from treadle.patterns import registry
from treadle.patterns.registry import REFERENCES

WORDS = {"kind", "name", *objects.WORDS}


def read() -> list[dict[str, Any]]:
    """Return what is read of all objects that there are."""
    take, rows = objects.begin(), []
    while (part := take()) is not None:
        rows += part[0]
    return [
        {"kind": kind, "name": name, **dict(zip(objects.WORDS, figures, strict=True))}
        for _, kind, name, _, figures in rows
    ]


def named(name: str) -> dict[str, Any]:
    """Return what is read of the only object with a name, without what it does not have."""
    (row,) = (row for row in read() if row["name"] == name)
    return {key: value for key, value in row.items() if value is not None and key != "name"}


async def negate(number: int) -> int:
    """Return a number the other way round, and fail for none."""
    await asyncio.sleep(0)
    if not number:
        raise KeyError(number)
    return -number


def test_what_objects_have_in_common_has_the_same_words() -> None:
    async def main() -> None:
        semaphore = treadle.Semaphore(2, name="semaphore")
        window = treadle.SlidingWindow(3, 60, name="window")
        queue = treadle.PriorityQueue[int](5, name="queue")
        budget = treadle.RetryBudget(name="budget")
        retry = treadle.Retry(on=KeyError, attempts=2, backoff=treadle.Backoff(0), budget=budget)
        policy = treadle.Policy(retry=retry, limit=4, name="policy")
        keyed = treadle.Keyed[int](lambda: treadle.Semaphore(1, name="child"), name="keyed")
        await semaphore.acquire()
        await window.acquire(2)
        await queue.put(1)
        assert await policy.call(negate, 7) == -7
        with pytest.raises(KeyError):
            await policy.call(negate, 0)
        for key in range(3):
            assert keyed[key].try_acquire()
        assert named("semaphore") == {"kind": "Semaphore", "limit": 2, "in_use": 1, "waiting": 0}
        assert named("window") == {"kind": "SlidingWindow", "limit": 3, "in_use": 2, "waiting": 0, "calls": 1}
        assert named("queue") == {"kind": "PriorityQueue", "limit": 5, "in_use": 1, "waiting": 0}
        assert named("keyed") == {"kind": "Keyed", "limit": 10_000, "in_use": 3}
        assert named("budget") == {"kind": "RetryBudget", "retries": 1, "rejected": 0}
        rows = {row["kind"]: row for row in read() if row["name"] == "policy"}
        assert rows.keys() == {"Policy", "Semaphore"}
        assert [rows["Policy"][word] for word in ("calls", "failed", "retries", "rejected")] == [2, 1, 1, 0]
        assert rows["Semaphore"]["limit"] == 4
        assert not any(row["name"] == "child" for row in read()), "children are their parent's"

    asyncio.run(main())


def test_pools_and_fan_outs_have_them_too() -> None:
    async def main() -> None:
        results = treadle.amap(negate, [1, 2, 3], limit=2, name="amap")
        assert await results == [-1, -2, -3]
        assert named("amap") == {"kind": "amap", "limit": 2, "in_use": 0, "calls": 3}
        async with treadle.WorkerPool(negate, workers=2, maxsize=9, name="workers") as workers:
            assert await (await workers.submit(5)) == -5
            assert named("workers") == {
                "kind": "WorkerPool", "limit": 2, "in_use": 0, "waiting": 0, "calls": 1, "failed": 0,
            }  # fmt: skip
        threads = treadle.ThreadPool(2, name="threads")
        assert await treadle.to_executor(threads, len, "abc") == 3
        assert named("threads")["calls"] == 1
        threads.shutdown()
        async with treadle.Supervisor(name="supervisor", signals=()) as supervisor:
            supervisor.spawn(negate(4), name="short")
            assert named("supervisor") == {
                "kind": "Supervisor", "in_use": 1, "calls": 1, "failed": 0, "retries": 0,
            }  # fmt: skip
        batcher = treadle.Batcher(many, max_size=2, limit=1, name="batcher")
        assert list(await asyncio.gather(batcher(1), batcher(2))) == [-1, -2]
        assert named("batcher") == {"kind": "Batcher", "limit": 1, "in_use": 0, "waiting": 0, "calls": 1}

    asyncio.run(main())


async def many(numbers: list[int]) -> list[int]:
    """Return several the other way round."""
    return [-number for number in numbers]


def test_nothing_is_kept_and_what_is_gone_is_forgotten() -> None:
    gc.collect()
    before = len(REFERENCES)
    made = [treadle.TokenBucket(1) for _ in range(100)]
    limiters = treadle.Keyed[int](lambda: treadle.TokenBucket(1))
    for key in range(100):
        assert limiters[key] is not None
    assert len(REFERENCES) == before + 101
    assert registry.is_known(made[0])
    assert not registry.is_known(limiters[0])
    del made, limiters
    gc.collect()
    assert len(REFERENCES) == before


def test_threads_may_make_and_forget_them_while_somebody_reads() -> None:
    over = threading.Event()

    def make() -> None:
        while not over.is_set():
            kept = [treadle.Semaphore(1, name="of a thread") for _ in range(50)]
            assert all(registry.is_known(one) for one in kept)

    threads = [threading.Thread(target=make) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        seen = sum(row["name"] == "of a thread" for _ in range(200) for row in read())
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert seen > 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_that_is_forked_has_those_that_there_were(tmp_path: Path) -> None:
    kept = treadle.Semaphore(3, name="before the fork")
    child = os.fork()
    if not child:
        try:
            own = treadle.Semaphore(4, name="after the fork")
            rows = [named("before the fork")["limit"], named("after the fork")["limit"], own.value]
            (tmp_path / "seen").write_text(repr(rows))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / "seen").read_text() == "[3, 4, 4]"
    assert kept.value == 3


def test_so_many_are_read_and_those_with_a_name_first() -> None:
    crowd = [treadle.Semaphore(1) for _ in range(objects.MOST + 500)]
    wanted = treadle.Semaphore(1, name="wanted")
    count, take, left_out = 0, objects.begin(), 0
    while (part := take()) is not None:
        rows, left_out = part
        count += len(rows)
    assert (count, left_out) == (objects.MOST, len(REFERENCES) - objects.MOST)
    assert named("wanted")["kind"] == "Semaphore"
    assert len(crowd) < len(REFERENCES)
    assert wanted.value == 1


class Broken(treadle.Semaphore):
    """One of a program's own, whose statistics fail."""

    def stats(self) -> dict[str, Any]:
        """Fail."""
        raise OSError


def test_an_object_that_fails_is_left_out() -> None:
    broken = Broken(1, name="broken")
    assert not any(row["name"] == "broken" for row in read())
    assert broken.value == 1


class Interrupted(treadle.Semaphore):
    """One in whose statistics a signal comes."""

    def stats(self) -> dict[str, Any]:
        """Send it, and wait until it is there."""
        signal.raise_signal(signal.SIGUSR1)
        return super().stats()


def test_a_signal_that_comes_while_somebody_reads_is_the_programs() -> None:
    async def main() -> None:
        interrupted = Interrupted(1, name="interrupted")
        assert all(row["name"] != "interrupted" for row in read())
        assert interrupted.value == 1
        await asyncio.Event().wait()

    def stop(*_: object) -> None:
        raise SystemExit(7)

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with pytest.raises(SystemExit):
            asyncio.run(main())
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_all_that_has_statistics_can_be_found() -> None:
    shown: list[Any] = [
        treadle.Semaphore(1),
        treadle.TokenBucket(1),
        treadle.SlidingWindow(1, 1),
        treadle.Keyed[str](lambda: treadle.Semaphore(1)),
        treadle.PriorityQueue[int](1),
        treadle.Policy(),
        treadle.Breaker(),
        treadle.RetryBudget(),
        treadle.Portal(),
        treadle.ThreadPool(1),
        treadle.ProcessPool(1),
        treadle.WorkerPool(negate, workers=1, maxsize=1),
        treadle.Batcher(many, max_size=1, limit=1),
    ]
    assert all(registry.is_known(one) for one in shown)
