"""Forks, threads and signals: a loop belongs to one process and one thread, and still hears of the others."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from typing import TYPE_CHECKING, cast

import pytest
from connections import Recorder, connect, receive, running, sockets, until_lost
from loops import not_on, run, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from connections import NewLoop

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]
ours = not_on("asyncio", "uvloop", reason="share the kernel's set with the child")


def in_child(work: Callable[[], object]) -> str:
    """Do something in a forked child; return what it returns, or its traceback."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            answer = str(work())
        except BaseException:  # noqa: BLE001 -- told to the parent.
            answer = traceback.format_exc()
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as pipe:  # noqa: PTH123
        answer = pipe.read()
    os.waitpid(pid, 0)
    return answer


def refusal(call: Callable[[], object]) -> str:
    """Return the words of the RuntimeError that a call raises."""
    try:
        call()
    except RuntimeError as error:
        return str(error)
    return "not refused"


@ours
@pytest.mark.parametrize("how", ["run", "add_reader", "connect", "write"])
def test_child_that_uses_the_parents_loop_is_told(new_loop: NewLoop, how: str) -> None:
    with running(new_loop) as loop:
        near, far = sockets()
        transport, other = loop.run_until_complete(connect(Recorder()))

        def use() -> None:
            if how == "run":
                loop.run_until_complete(asyncio.sleep(0))
            elif how == "add_reader":
                loop.add_reader(near, print)
            elif how == "connect":
                loop.run_until_complete(connect(Recorder()))
            else:
                transport.write(b"from the child")

        answer = in_child(lambda: refusal(use))
        assert "this event loop belongs to the parent process" in answer
        transport.write(b"from the parent")
        transport.close()
        assert loop.run_until_complete(receive(other)) == b"from the parent"
        for end in (near, far, other):
            end.close()


@ours
def test_child_forked_in_a_callback_is_told_as_soon_as_it_returns_to_the_loop(new_loop: NewLoop) -> None:
    with running(new_loop) as loop:
        reader, writer = os.pipe()
        transport, far = loop.run_until_complete(connect(Recorder()))

        def fork() -> None:
            transport.write(b"once")
            if os.fork():
                loop.call_soon(loop.stop)
                return
            children.append(True)

        children: list[bool] = []
        loop.call_soon(fork)
        try:
            words = refusal(loop.run_forever)
        finally:
            if children:
                os.write(writer, words.encode())
                os._exit(0)
        os.close(writer)
        with open(reader) as pipe:  # noqa: PTH123
            assert "belongs to the parent process" in pipe.read()
        os.wait()
        transport.close()
        assert loop.run_until_complete(receive(far)) == b"once"
        far.close()


@ours
@pytest.mark.parametrize("how", ["loop", "transport", "abort", "remove_reader", "socket", "own loop"])
def test_child_that_closes_what_it_has_disturbs_nobody(new_loop: NewLoop, how: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        protocol = Recorder()
        transport, far = await connect(protocol)
        near, other = sockets()
        heard: list[bytes] = []
        loop.add_reader(near, lambda: heard.append(near.recv(10)))

        def close() -> str:
            if how == "loop":
                asyncio._set_running_loop(None)
                loop._thread_id = None  # type: ignore[attr-defined]
                loop.close()
            elif how == "transport":
                transport.close()
            elif how == "abort":
                transport.abort()
            elif how == "remove_reader":
                with contextlib.suppress(RuntimeError):
                    loop.remove_reader(near)
            elif how == "socket":
                near.close()
                os.close(transport.get_extra_info("socket").fileno())
            else:
                run(new_loop, asyncio.sleep(0))
            return "closed"

        assert in_child(close).endswith("closed")
        far.send(b"stream")
        other.send(b"reader")
        await until(lambda: bool(protocol.data and heard))
        assert protocol.data == b"stream"
        assert heard == [b"reader"]
        transport.close()
        await until_lost(protocol)
        loop.remove_reader(near)
        for end in (far, near, other):
            end.close()

    run(new_loop, main())


def test_child_may_run_a_loop_of_its_own(new_loop: NewLoop) -> None:
    async def child() -> bytes:
        protocol = Recorder()
        transport, far = await connect(protocol)
        far.send(b"hello")
        await until(lambda: bool(protocol.data))
        transport.close()
        await until_lost(protocol)
        far.close()
        return bytes(protocol.data)

    async def main() -> str:
        return in_child(lambda: run(new_loop, child()))

    assert run(new_loop, main()) == "b'hello'"


@not_on("uvloop", reason="keeps its descriptor in the child")
def test_signals_of_a_child_are_not_the_parents(new_loop: NewLoop) -> None:
    if sys.version_info < (3, 12) and new_loop is asyncio.SelectorEventLoop:
        pytest.skip("asyncio shares them up to 3.11")
    heard: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, heard.append, "parent")
        in_child(lambda: os.kill(os.getpid(), signal.SIGUSR1))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not heard
        os.kill(os.getpid(), signal.SIGUSR1)
        await until(lambda: bool(heard))
        loop.remove_signal_handler(signal.SIGUSR1)

    run(new_loop, main())


def test_many_loops_run_in_many_threads(new_loop: NewLoop) -> None:
    failures: list[BaseException] = []

    async def talk() -> None:
        protocol = Recorder(data_received=lambda protocol: protocol.transport.write(b"y"))
        transport, far = await connect(protocol)
        for number in range(1, 30):
            far.send(b"x")
            assert await receive(far, 1) == b"y"
            assert len(protocol.data) == number
        await asyncio.gather(*(asyncio.sleep(0.0001 * number) for number in range(5)))
        transport.close()
        await until_lost(protocol)
        far.close()

    def work() -> None:
        try:
            for _ in range(3):
                run(new_loop, talk())
        except BaseException as error:  # noqa: BLE001 -- handed to the test's thread.
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_loops_in_threads_send_each_other_callbacks(new_loop: NewLoop) -> None:
    rounds = 300
    done = threading.Barrier(3, timeout=10)
    started: dict[int, asyncio.AbstractEventLoop] = {}

    def work(number: int) -> None:
        with running(new_loop) as loop:
            started[number] = loop

            def ball(left: int) -> None:
                if left:
                    started[1 - number].call_soon_threadsafe(balls[1 - number], left - 1)
                else:
                    for other in started.values():
                        other.call_soon_threadsafe(other.stop)

            balls[number] = ball
            done.wait()
            loop.run_forever()
            # Nobody sends to a loop that is closed.
            done.wait()

    balls: dict[int, Callable[[int], None]] = {}
    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    done.wait()
    started[0].call_soon_threadsafe(balls[0], rounds)
    done.wait()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("how", ["callback", "signal"])
def test_loop_that_was_woken_sleeps_again(new_loop: NewLoop, how: str) -> None:
    woken: list[int] = []
    with running(new_loop) as loop:

        def wake() -> None:
            time.sleep(0.005)
            if how == "callback":
                loop.call_soon_threadsafe(woken.append, 1)
            else:
                os.kill(os.getpid(), signal.SIGUSR1)

        loop.add_signal_handler(signal.SIGUSR1, woken.append, 1)
        thread = threading.Thread(target=wake)
        loop.call_soon(thread.start)
        loop.call_later(0.1, loop.stop)
        before = time.thread_time()
        loop.run_forever()
        assert time.thread_time() - before < 0.05
        thread.join()
        loop.remove_signal_handler(signal.SIGUSR1)
    assert woken == [1]


@pytest.mark.parametrize("forever", [True, False], ids=["no timer", "far timer"])
def test_sleeping_loop_is_woken_from_another_thread(new_loop: NewLoop, forever: bool) -> None:  # noqa: FBT001
    with running(new_loop) as loop:
        if not forever:
            loop.call_later(3600, print)
        ready = threading.Event()
        loop.call_soon(ready.set)

        def wake() -> None:
            ready.wait()
            time.sleep(0.005)
            loop.call_soon_threadsafe(loop.stop)

        thread = threading.Thread(target=wake)
        thread.start()
        loop.run_forever()
        thread.join()


def test_results_of_threads_arrive(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert await asyncio.gather(*(asyncio.to_thread(pow, 2, n) for n in range(20))) == [2**n for n in range(20)]

        async def double(number: int) -> int:
            await asyncio.sleep(0)
            return number * 2

        def ask() -> int:
            return asyncio.run_coroutine_threadsafe(double(21), loop).result(5)

        assert await asyncio.to_thread(ask) == 42

    run(new_loop, main())


CTRL_C = """
    import asyncio, sys, time
    from {module} import {name} as new_loop

    async def sleeping():
        loop = asyncio.get_running_loop()
        print("ready", flush=True)
        await loop.create_future()

    async def busy():
        print("ready", flush=True)
        while True:
            await asyncio.sleep(0)

    async def computing():
        print("ready", flush=True)
        while True:
            pass

    async def cancelled():
        try:
            await sleeping()
        except asyncio.CancelledError:
            print("cancelled", flush=True)
            raise

    async def stubborn():
        try:
            await sleeping()
        except asyncio.CancelledError:
            await asyncio.sleep(0.001)
            print("in order", flush=True)

    how, what = {how!r}, {what!r}
    try:
        if how == "run":
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(globals()[what]())
        elif how == "forever":
            loop = new_loop()
            task = loop.create_task(globals()[what]())
            loop.run_forever()
        else:
            import threading
            # Another thread runs the loop, the main thread waits for it.
            def work():
                with asyncio.Runner(loop_factory=new_loop) as runner:
                    runner.run(globals()[what]())
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            thread.join()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    sys.stdout.flush()
    import os
    os._exit(0)
"""


@pytest.mark.parametrize(
    ("how", "what", "words"),
    [
        ("run", "sleeping", "interrupted"),
        ("run", "busy", "interrupted"),
        ("run", "cancelled", "cancelled interrupted"),
        ("run", "stubborn", "in order"),
        ("forever", "sleeping", "interrupted"),
        ("forever", "busy", "interrupted"),
        ("forever", "computing", "interrupted"),
        ("thread", "sleeping", "interrupted"),
    ],
)
def test_interrupt_from_the_keyboard_comes_at_once(new_loop: NewLoop, how: str, what: str, words: str) -> None:
    if new_loop.__module__.startswith("uvloop") and what == "computing":
        pytest.skip("uvloop waits for the callback: #295")
    script = textwrap.dedent(CTRL_C).format(
        module=new_loop.__module__, name=cast("type", new_loop).__name__, how=how, what=what
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGINT)
        # A loop that sleeps on does so for ever.
        assert select.select([child.stdout], [], [], 10)[0]
        assert " ".join(child.stdout.read().decode().split()) == words


def test_signal_handlers_of_the_program_run_while_the_loop_sleeps(new_loop: NewLoop) -> None:
    if new_loop.__module__.startswith("asyncio"):
        pytest.skip("asyncio sleeps on unless the handler is its own")
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, _: heard.append(number))

    async def main() -> None:
        thread = threading.Timer(0.005, os.kill, (os.getpid(), signal.SIGUSR2))
        thread.start()
        thread.join()
        await until(lambda: bool(heard))

    try:
        run(new_loop, main())
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert heard == [signal.SIGUSR2]


@not_on("uvloop", reason="has a descriptor of its own")
def test_wakeup_descriptor_of_the_program_is_given_back(new_loop: NewLoop) -> None:
    near, far = sockets()
    before = signal.set_wakeup_fd(near.fileno(), warn_on_full_buffer=False)
    try:
        run(new_loop, asyncio.sleep(0.001))
        assert signal.set_wakeup_fd(near.fileno(), warn_on_full_buffer=False) == near.fileno()
    finally:
        signal.set_wakeup_fd(before)
        near.close()
        far.close()
