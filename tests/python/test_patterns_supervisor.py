"""A supervisor: errors, restarts, deadlines; and real signals, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import loops
import pytest
import treadle
from treadle.testing import virtual_event_loop

if TYPE_CHECKING:
    from collections.abc import Callable

    NewLoop = Callable[[], asyncio.AbstractEventLoop]


def test_it_ends_when_its_tasks_have(new_loop: NewLoop) -> None:
    async def main() -> None:
        async with treadle.Supervisor(name="app") as supervisor:
            task = supervisor.spawn(asyncio.sleep(0, "done"), name="short")
            assert supervisor.stats()["tasks"] == ["short"]
        assert await task == "done"
        report = supervisor.report
        assert report is not None
        assert (report.reason, report.drained, report.cancelled, report.stuck) == ("done", (), (), ())
        late = asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="<Supervisor 'app' stopped> starts no tasks"):
            supervisor.spawn(late)

    loops.run(new_loop, main())


def test_the_first_error_stops_all_and_is_raised(new_loop: NewLoop) -> None:
    async def main() -> None:
        async def fail() -> None:
            await asyncio.sleep(0)
            raise KeyError("one")

        async def clean(stopping: asyncio.Event) -> None:
            await stopping.wait()
            raise OSError("two")

        supervisor = treadle.Supervisor(drain=60)
        with pytest.raises(KeyError, match="one") as caught:  # noqa: PT012 - what happens before is part of it
            async with supervisor:
                supervisor.spawn(clean(supervisor.stopping))
                supervisor.spawn(fail)
        assert "another task failed too: OSError: two" in caught.value.__notes__[0]
        assert supervisor.report is not None
        assert supervisor.report.reason == "error"
        assert [type(error) for error in supervisor.report.errors] == [KeyError, OSError]

    loops.run(new_loop, main())


def test_errors_can_be_logged_instead(new_loop: NewLoop, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async def fail() -> None:
            raise KeyError("one")

        async with treadle.Supervisor(on_error="log") as supervisor:
            supervisor.spawn(fail(), name="fails")
            other = supervisor.spawn(asyncio.sleep(0.001, "fine"))
        assert await other == "fine"

    with caplog.at_level(logging.ERROR, "treadle"):
        loops.run(new_loop, main())
    (record,) = caplog.records
    assert record.getMessage() == "task fails failed"


def test_each_part_of_the_end_has_its_time(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def polite(stopping: asyncio.Event) -> None:
            await stopping.wait()
            await asyncio.sleep(3)

        async def busy() -> None:
            await asyncio.sleep(3600)

        async def deaf() -> None:
            while True:
                try:
                    await gate.wait()
                except asyncio.CancelledError:
                    continue
                return

        gate = asyncio.Event()
        async with treadle.Supervisor(drain=10, cleanup=5) as supervisor:
            supervisor.spawn(polite(supervisor.stopping), name="polite")
            supervisor.spawn(busy, name="busy")
            left = supervisor.spawn(deaf(), name="deaf")
            await asyncio.sleep(1)
            supervisor.stop()
            supervisor.stop()
        assert loop.time() == 16
        report = supervisor.report
        assert report is not None
        assert (report.reason, report.drained, report.cancelled) == ("stop", ("polite",), ("busy",))
        (stuck,) = report.stuck
        assert stuck.startswith("deaf at ")
        assert __file__ in stuck
        gate.set()
        await left

    loops.run(virtual_event_loop, main())
    assert any(record.getMessage().startswith("task deaf does not end") for record in caplog.records)


def test_tasks_are_started_anew_after_errors_that_are_worth_it(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        times: list[float] = []

        async def flaky() -> str:
            times.append(loop.time())
            if len(times) == 3:
                # So long that those before are forgotten.
                await asyncio.sleep(20)
            if len(times) < 6:
                raise OSError
            return "done"

        restart = treadle.Retry(on=OSError, attempts=4, backoff=treadle.Backoff(1, factor=2, max=10, jitter="none"))
        async with treadle.Supervisor(signals=()) as supervisor:
            task = supervisor.spawn(flaky, restart=restart)
        assert await task == "done"
        assert times == [0, 1, 3, 24, 26, 30]
        assert supervisor.stats()["retries"] == 5

        async def hopeless() -> None:
            raise KeyError

        with pytest.raises(KeyError):
            async with treadle.Supervisor(signals=()) as supervisor:
                supervisor.spawn(hopeless, restart=restart)
        async with treadle.Supervisor(signals=()) as supervisor:
            one = asyncio.sleep(0)
            with pytest.raises(TypeError, match="runs once"):
                supervisor.spawn(one, restart=restart)
            # Nobody waits for a restart longer than until the end.
            broken = treadle.Retry(on=KeyError, backoff=treadle.Backoff(60, max=60, jitter="none"))
            supervisor.spawn(hopeless, restart=broken)
            await asyncio.sleep(1)
            began = loop.time()
            supervisor.stop()
        assert loop.time() == began

    with caplog.at_level(logging.WARNING, "treadle"):
        loops.run(virtual_event_loop, main())
    assert "restarting in 1 s: task test_tasks" in caplog.records[0].getMessage()


def test_an_error_that_is_worth_a_restart_is_none_while_all_stops(
    new_loop: NewLoop, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with treadle.Supervisor(signals=()) as supervisor:

            async def work(error: Exception) -> None:
                await supervisor.stopping.wait()
                raise error

            again = treadle.Retry(on=OSError, budget=None)
            supervisor.spawn(lambda: work(OSError("hung up")), name="reader", restart=again)
            await asyncio.sleep(0)
            supervisor.stop()
        assert supervisor.report is not None
        assert (supervisor.report.drained, supervisor.report.errors) == (("reader",), ())
        # Any other is as bad as ever.
        with pytest.raises(KeyError):  # noqa: PT012 - what stops it is part of it
            async with treadle.Supervisor(signals=()) as supervisor:
                supervisor.spawn(lambda: work(KeyError("bug")), restart=again)
                await asyncio.sleep(0)
                supervisor.stop()

    with caplog.at_level(logging.WARNING, "treadle"):
        loops.run(new_loop, main())
    (record,) = caplog.records
    assert record.getMessage().startswith("not restarted, for all stops: task reader failed: OSError: hung up")


def test_a_body_that_fails_stops_the_tasks(new_loop: NewLoop) -> None:
    async def main() -> None:
        supervisor = treadle.Supervisor(drain=0)
        with pytest.raises(ValueError, match="body"):  # noqa: PT012 - what happens before is part of it
            async with supervisor:
                task = supervisor.spawn(asyncio.sleep(60))
                await asyncio.sleep(0)
                raise ValueError("body")
        assert task.cancelled()

    loops.run(new_loop, main())


def test_signals_are_given_back_and_left_alone_in_other_threads(new_loop: NewLoop) -> None:
    def handler(*_: object) -> None: ...

    async def main() -> None:
        async with treadle.Supervisor(signals=[signal.SIGUSR1]) as supervisor:
            supervisor.spawn(asyncio.sleep(0))

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        loops.run(new_loop, main())
        assert signal.getsignal(signal.SIGUSR1) is handler
        failed: list[BaseException] = []

        def run() -> None:
            try:
                loops.run(new_loop, main())
            except BaseException as error:  # noqa: BLE001 - looked at below
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        assert not failed
    finally:
        signal.signal(signal.SIGUSR1, before)


SERVICE = """\
import asyncio, importlib, json, sys, treadle

async def request(stopping):
    await stopping.wait()
    print("draining", flush=True)
    await asyncio.sleep(0.01 if sys.argv[2] == "short" else 3600)

async def main():
    async with treadle.Supervisor(drain=3600, cleanup=60) as supervisor:
        supervisor.spawn(request(supervisor.stopping), name="request")
        print("ready", flush=True)
    report = supervisor.report
    print(json.dumps([report.reason, report.drained, report.cancelled, report.stuck]), flush=True)

loops = {"asyncio": lambda: asyncio.SelectorEventLoop, "treadle": lambda: treadle.new_event_loop,
         "uvloop": lambda: importlib.import_module("uvloop").new_event_loop}
with asyncio.Runner(loop_factory=loops[sys.argv[1]]()) as runner:
    runner.run(main())
"""


@pytest.mark.parametrize("loop", loops.factories())
@pytest.mark.parametrize(
    ("number", "length", "end"),
    [
        (signal.SIGTERM, "short", ["SIGTERM", ["request"], [], []]),
        (signal.SIGINT, "short", ["SIGINT", ["request"], [], []]),
        # The second signal ends the draining.
        (signal.SIGTERM, "long", ["SIGTERM", [], ["request"], []]),
    ],
)
def test_a_signal_drains_and_a_second_one_hurries(loop: str, number: int, length: str, end: list[object]) -> None:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    with subprocess.Popen(
        [sys.executable, "-c", SERVICE, loop, length], stdout=subprocess.PIPE, text=True, env=environment
    ) as service:
        assert service.stdout is not None
        assert service.stdout.readline() == "ready\n"
        service.send_signal(number)
        assert service.stdout.readline() == "draining\n"
        if length == "long":
            service.send_signal(number)
        assert json.loads(service.stdout.readline()) == end
        assert service.wait(10) == 0
