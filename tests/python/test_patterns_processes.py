"""Calls in processes."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import loops
import pytest
import treadle
from treadle.patterns import process_crew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Factory = Callable[[], asyncio.AbstractEventLoop]

STARTS = ["spawn", *(["forkserver"] if sys.platform == "linux" else [])]


@pytest.fixture(scope="module", params=STARTS)
def pool(request: pytest.FixtureRequest) -> Iterator[treadle.ProcessPool]:
    """Return a pool of two processes, of which nothing is left."""
    with treadle.ProcessPool(2, name="two", start=request.param) as pool:
        yield pool
        pids = pool.stats()["pids"]
    for pid in pids:
        assert not is_alive(pid)


def is_alive(pid: int) -> bool:
    """Return whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A server that forks has not reaped it yet.
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    return True


class Array:
    """What is pickled as NumPy's arrays are."""

    def __init__(self, buffer: Any) -> None:
        """Take a buffer."""
        self.view = memoryview(buffer)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Return how it is made again."""
        return Array, (pickle.PickleBuffer(self.view),)


class Unpicklable(Exception):  # noqa: N818
    """What cannot be made again."""

    def __init__(self, first: int, second: int) -> None:  # noqa: ARG002
        """Take more than it keeps."""
        super().__init__("said")


kept: list[Any] = []
value = 0


def echo(thing: Any) -> Any:
    return thing


def total(array: Array) -> int:
    return sum(array.view)


def keep(array: Array) -> bytes:
    """Keep an argument, and return what was kept before."""
    kept.append(array)
    return bytes(kept[0].view)


def fail(error: BaseException) -> None:
    raise error


def begin(number: int) -> None:
    global value  # noqa: PLW0603
    value = number


def look() -> int:
    return value


def begin_badly() -> None:
    raise OSError("not here")


def hold(path: str) -> None:
    """Tell that it runs, and do not end."""
    Path(path).write_text(str(os.getpid()), encoding="ascii")
    time.sleep(1000)


def kill_oneself(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(1000)


async def pid_in(path: Path) -> int:
    """Return who holds."""
    async with asyncio.timeout(30):
        while not (said := said_in(path)):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return int(said)


def said_in(path: Path) -> str:
    return path.read_text(encoding="ascii") if path.exists() else ""


def test_a_call_runs_in_another_process(new_loop: Factory, pool: treadle.ProcessPool) -> None:
    async def main() -> None:
        assert await treadle.to_executor(pool, os.getpid) in pool.stats()["pids"]
        assert await treadle.to_executor(pool, echo, thing={"a": (1, None)}) == {"a": (1, None)}
        assert await asyncio.get_running_loop().run_in_executor(pool, abs, -3) == 3
        assert await treadle.sync_to_async(divmod, to=pool)(7, 2) == (3, 1)

    loops.run(new_loop, main())
    assert pool.submit(abs, -4).result(60) == 4


@pytest.mark.parametrize("size", [0, 1, 32_767, 32_768, 1 << 20, (1 << 20) + 1, 5 << 20])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, Array])
def test_buffers_of_all_sizes_come_back_as_they_were(
    pool: treadle.ProcessPool, size: int, kind: Callable[[Any], Any]
) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    content = content[:size]
    for _ in range(2):
        back = pool.submit(echo, [kind(content), "beside"]).result(60)
        assert back[1] == "beside"
        assert type(back[0]) is type(kind(content))
        assert bytes(getattr(back[0], "view", back[0])) == content


def test_what_is_kept_of_shared_memory_is_never_written_over() -> None:
    with treadle.ProcessPool(1) as pool:
        # On the other side.
        for byte in (b"a", b"b", b"c"):
            assert pool.submit(keep, Array(byte * 100_000)).result(60) == b"a" * 100_000
        # On this side.
        results = [pool.submit(echo, Array(byte * 100_000)).result(60) for byte in (b"x", b"y", b"z")]
        assert [bytes(result.view[:2]) for result in results] == [b"xx", b"yy", b"zz"]
        assert [result.view.nbytes for result in results] == [100_000] * 3


@pytest.mark.parametrize("size", [process_crew.BIG - 100, process_crew.BIG + 1, 2 * process_crew.BIG])
def test_what_is_very_big_comes_back_as_it_was(new_loop: Factory, pool: treadle.ProcessPool, size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)

    async def main() -> None:
        for thing in (content, memoryview(content), [bytearray(content), "beside"]):
            back, count, made = await asyncio.gather(
                treadle.to_executor(pool, echo, thing),
                treadle.to_executor(pool, len, thing),
                treadle.to_executor(pool, bytes, len(content)),
            )
            assert back == thing
            assert count == len(thing)
            assert made == bytes(len(content))

    loops.run(new_loop, main())


def test_loops_and_threads_that_share_a_process_lose_nothing(new_loop: Factory) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with treadle.ProcessPool(2) as shared, concurrent.futures.ThreadPoolExecutor(4) as threads:
            for _ in threads.map(lambda way: ask(new_loop, shared, way), range(1, 5)):
                pass
            assert shared.stats()["waiting"] == shared.stats()["in_use"] == 0
            assert shared.stats()["died"] == 0
    finally:
        sys.setswitchinterval(before)


def ask(new_loop: Factory, shared: treadle.ProcessPool, way: int) -> None:
    """Call a pool from a loop or without one, and cancel a few."""

    async def main() -> None:
        for index in range(30):
            assert await treadle.to_executor(shared, divmod, index, way) == divmod(index, way)
            if index % 10 == 3:
                task = asyncio.create_task(treadle.to_executor(shared, abs, -1))
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])

    if way % 2:
        loops.run(new_loop, main())
    else:
        assert [shared.submit(abs, -index).result(60) for index in range(30)] == [*range(30)]


def test_a_process_that_a_loop_watches_works_for_threads_too(new_loop: Factory) -> None:
    async def main(one: treadle.ProcessPool) -> None:
        pid = await treadle.to_executor(one, os.getpid)
        # The loop has no turn meanwhile.
        assert one.submit(os.getpid).result(60) == pid
        assert await treadle.to_executor(one, os.getpid) == pid

    with treadle.ProcessPool(1) as one:
        loops.run(new_loop, main(one))
        loops.run(new_loop, main(one))


def test_a_call_of_a_loop_that_stands_still_is_ended_at_the_end(new_loop: Factory, tmp_path: Path) -> None:
    one = treadle.ProcessPool(1)

    async def main() -> asyncio.Future[int]:
        await treadle.to_executor(one, abs, -1)
        call = asyncio.ensure_future(treadle.to_executor(one, echo_slowly, 7, str(tmp_path / "pid")))
        await pid_in(tmp_path / "pid")
        return call

    before = loops.open_descriptors()
    loop = new_loop()
    call = loop.run_until_complete(main())
    pids = one.stats()["pids"]
    (tmp_path / "go").touch()
    one.shutdown(wait=True)
    assert not any(map(is_alive, pids))
    assert loop.run_until_complete(call) == 7
    loop.close()
    assert loops.open_descriptors() <= before


def echo_slowly(thing: Any, path: str) -> Any:
    """Tell that it runs, and end when there is a file beside that one."""
    Path(path).write_text(str(os.getpid()), encoding="ascii")
    while not Path(path).with_name("go").exists():
        time.sleep(0.005)
    return thing


def test_an_answer_that_comes_with_the_cancellation_costs_nobody_a_call(new_loop: Factory) -> None:
    async def main(one: treadle.ProcessPool) -> None:
        for _ in range(20):
            task = asyncio.create_task(treadle.to_executor(one, abs, -1))
            await asyncio.sleep(0)
            hand = next(iter(one._crew._hands), None)  # type: ignore[attr-defined]
            if hand is not None:
                # It has answered, and the loop has not looked.
                select.select([hand.line.socket], [], [], 10)
            task.cancel()
            assert await treadle.to_executor(one, abs, -2) == 2
            await asyncio.wait([task])

    with treadle.ProcessPool(1) as one:
        loops.run(new_loop, main(one))
        assert one.stats()["died"] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a child that is left behind hides the end of its parent")
def test_a_process_whose_child_lives_on_is_seen_to_die(
    new_loop: Factory, pool: treadle.ProcessPool, tmp_path: Path
) -> None:
    async def main() -> None:
        async with asyncio.timeout(60):
            with pytest.raises(treadle.WorkerDied, match="exit code 3"):
                await treadle.to_executor(pool, fork_and_exit, 3, str(tmp_path / "go"))
            assert await treadle.to_executor(pool, abs, -1) == 1

    try:
        loops.run(new_loop, main())
    finally:
        (tmp_path / "go").touch()


def fork_and_exit(code: int, path: str) -> None:
    """Leave a child behind that has all descriptors, until there is a file."""
    if os.fork() == 0:
        while not Path(path).exists():
            time.sleep(0.01)
    os._exit(code)


def test_a_loop_that_cannot_watch_descriptors_will_do() -> None:
    class Blind(asyncio.SelectorEventLoop):
        def add_reader(self, *_: object) -> None:
            raise NotImplementedError

    async def main(two: treadle.ProcessPool) -> None:
        calls = [treadle.to_executor(two, abs, -number) for number in range(9)]
        assert await asyncio.gather(*calls) == [*range(9)]
        assert len(await treadle.to_executor(two, echo, b"x" * (1 << 20))) == 1 << 20

    with treadle.ProcessPool(2) as two:
        loops.run(Blind, main(two))


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_child_that_is_forked_leaves_the_pool_alone(pool: treadle.ProcessPool) -> None:
    assert pool.submit(abs, -1).result(60) == 1
    child = os.fork()
    if not child:
        pool.shutdown(wait=False)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert pool.submit(abs, -2).result(60) == 2


def test_an_error_comes_with_its_traceback_in_words(pool: treadle.ProcessPool) -> None:
    with pytest.raises(KeyError, match="it") as caught:
        pool.submit(fail, KeyError("it")).result(60)
    assert "in fail" in str(caught.value.__cause__)
    with pytest.raises(SystemExit):
        pool.submit(fail, SystemExit(3)).result(60)


def test_what_cannot_be_pickled_is_an_error_of_that_call_only(pool: treadle.ProcessPool) -> None:
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pool.submit(lambda: 1).result(60)
    with pytest.raises(TypeError):
        pool.submit(echo, threading.Lock()).result(60)
    with pytest.raises((pickle.PicklingError, TypeError, AttributeError)):
        pool.submit(threading.Lock).result(60)
    with pytest.raises(RuntimeError, match=r"raised Unpicklable, which cannot be pickled: said"):
        pool.submit(raise_unpicklable).result(60)
    assert pool.submit(abs, -1).result(60) == 1


def raise_unpicklable() -> None:
    raise Unpicklable(1, 2)


def test_a_cancelled_call_kills_its_process_and_the_pool_heals(
    new_loop: Factory, pool: treadle.ProcessPool, tmp_path: Path
) -> None:
    async def main() -> None:
        killed = pool.stats()["killed"]
        task = asyncio.create_task(treadle.to_executor(pool, hold, str(tmp_path / "pid")))
        pid = await pid_in(tmp_path / "pid")
        other = asyncio.create_task(treadle.to_executor(pool, echo, "other"))
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert await other == "other"
        await loops.until(lambda: not is_alive(pid))
        assert await asyncio.gather(*(treadle.to_executor(pool, echo, number) for number in range(8))) == [*range(8)]
        await loops.until(lambda: pool.stats()["killed"] == killed + 1)

    loops.run(new_loop, main())


def test_a_cancelled_future_of_run_in_executor_kills_too(
    new_loop: Factory, pool: treadle.ProcessPool, tmp_path: Path
) -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().run_in_executor(pool, hold, str(tmp_path / "pid"))
        pid = await pid_in(tmp_path / "pid")
        future.cancel()
        await loops.until(lambda: not is_alive(pid))

    loops.run(new_loop, main())


def test_cancelled_at_every_point_nothing_is_lost(new_loop: Factory, pool: treadle.ProcessPool) -> None:
    async def main() -> None:
        for step in range(3):
            task = asyncio.create_task(loops.cancelled_at(treadle.to_executor(pool, abs, -1), step))
            await asyncio.wait([task])
            assert task.cancelled() == (step == 0)
        async with asyncio.TaskGroup() as group:
            answers = [group.create_task(treadle.to_executor(pool, abs, -number)) for number in range(9)]
        assert [answer.result() for answer in answers] == list(range(9))

    loops.run(new_loop, main())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_dies_fails_one_call_and_no_other(
    new_loop: Factory, pool: treadle.ProcessPool, number: int
) -> None:
    async def main() -> None:
        calls = [treadle.to_executor(pool, echo, index) for index in range(20)]
        calls.insert(3, treadle.to_executor(pool, kill_oneself, number))
        answers = await asyncio.gather(*calls, return_exceptions=True)
        died = answers.pop(3)
        assert answers == list(range(20))
        assert isinstance(died, treadle.WorkerDied)
        assert f"process of two died in a call of `kill_oneself`: signal {int(number)}" in str(died)

    loops.run(new_loop, main())


def test_a_process_that_exits_says_with_which_code(pool: treadle.ProcessPool) -> None:
    with pytest.raises(treadle.WorkerDied, match="exit code 3"):
        pool.submit(os._exit, 3).result(60)


@pytest.mark.parametrize("start", STARTS)
def test_initializers_and_the_number_of_calls(start: Any) -> None:
    with treadle.ProcessPool(1, max_calls=2, initializer=begin, initargs=(7,), start=start) as pool:
        pids = [pool.submit(os.getpid).result(60) for _ in range(4)]
        assert len(set(pids)) == 2
        assert pool.submit(look).result(60) == 7


def test_an_initializer_that_fails_fails_the_call_that_needs_it() -> None:
    with treadle.ProcessPool(1, initializer=begin_badly, name="bad") as pool:
        for _ in range(2):
            with pytest.raises(concurrent.futures.BrokenExecutor, match="bad") as caught:
                pool.submit(look).result(60)
            assert isinstance(caught.value.__cause__, OSError)


def test_ctrl_c_does_not_end_a_process(pool: treadle.ProcessPool) -> None:
    pid = pool.submit(os.getpid).result(60)
    os.kill(pid, signal.SIGINT)
    assert pool.submit(abs, -1).result(60) == 1
    assert is_alive(pid)


def test_no_descriptor_is_left() -> None:
    with treadle.ProcessPool(2) as pool:
        pool.submit(echo, b"x" * (1 << 20)).result(60)
    before = loops.open_descriptors()
    with treadle.ProcessPool(2) as pool:
        for _ in range(3):
            pool.submit(echo, b"x" * (1 << 20)).result(60)
        with pytest.raises(treadle.WorkerDied):
            pool.submit(os._exit, 1).result(60)
    # Of tests before this one something may still have been closing.
    assert loops.open_descriptors() <= before


def test_other_ways_to_start_are_refused() -> None:
    with pytest.raises(ValueError, match="fork"):
        treadle.ProcessPool(start="fork")  # type: ignore[arg-type]


SCRIPT = """
import asyncio, os, sys, treadle

def work(data):
    return sum(data)

async def main():
    print(await treadle.to_process(work, b"\\1" * (1 << 20)))
    pool = treadle.ProcessPool(1, start=sys.argv[1])
    print(await treadle.to_executor(pool, work, [1, 2]))
    with treadle.ProcessPool(1) as other:
        print(await treadle.to_executor(other, os.getppid) != 0)
    print(*treadle.ProcessPool.stats(pool)["pids"], file=sys.stderr)

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("launcher", [["-W", "default"], ["-m", "treadle", "run"]])
def test_a_script_ends_clean_whether_or_not_it_shuts_pools_down(
    launcher: list[str], start: str, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, *launcher, str(tmp_path / "app.py"), start],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == f"{1 << 20}\n3\nTrue\n", done.stderr
    # Nothing but what the script itself has said: no complaint of what tracks resources.
    pids = done.stderr.split()
    assert [pid.isdigit() for pid in pids] == [True], done.stderr
    assert not is_alive(int(pids[0]))


def test_a_script_that_is_not_guarded_is_told_so(tmp_path: Path) -> None:
    script = SCRIPT.replace('if __name__ == "__main__":', "if True:")
    (tmp_path / "app.py").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "app.py"), "spawn"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert 'guard its start with `if __name__ == "__main__":`' in done.stderr
