"""What the doctor says of tasks that wait for each other or for ever, and of what only looks like it."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

WATCHED = """
import asyncio, os, sys, threading, time
import treadle, treadle.doctor

treadle.install()
words = open(sys.argv[1], "wb", 0)
treadle.doctor.watch(output="json", to=words.fileno(), settings=False)

async def together(*programs, seconds):
    tasks = [asyncio.create_task(program) for program in programs]
    await asyncio.wait(tasks, timeout=seconds)
    for task in tasks:
        task.cancel()

"""


def run(directory: Path, program: str) -> dict[str, list[dict[str, object]]]:
    """Return what is found in a program, by the pitfalls' names."""
    (directory / "app.py").write_text(WATCHED + textwrap.dedent(program))
    command = [sys.executable, "app.py", "words"]
    result = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    found: dict[str, list[dict[str, object]]] = {}
    for line in (directory / "words").read_text().splitlines():
        words = json.loads(line)
        if words["type"] == "finding":
            found.setdefault(words["name"], []).append(words)
    return found


def messages(found: list[dict[str, object]]) -> list[tuple[str, bool]]:
    return sorted((str(finding["message"]), bool(finding["suspected"])) for finding in found)


RINGS = """
async def twice(lock):
    async with lock:
        async with lock:
            pass

async def third(lock):
    async with lock:
        await asyncio.sleep(60)

class Stream:
    def __init__(self, lock):
        self.lock = lock
    async def rows(self):
        async with self.lock:
            yield 1

async def reads_inside(stream):
    async with stream.lock:
        async for row in stream.rows():
            print(row)

async def parent(lock):
    async with lock:
        async with asyncio.TaskGroup() as group:
            group.create_task(child(lock))

async def child(lock):
    async with lock:
        pass

async def takes(condition, other):
    async with condition:
        await asyncio.sleep(0.01)
        async with other:
            pass

async def gives(condition, other):
    async with other:
        await asyncio.sleep(0.01)
        async with condition:
            condition.notify()

async def consumer(queue, lock):
    async with lock:
        await queue.get()

async def producer(queue, lock):
    await asyncio.sleep(0.01)
    async with lock:
        await queue.put(1)

def queue_and_lock():
    queue, lock = asyncio.Queue(), asyncio.Lock()
    return asyncio.gather(consumer(queue, lock), producer(queue, lock))

async def first(partner):
    await (await partner)

async def second(partner):
    await partner

def each_other():
    partner = asyncio.get_running_loop().create_future()
    one = asyncio.create_task(first(partner))
    other = asyncio.create_task(second(one))
    partner.set_result(other)
    return other

async def tries(mine, theirs):
    async with mine:
        await asyncio.sleep(0.01)
        async with asyncio.timeout(60):
            async with theirs:
                pass

async def busy():
    while True:
        await asyncio.sleep(0)

async def waits(future):
    return await future

async def main():
    one, other = asyncio.Lock(), asyncio.Lock()
    programs = [
        twice(asyncio.Lock()), third(asyncio.Lock()), reads_inside(Stream(asyncio.Lock())), parent(asyncio.Lock()),
        takes(condition := asyncio.Condition(), lock := asyncio.Lock()), gives(condition, lock),
        waits(queue_and_lock()), waits(each_other()), tries(one, other), tries(other, one), busy(),
    ]
    tasks = [asyncio.create_task(program) for program in programs]
    await asyncio.wait(tasks, timeout=2.5)
    # Tasks that await each other cannot be cancelled.
    treadle.doctor.finish()
    os._exit(0)

asyncio.run(main())
"""


def test_rings_are_found_whatever_they_are_made_of_while_others_keep_the_loop_busy(tmp_path: Path) -> None:
    found = run(tmp_path, RINGS)
    assert messages(found.pop("deadlock")) == sorted(
        [
            ("`Stream.rows` waits for a lock that it holds itself", False),
            ("`parent` and `child` wait for each other", False),
            ("`consumer` and `producer` wait for each other", False),
            ("`first` and `second` wait for each other", False),
            ("`takes` and `gives` wait for each other", False),
            ("`twice` waits for a lock that it holds itself", False),
            ("tasks in `tries` wait for each other", True),
        ]
    )
    assert "stuck-wait" not in found
    assert "permit-leak" not in found


def test_a_ring_is_told_with_its_tasks_and_the_lines_where_they_wait_and_hold(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
        async def take(mine, theirs):
            async with mine:  # 17
                try:
                    await asyncio.sleep(0.01)
                    async with asyncio.timeout(None), theirs:
                        pass
                finally:
                    pass

        async def main():
            one, other = asyncio.Lock(), asyncio.Lock()
            tasks = [
                asyncio.create_task(take(one, other), name="left"), asyncio.create_task(take(other, one), name="right")
            ]
            began = time.monotonic()
            while not treadle.doctor.findings():
                await asyncio.sleep(0.05)
            for task in tasks:
                task.cancel()

        asyncio.run(main())
        """,
    )
    [finding] = found["deadlock"]
    assert isinstance(finding["evidence"], list)
    assert sorted(finding["evidence"]) == [
        "`left` waits at app.py:20 in take for a lock that `right` holds since app.py:17 in take",
        "`right` waits at app.py:20 in take for a lock that `left` holds since app.py:17 in take",
    ]


FINE = """
async def worker(queue):
    while True:
        await queue.get()

async def handed_over(room, queue):
    while True:
        await room.acquire()
        queue.put_nowait(1)

async def hands_back(room, queue):
    while True:
        await queue.get()
        await asyncio.sleep(1.2)
        room.release()

async def set_by_thread():
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    timer = threading.Timer(2.2, lambda: loop.call_soon_threadsafe(event.set))
    timer.start()
    await event.wait()

async def set_by_timer():
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(2.2, future.set_result, None)
    await future

async def in_executor():
    await asyncio.to_thread(time.sleep, 2.2)

async def in_process():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(2)")
    await process.wait()

async def server():
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    async with server:
        await server.serve_forever()

async def for_ever():
    await asyncio.Event().wait()

async def for_ever_too():
    await asyncio.get_running_loop().create_future()

async def holds(lock):
    async with lock:
        await asyncio.sleep(2.2)

async def queues_up(lock):
    async with lock:
        pass

async def notified(condition):
    async with condition:
        await condition.wait()

async def notifies(condition):
    await asyncio.sleep(2.2)
    async with condition:
        condition.notify_all()

async def reads():
    reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
    try:
        await reader.read(1)
    finally:
        writer.close()

async def tries(queue):
    try:
        await asyncio.wait_for(queue.get(), 2.2)
    except asyncio.TimeoutError:
        pass

async def shielded():
    await asyncio.shield(asyncio.sleep(2.2))

class Owner:
    def __init__(self):
        self.queue = asyncio.Queue()
        self.lock = asyncio.Lock()
    async def run(self):
        async with self.lock:
            await self.queue.get()
    async def wait(self):
        async with self.lock:
            pass

async def main():
    global listener
    kept = []
    listener = await asyncio.start_server(lambda reader, writer: kept.append(writer), "127.0.0.1", 0)
    queue, items, room, lock, condition, owner = (
        asyncio.Queue(), asyncio.Queue(), asyncio.Semaphore(2), asyncio.Lock(), asyncio.Condition(), Owner())
    await together(
        *(worker(queue) for _ in range(5)), handed_over(room, items), hands_back(room, items), set_by_thread(),
        set_by_timer(), in_executor(), in_process(), server(), for_ever(), for_ever_too(), holds(lock),
        queues_up(lock), queues_up(lock), notified(condition), notifies(condition), reads(),
        tries(asyncio.Queue()), shielded(), owner.run(), owner.wait(),
        seconds=3,
    )
    queue.put_nowait(1)
    owner.queue.put_nowait(1)
    for writer in kept:
        writer.close()
    listener.close()

asyncio.run(main())
"""


def test_waits_that_somebody_will_end_are_not_told_of(tmp_path: Path) -> None:
    found = run(tmp_path, FINE)
    names = {"deadlock", "stuck-wait", "permit-leak", "unbounded-queue", "unbounded-buffer"}
    assert {name: messages(findings) for name, findings in found.items() if name in names} == {}


FORGOTTEN = """
async def future():
    answer = asyncio.get_running_loop().create_future()
    await answer

async def event():
    ready = asyncio.Event()
    await ready.wait()

async def join():
    queue = asyncio.Queue()
    queue.put_nowait(1)
    await queue.join()

async def notice():
    condition = asyncio.Condition()
    async with condition:
        await condition.wait()

async def full():
    queue = asyncio.Queue(1)
    while True:
        await queue.put(1)

async def leak():
    permits = asyncio.Semaphore(1)
    await permits.acquire()
    await permits.acquire()

async def parent():
    async with asyncio.TaskGroup() as group:
        for child in (future, event, join, notice, full, leak):
            group.create_task(child())

async def main():
    await together(parent(), seconds=2.8)

asyncio.run(main())
"""


def test_what_only_stuck_tasks_refer_to_is_told_of(tmp_path: Path) -> None:
    found = run(tmp_path, FORGOTTEN)
    assert messages(found["stuck-wait"]) == [
        ("`event` waits for an event for ever", False),
        ("`full` waits for room in a `Queue` for ever", False),
        ("`future` waits for a future for ever", False),
        ("`join` waits for all items of a `Queue` to be done for ever", False),
        ("`notice` waits for a condition's notice for ever", False),
    ]
    assert messages(found["permit-leak"]) == [
        ("`leak` waits for a semaphore's permit that nobody is left to release", False)
    ]


def test_a_queue_that_grows_all_the_time_is_told_of_with_the_line_that_fills_it(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
        class Pipeline:
            def __init__(self):
                self.queue = asyncio.Queue()

            async def produce(self):
                while True:
                    for item in range(20):
                        await self.queue.put(item)  # 23
                    await asyncio.sleep(0.01)

            async def consume(self):
                while True:
                    await self.queue.get()
                    await asyncio.sleep(0.01)

        async def main():
            pipeline = Pipeline()
            tasks = [asyncio.create_task(pipeline.produce()), asyncio.create_task(pipeline.consume())]
            for _ in range(200):
                if any(finding["name"] == "unbounded-queue" for finding in treadle.doctor.findings()):
                    break
                await asyncio.sleep(0.1)
            for task in tasks:
                task.cancel()

        asyncio.run(main())
        """,
    )
    assert [(finding["line"], finding["function"]) for finding in found["unbounded-queue"]] == [
        (23, "Pipeline.produce")
    ]


def test_a_snapshot_shows_where_tasks_stand_what_they_wait_for_and_who_has_it(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
        async def holds(lock):
            async with lock:  # 17
                await asyncio.sleep(60)  # 18

        async def wants(lock):
            async with lock:  # 21
                pass

        async def main():
            lock = asyncio.Lock()
            tasks = [asyncio.create_task(holds(lock), name="one"), asyncio.create_task(wants(lock), name="other")]
            rows = {}
            for _ in range(200):
                await asyncio.sleep(0.05)
                shown = treadle.doctor.snapshot()
                rows = {row["name"]: row for row in shown["tasks"]}
                if {"one", "other"} <= rows.keys():
                    break
            one, other = rows["one"], rows["other"]
            assert [at["line"] for at in one["await_chain"]][:1] == [18], one
            assert (one["waits_for"]["what"], one["holds"][0]["since"]["line"]) == ("sleep", 17), one
            assert other["await_chain"][0]["line"] == 21, other
            assert other["waits_for"] == {"what": "lock", "class": "Lock"}, other
            edges = [(edge["from"], edge["to"]) for edge in shown["waits"] if edge["thing"]]
            assert edges == [(other["task"], one["task"])], edges
            assert one["born_at"]["function"] == "main" and one["steps"] == 1, one
            for task in tasks:
                task.cancel()

        asyncio.run(main())
        """,
    )
    assert "deadlock" not in found


# What ends a program that waits for ever, from outside.
INTERRUPTED = """
import os, signal, threading

threading.Timer({seconds}, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
"""

# As soon as something is found, or when nothing was for long.
FOUND = """
import os, signal, threading, time
import treadle.doctor

def stop():
    end = time.monotonic() + 20
    while not treadle.doctor.findings() and time.monotonic() < end:
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=stop).start()
try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
"""

BATCH = """
class Batch:
    def __init__(self):
        self.done = asyncio.Event()
        self.left = 3

    async def part(self, number):
        await asyncio.sleep(0.01)
        if number != 1:
            self.left -= 1
        if not self.left:
            self.done.set()

async def main():
    batch = Batch()
    tasks = [asyncio.create_task(batch.part(number)) for number in range(3)]
    await batch.done.wait()
"""

REQUEST = """
class Client:
    def __init__(self):
        self.waiting = {}

    async def request(self, number):
        answer = self.waiting[number] = asyncio.get_running_loop().create_future()
        return await answer

async def main():
    client = Client()
    print(await client.request(7))
"""

# The waiter has left the condition, and keeps another lock that whoever would notify needs.
GATE = """
class Gate:
    def __init__(self):
        self.condition, self.lock, self.open = asyncio.Condition(), asyncio.Lock(), False

    async def enter(self):
        async with self.lock, self.condition:
            while not self.open:
                await self.condition.wait()

    async def unlock(self):
        await asyncio.sleep(0.1)
        async with self.lock, self.condition:
            self.open = True
            self.condition.notify_all()

async def main():
    gate = Gate()
    await asyncio.gather(gate.enter(), gate.unlock())
"""


@pytest.mark.parametrize(
    ("program", "name", "message"),
    [
        (BATCH, "stuck-wait", ("`main` waits for an event for ever", True)),
        (REQUEST, "stuck-wait", ("`Client.request` waits for a future for ever", True)),
        (GATE, "deadlock", ("`Gate.enter`, `main` and others wait for each other", False)),
    ],
)
def test_what_nothing_in_the_loop_can_end_any_more_is_told_of(
    tmp_path: Path, program: str, name: str, message: tuple[str, bool]
) -> None:
    found = run(tmp_path, program + FOUND)
    assert messages(found[name]) == [message]


# Somebody is left who has the work: another task, a server, a signal, a thread's job, whoever has the object.
KEPT = {
    "task": """
async def beat():
    while True:
        await asyncio.sleep(0.1)

async def main():
    stop = asyncio.Event()
    task = asyncio.create_task(beat())
    await stop.wait()
""",
    "server": """
async def main():
    stop = asyncio.Event()
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    await stop.wait()
""",
    "signal": """
import signal

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
""",
    "job": """
import time

async def main():
    stop = asyncio.Event()
    job = asyncio.get_running_loop().run_in_executor(None, time.sleep, 3)
    await stop.wait()
""",
    "object": """
class App:
    def __init__(self):
        self.stop = asyncio.Event()

app = App()

async def main():
    await app.stop.wait()
""",
    "no name": """
async def main():
    await asyncio.Event().wait()
""",
}


@pytest.mark.parametrize("name", KEPT)
def test_a_main_task_that_waits_while_somebody_has_the_work_is_left_alone(tmp_path: Path, name: str) -> None:
    found = run(tmp_path, KEPT[name] + INTERRUPTED.format(seconds=2.5))
    assert {name: messages(sightings) for name, sightings in found.items()} == {}


# Taken by `await lock.acquire()`, and given back in the same function.
TAKEN = """
lock = asyncio.Lock()

class Pair:
    def __init__(self):
        self.first, self.second = asyncio.Lock(), asyncio.BoundedSemaphore(1)

    async def there(self):
        await self.first.acquire()
        try:
            await asyncio.sleep(0.01)
            async with self.second:
                pass
        finally:
            self.first.release()

    async def back(self):
        await self.second.acquire()
        await asyncio.sleep(0.01)
        await self.first.acquire()
        self.first.release()
        self.second.release()

async def inner():
    async with lock:
        pass

async def outer():
    await lock.acquire()
    await inner()
    lock.release()

async def enclosing():
    condition = asyncio.Condition()

    async def notified():
        await condition.acquire()
        try:
            await helper()
        finally:
            condition.release()

    async def helper():
        async with condition:
            condition.notify_all()

    await notified()

async def main():
    pair = Pair()
    await together(pair.there(), pair.back(), outer(), enclosing(), seconds=2.8)

asyncio.run(main())
"""


def test_rings_of_what_was_taken_without_a_with_are_told_of(tmp_path: Path) -> None:
    found = run(tmp_path, TAKEN)
    assert {name: messages(sightings) for name, sightings in found.items()} == {
        "deadlock": [
            ("`Pair.there` and `Pair.back` wait for each other", False),
            ("`enclosing.<locals>.helper` waits for a lock that it holds itself", False),
            ("`inner` waits for a lock that it holds itself", False),
        ]
    }


KEPT_BACK = """
class Pool:
    def __init__(self):
        self.lock, self.permits = asyncio.Lock(), asyncio.Semaphore(2)

    async def check_out(self, number):
        await self.lock.acquire()
        if number == 1:
            return None
        await asyncio.sleep(0.01)
        self.lock.release()
        return number

    async def call(self, number):
        await self.permits.acquire()
        await asyncio.sleep(0.01)
        if number == 1:
            raise ValueError(number)
        self.permits.release()

async def main():
    pool = Pool()
    results = await asyncio.gather(*(pool.call(number) for number in range(3)), return_exceptions=True)
    print(results)
    await together(*(pool.check_out(number) for number in range(4)), seconds=3.2)
    print(pool)

asyncio.run(main())
"""


def test_what_one_way_out_of_a_function_keeps_is_told_of(tmp_path: Path) -> None:
    found = run(tmp_path, KEPT_BACK)
    assert {name: messages(sightings) for name, sightings in found.items()} == {
        "permit-leak": [
            ("`Pool.call` does not release what it has acquired when it raises", True),
            ("`Pool.check_out` waits for a lock that it does not always release", True),
        ]
    }


# Locks that are taken in one place and given back in another one on purpose, and those whose owner is only slow.
HANDED_ON = """
class Turn:
    def __init__(self):
        self.lock = asyncio.Lock()

    async def first(self):
        await self.lock.acquire()
        await asyncio.sleep(0.01)

    async def second(self):
        await asyncio.sleep(2.6)
        self.lock.release()

    async def third(self):
        await self.lock.acquire()
        self.lock.release()

class Pool:
    def __init__(self):
        self.permits = asyncio.Semaphore(1)

    async def open(self, works):
        await self.permits.acquire()
        try:
            await asyncio.sleep(0)
            if not works:
                raise OSError
        except OSError:
            self.permits.release()
            raise
        return self

    def close(self):
        self.permits.release()

    async def use(self, seconds):
        if seconds == 2.6:
            try:
                await self.open(False)
            except OSError:
                pass
        one = await self.open(True)
        await asyncio.sleep(seconds)
        one.close()

async def careful(lock, seconds):
    await lock.acquire()
    try:
        if seconds == 0:
            return None
        await asyncio.sleep(seconds)
    finally:
        lock.release()

async def maybe(lock, takes, other):
    if takes:
        await lock.acquire()
    async with other:
        await asyncio.sleep(2.6)
    if takes:
        lock.release()

async def fails(lock):
    await lock.acquire()
    try:
        raise KeyError
    finally:
        lock.release()

async def main():
    turn, pool, lock, other = Turn(), Pool(), asyncio.Lock(), asyncio.Lock()
    await asyncio.gather(
        turn.first(), turn.second(), turn.third(), pool.use(2.6), pool.use(0), careful(lock, 2.6), careful(lock, 0),
        maybe(lock, False, other), maybe(asyncio.Lock(), True, other),
    )
    print(await asyncio.gather(fails(lock), return_exceptions=True))

asyncio.run(main())
"""


def test_locks_that_are_handed_on_are_left_alone(tmp_path: Path) -> None:
    found = run(tmp_path, HANDED_ON)
    assert {name: messages(sightings) for name, sightings in found.items()} == {}
