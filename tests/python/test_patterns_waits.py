"""What the doctor says of tasks that wait for each other, or for ever, through treadle's own patterns."""

import re
from pathlib import Path

import watched

RINGS = """
import contextlib, os
import treadle, treadle.doctor

async def crosses(mine, theirs):
    async with mine:
        await asyncio.sleep(0.01)
        async with theirs:
            pass

async def twice(permits):
    async with permits:
        async with permits:
            pass

async def greedy(permits):
    async with permits:
        await asyncio.sleep(0.01)
        await permits.acquire()

async def unknown(permits):
    await permits.acquire()
    async with permits:
        await permits.acquire()

async def tries(mine, theirs):
    async with mine:
        await asyncio.sleep(0.01)
        async with treadle.timeout(60):
            async with theirs:
                pass

async def explicit(mine, theirs):
    await mine.acquire()
    try:
        await asyncio.sleep(0.01)
        await theirs.acquire()
        theirs.release()
    finally:
        mine.release()

@contextlib.asynccontextmanager
async def connect():
    yield "connection"

async def pooled():
    async with treadle.Pool(connect, max_size=1, timeout=None) as pool:
        async with pool.acquire():
            async with pool.acquire():
                pass

async def in_order(*locks):
    async with treadle.lock_all(*locks):
        pass

async def otherwise(first, second):
    async with second:
        await asyncio.sleep(0.01)
        async with first:
            pass

async def has_both(locks, permits):
    async with treadle.lock_all(*locks):
        async with permits:
            pass

async def has_permit(locks, permits):
    async with permits:
        await asyncio.sleep(0.01)
        async with locks[1]:
            pass

async def parent(permits):
    async with permits:
        await treadle.amap(child, [permits], limit=1)

async def child(permits):
    async with permits:
        pass

async def consumer(queue, permits):
    async with permits:
        await queue.get()

async def producer(queue, permits):
    await asyncio.sleep(0.01)
    async with permits:
        await queue.put(1)

def programs():
    one, other, queue = treadle.Semaphore(1), treadle.Semaphore(1), treadle.PriorityQueue(1)
    two = treadle.Semaphore(2)
    yield from (crosses(one, other), crosses(other, one), twice(treadle.Semaphore(1)), greedy(two), greedy(two))
    one, other = treadle.Semaphore(1), treadle.Semaphore(1)
    yield from (tries(one, other), tries(other, one), unknown(treadle.Semaphore(2)))
    one, other = treadle.Semaphore(1), treadle.Semaphore(1)
    yield from (explicit(one, other), explicit(other, one), pooled())
    locks = sorted((asyncio.Lock(), asyncio.Lock()), key=id)
    yield from (otherwise(*locks), in_order(*locks))
    locks, permits = (asyncio.Lock(), asyncio.Lock()), treadle.Semaphore(1)
    yield from (has_permit(locks, permits), has_both(locks, permits))
    permits = treadle.Semaphore(1)
    yield from (parent(treadle.Semaphore(1)), consumer(queue, permits), producer(queue, permits))

async def main():
    tasks = [asyncio.create_task(program) for program in programs()]
    await asyncio.wait(tasks, timeout=2.5)
    treadle.doctor.finish()
    os._exit(0)

asyncio.run(main())
"""


def messages(ended: watched.Watched, name: str) -> list[tuple[str, bool]]:
    """Return what is said of one pitfall, with names in the alphabet's order, and whether it is suspected only."""
    found = [(str(one["message"]), bool(one["suspected"])) for one in ended.found if one["name"] == name]
    return sorted((re.sub(r"(`\w+`) and (`\w+`)", in_order, message), suspected) for message, suspected in found)


def in_order(found: re.Match[str]) -> str:
    """Return two names in the alphabet's order."""
    return " and ".join(sorted(found.groups()))


def test_rings_through_patterns_are_found(tmp_path: Path) -> None:
    ended = watched.run(RINGS, tmp_path)
    assert ended.returncode == 0, ended.err
    assert messages(ended, "deadlock") == [
        ("`child` and `parent` wait for each other", False),
        ("`consumer` and `producer` wait for each other", False),
        ("`has_both` and `has_permit` wait for each other", False),
        ("`in_order` and `otherwise` wait for each other", False),
        ("`pooled` waits for a permit that it holds itself", False),
        ("`twice` waits for a permit that it holds itself", False),
        ("`unknown` waits for a permit that it holds itself", True),
        ("tasks in `crosses` wait for each other", False),
        ("tasks in `explicit` wait for each other", False),
        ("tasks in `greedy` wait for each other", False),
        ("tasks in `tries` wait for each other", True),
    ]
    assert {one["name"] for one in ended.found} == {"deadlock"}


def test_a_ring_of_semaphores_is_told_with_the_lines_while_the_program_runs(tmp_path: Path) -> None:
    ended = watched.run(
        """
        import treadle, treadle.doctor

        async def take(mine, theirs):
            async with mine:
                await asyncio.sleep(0.01)
                async with theirs:
                    pass

        async def main():
            one, other = treadle.Semaphore(1), treadle.Semaphore(1)
            left = asyncio.create_task(take(one, other), name="left")
            right = asyncio.create_task(take(other, one), name="right")
            while not treadle.doctor.findings():
                await asyncio.sleep(0.05)
            left.cancel()
            right.cancel()

        asyncio.run(main())
        """,
        tmp_path,
    )
    assert ended.returncode == 0, ended.err
    [finding] = ended.found
    assert finding["name"] == "deadlock"
    assert sorted(finding["evidence"]) == [
        "`left` waits at app.py:7 in take for a permit of a semaphore that `right` holds since app.py:5 in take",
        "`right` waits at app.py:7 in take for a permit of a semaphore that `left` holds since app.py:5 in take",
    ]


def test_what_only_stuck_tasks_refer_to_is_told_of(tmp_path: Path) -> None:
    ended = watched.run(
        """
        import treadle

        async def leak():
            permits = treadle.Semaphore(1)
            await permits.acquire()
            await permits.acquire()

        async def empty():
            queue = treadle.PriorityQueue(3)
            await queue.get()

        async def full():
            queue = treadle.PriorityQueue(1)
            while True:
                await queue.put(1)

        async def join():
            queue = treadle.PriorityQueue(3)
            queue.put_nowait(1)
            await queue.join()

        async def parent():
            async with asyncio.TaskGroup() as group:
                for child in (leak, empty, full, join):
                    group.create_task(child())

        async def main():
            task = asyncio.create_task(parent())
            await asyncio.wait([task], timeout=2.8)
            task.cancel()

        asyncio.run(main())
        """,
        tmp_path,
    )
    assert ended.returncode == 0, ended.err
    assert messages(ended, "permit-leak") == [
        ("`leak` waits for a semaphore's permit that nobody is left to release", False)
    ]
    assert messages(ended, "stuck-wait") == [
        ("`empty` waits for an item of a `PriorityQueue` for ever", False),
        ("`full` waits for room in a `PriorityQueue` for ever", False),
        ("`join` waits for all items of a `PriorityQueue` to be done for ever", False),
    ]


def test_waits_that_somebody_will_end_are_not_told_of(tmp_path: Path) -> None:
    ended = watched.run(
        """
        import contextlib, socket
        import treadle

        async def in_a_long_line(bucket):
            async with bucket:
                pass

        async def holds_while_it_waits_for_its_turn(permits, bucket):
            async with permits:
                await bucket.acquire()

        async def consumes(queue):
            return await queue.get()

        async def produces(queue, reader):
            await queue.put(await reader.read(1))

        async def holds_while_it_reads(permits, reader):
            async with permits:
                await reader.read(1)

        async def wants(permits):
            async with permits:
                pass

        async def gives_up(permits):
            async with permits:
                async with treadle.move_on_after(0.8):
                    async with permits:
                        pass

        async def all_of_them(*locks):
            async with treadle.lock_all(*locks):
                await asyncio.sleep(0.1)

        async def idle(number):
            return number

        async def works(pool, reader):
            await reader.read(1)
            return await (await pool.submit(1))

        async def streams():
            ours, theirs = socket.socketpair()
            reader, writer = await asyncio.open_connection(sock=ours)
            _, other = await asyncio.open_connection(sock=theirs)
            return reader, writer, other

        async def main():
            reader, *writers = await streams()
            other, *more = await streams()
            third, *most = await streams()
            bucket, permits, queue = treadle.TokenBucket(20), treadle.Semaphore(1), treadle.PriorityQueue(3)
            window = treadle.SlidingWindow(5, 0.6)
            locks = [asyncio.Lock(), treadle.Semaphore(1), asyncio.Lock()]
            async with treadle.WorkerPool(idle, workers=2, maxsize=3) as pool:
                programs = [
                    *(in_a_long_line(bucket) for _ in range(30)),
                    *(in_a_long_line(window) for _ in range(15)),
                    *(holds_while_it_waits_for_its_turn(treadle.Semaphore(1), bucket) for _ in range(3)),
                    consumes(queue), produces(queue, reader), works(pool, third),
                    holds_while_it_reads(permits, other), wants(permits), wants(permits),
                    gives_up(treadle.Semaphore(1)),
                    *(all_of_them(*locks) for _ in range(4)), *(all_of_them(*locks[::-1]) for _ in range(4)),
                ]
                del queue, permits, locks, bucket, window
                tasks = [asyncio.create_task(program) for program in programs]
                await asyncio.sleep(1.6)
                for writer in (*writers, *more, *most):
                    with contextlib.suppress(OSError):
                        writer.write(b"x")
                await asyncio.gather(*tasks)
            for writer in (*writers, *more, *most):
                writer.close()

        asyncio.run(main())
        """,
        tmp_path,
    )
    assert ended.returncode == 0, ended.err
    # The timeout may be told of as long as it has not ended the wait; it is no more than a suspicion.
    assert messages(ended, "deadlock") in ([], [("`gives_up` waits for a permit that it holds itself", True)])
    assert {one["name"] for one in ended.found} <= {"deadlock"}
