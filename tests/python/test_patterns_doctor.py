"""What the doctor says of programs that use the patterns: nothing if they are right, and the user's line if not."""

from pathlib import Path

import pytest
import watched

RIGHT = {
    "amap, as a list and as a stream": """
        import treadle

        async def fetch(number):
            await asyncio.sleep(0.001)
            return number

        async def numbers():
            for number in range(50):
                await asyncio.sleep(0)
                yield number

        async def main():
            assert await treadle.amap(fetch, range(300), limit=20) == list(range(300))
            async with treadle.amap(fetch, numbers(), limit=5, ordered=False) as results:
                async for number in results:
                    if number == 20:
                        break
            assert await treadle.gather(*(fetch(number) for number in range(10))) == list(range(10))

        asyncio.run(main())
    """,
    "a pool of workers that waits for items": """
        import treadle

        async def resize(picture):
            await asyncio.sleep(0.001)
            return picture

        async def main():
            async with treadle.WorkerPool(resize, workers=4, maxsize=10, name="resize") as pool:
                for _ in range(2):
                    results = [await pool.submit(number) for number in range(30)]
                    assert [await result for result in results] == list(range(30))
                    # Nothing to do.
                    await asyncio.sleep(0.7)

        asyncio.run(main())
    """,
    "a supervisor that waits for its signal": """
        import os, signal
        import treadle

        async def serve(stopping):
            await stopping.wait()

        async def tick():
            while True:
                await asyncio.sleep(0.05)

        async def main():
            async with treadle.Supervisor(drain=1, cleanup=1, name="app") as supervisor:
                supervisor.spawn(serve(supervisor.stopping), name="server")
                supervisor.spawn(tick(), name="clock")
                asyncio.get_running_loop().call_later(1, os.kill, os.getpid(), signal.SIGTERM)

        asyncio.run(main())
    """,
    "a supervisor whose tasks are restarted": """
        import treadle

        failures = [OSError("first"), OSError("second")]

        async def refresh():
            await asyncio.sleep(0.01)
            if failures:
                raise failures.pop()

        async def main():
            async with treadle.Supervisor(drain=1, cleanup=1) as supervisor:
                again = treadle.Retry(on=OSError, backoff=treadle.Backoff(0.001, max=0.01))
                supervisor.spawn(refresh, name="cache", restart=again)
                asyncio.get_running_loop().call_later(0.2, supervisor.stop)

        asyncio.run(main())
    """,
    "a policy with all its parts": """
        import treadle

        calls = 0

        async def fetch(number):
            global calls
            calls += 1
            await asyncio.sleep(0.001)
            if calls % 10 == 0:
                raise OSError("once more")
            return number

        policy = treadle.Policy(
            total_timeout=5,
            timeout=1,
            limit=3,
            retry=treadle.Retry(on=OSError, attempts=5, backoff=treadle.Backoff(0.001, max=0.01)),
            breaker=treadle.Breaker(),
            rate=treadle.TokenBucket(1000, burst=10),
        )

        async def main():
            assert await asyncio.gather(*(policy.call(fetch, number) for number in range(60))) == list(range(60))

        asyncio.run(main())
    """,
    "a semaphore and a bucket with waiters": """
        import treadle

        async def main():
            limit, bucket = treadle.Semaphore(1, name="one"), treadle.TokenBucket(50, burst=1)

            async def use(number):
                async with limit:
                    await asyncio.sleep(0.1)
                async with bucket:
                    await asyncio.sleep(0)

            await asyncio.gather(*(use(number) for number in range(8)))

        asyncio.run(main())
    """,
    "a pool of connections": """
        import contextlib
        import treadle

        @contextlib.asynccontextmanager
        async def connect():
            await asyncio.sleep(0.001)
            yield "connection"
            await asyncio.sleep(0)

        async def main():
            async with treadle.Pool(connect, max_size=3) as pool:
                async def use():
                    async with pool.acquire():
                        await asyncio.sleep(0.01)
                await asyncio.gather(*(use() for _ in range(30)))
                await asyncio.sleep(0.5)

        asyncio.run(main())
    """,
    "threads and processes": """
        import math, time
        import treadle

        async def main():
            assert await asyncio.gather(*(treadle.to_thread(math.isqrt, n * n) for n in range(50))) == list(range(50))
            await treadle.to_thread(time.sleep, 0.3)
            with treadle.ThreadPool(2, name="two") as threads:
                await asyncio.gather(*(treadle.to_executor(threads, time.sleep, 0.001) for _ in range(20)))
            processes = treadle.ProcessPool(2, name="both")
            try:
                roots = [treadle.to_executor(processes, math.isqrt, n * n) for n in range(20)]
                assert await asyncio.gather(*roots) == list(range(20))
                try:
                    async with asyncio.timeout(0.2):
                        await treadle.to_executor(processes, time.sleep, 60)
                except TimeoutError:
                    pass
            finally:
                await treadle.to_thread(processes.shutdown)

        if __name__ == "__main__":
            asyncio.run(main())
    """,
    "files": """
        import treadle

        async def main():
            await treadle.files.write_text("text", "one\\ntwo\\n" * 1000, "utf-8", atomic=True)
            async with treadle.files.open("text", "a", encoding="utf-8") as file:
                await file.write("three\\n")
            async with treadle.files.open("text", encoding="utf-8") as file:
                assert len([line async for line in file]) == 2001
            assert len([line async for line in treadle.files.lines("text", "utf-8")]) == 2001
            assert (await treadle.files.read_bytes("text")).endswith(b"three\\n")

        asyncio.run(main())
    """,
    "a bridge there and back": """
        import treadle

        async def fetch(key):
            await asyncio.sleep(0.01)
            return key.upper()

        def plugin(key):
            return treadle.async_to_sync(fetch)(key)

        def script():
            with treadle.Portal(name="fetcher") as portal:
                return portal.run(fetch, "b"), portal.submit(fetch, "c").result()

        async def main():
            assert await treadle.to_thread(plugin, "a") == "A"
            assert await treadle.to_thread(script) == ("B", "C")

        asyncio.run(main())
    """,
    "cleaning up and deadlines": """
        import treadle

        async def rollback():
            await asyncio.sleep(0.05)

        async def transaction():
            try:
                await asyncio.sleep(60)
            finally:
                await treadle.finalize(rollback(), within=5)

        async def main():
            task = asyncio.create_task(transaction())
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.wait([task])
            async with treadle.move_on_after(0.01):
                await asyncio.sleep(60)
            locks = asyncio.Lock(), asyncio.Lock()

            async def both(first, second):
                async with treadle.lock_all(first, second):
                    await asyncio.sleep(0.001)

            await treadle.gather(*(both(*locks) for _ in range(9)), *(both(*locks[::-1]) for _ in range(9)))

        asyncio.run(main())
    """,
    "a batcher that waits for company": """
        import treadle

        async def double(numbers):
            await asyncio.sleep(0.001)
            return [2 * number for number in numbers]

        async def main():
            batcher = treadle.Batcher(double, max_size=10, max_wait=0.01, limit=2)
            assert await asyncio.gather(*(batcher(n) for n in range(25))) == [2 * n for n in range(25)]
            queue = treadle.PriorityQueue(10)

            async def consume():
                while True:
                    await queue.get()
                    queue.task_done()

            consumer = asyncio.create_task(consume())
            for number in range(30):
                await queue.put(number, priority=-number)
            await queue.join()
            await asyncio.sleep(0.5)
            consumer.cancel()
            await asyncio.wait([consumer])

        asyncio.run(main())
    """,
}


@pytest.mark.parametrize("name", RIGHT)
def test_nothing_is_said_of_what_is_right(name: str, tmp_path: Path) -> None:
    ended = watched.run(RIGHT[name], tmp_path)
    assert ended.returncode == 0, ended.err
    assert not ended.found


def test_a_blocked_loop_in_a_call_of_amap_is_the_users_line(tmp_path: Path) -> None:
    ended = watched.run(
        """
        import time
        import treadle

        async def fetch(number):
            await asyncio.sleep(0.001)
            time.sleep(0.3)
            return number

        async def main():
            await treadle.amap(fetch, range(2), limit=2)

        asyncio.run(main())
        """,
        tmp_path,
    )
    assert ended.returncode == 0, ended.err
    ((line, message),) = ended.of("blocked-loop")
    assert line == 7, message
    assert "time.sleep" in message
