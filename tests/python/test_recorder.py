"""What the loop writes down while it is watched: callbacks, steps, tasks, transports, looks at the system."""

import asyncio
import gc
import socket
import threading
import weakref
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import treadle
from treadle import _native
from treadle.doctor import finish, watch


class Event(NamedTuple):
    """Something that the loop did."""

    kind: str
    loop: int
    subject: int
    small: int
    value: int
    function: str
    line: int


@pytest.fixture
def loop() -> Iterator[treadle.EventLoop]:
    watch(output="silent", settings=False)
    loop = treadle.new_event_loop()
    yield loop
    loop.close()
    finish()


def events(*kinds: str) -> list[Event]:
    """Return the events of some kinds, or all."""
    all_events = [Event(*event) for event in _native.events()]
    return [event for event in all_events if not kinds or event.kind in kinds]


def test_task_is_born_steps_and_ends(loop: treadle.EventLoop) -> None:
    async def nap() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    task = loop.create_task(nap())
    line = nap.__code__.co_firstlineno + 4
    loop.run_until_complete(task)
    mine = [event for event in events() if event.subject == id(task)]
    assert [event.kind for event in mine] == ["TaskBorn", "Step", "Step", "Step", "TaskDone"]
    assert (mine[0].function, mine[0].line) == ("test_task_is_born_steps_and_ends", line)
    assert mine[-1].small == 0


@pytest.mark.parametrize(
    ("ending", "number"), [("return", 0), ("raise ValueError", 1), ("raise asyncio.CancelledError", 2)]
)
def test_end_of_a_task_says_how(loop: treadle.EventLoop, ending: str, number: int) -> None:
    namespace: dict[str, object] = {"asyncio": asyncio}
    exec(f"async def end():\n    await asyncio.sleep(0)\n    {ending}", namespace)  # noqa: S102
    task = loop.create_task(namespace["end"]())  # type: ignore[operator]
    loop.run_until_complete(asyncio.wait([task]))
    assert [event.small for event in events("TaskDone") if event.subject == id(task)] == [number]
    if not task.cancelled():
        task.exception()


def test_place_of_a_task_is_the_line_of_the_program_that_made_it(loop: treadle.EventLoop) -> None:
    async def child() -> None:
        pass

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
        await asyncio.gather(child(), child())
        asyncio.ensure_future(child())  # noqa: RUF006 - it is about where it is made

    loop.run_until_complete(main())
    first = main.__code__.co_firstlineno
    prefix = "test_place_of_a_task_is_the_line_of_the_program_that_made_it.<locals>.main"
    born = [(event.function, event.line - first) for event in events("TaskBorn")]
    assert born[1:] == [(prefix, 2), (prefix, 3), (prefix, 3), (prefix, 4)]


def test_callback_is_written_down_with_its_code(loop: treadle.EventLoop) -> None:
    def callback() -> None:
        loop.stop()

    handle = loop.call_soon(callback)
    loop.run_forever()
    (call,) = [event for event in events("Call") if event.subject == id(handle)]
    assert call.function.endswith("<locals>.callback")
    assert call.line == callback.__code__.co_firstlineno


def test_looks_at_the_system_come_in_pairs_and_loops_start_and_stop(loop: treadle.EventLoop) -> None:
    loop.run_until_complete(asyncio.sleep(0.01))
    kinds = [event.kind for event in events("LoopStarted", "Poll", "Woke", "LoopStopped")]
    assert (kinds[0], kinds[-1]) == ("LoopStarted", "LoopStopped")
    assert kinds[1:-1] == ["Poll", "Woke"] * ((len(kinds) - 2) // 2)
    assert len({event.loop for event in events()}) == 1
    # Ready to sleep for nearly as long as the timer wants.
    assert any(5_000_000 < event.value <= 10_000_000 for event in events("Poll"))


def test_transports_are_made_called_and_lost(loop: treadle.EventLoop) -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await reader.read()
        writer.close()
        server.close()
        await writer.wait_closed()

    loop.run_until_complete(main())
    made, lost = ({event.subject for event in events(kind)} for kind in ("TransportMade", "TransportLost"))
    assert len(made) == 2
    assert made == lost
    assert {event.subject for event in events("Ready")} <= made


def numbers(event: Event) -> tuple[int, int]:
    """Return an event's own number and that of what has brought it about; a timer that was due is the highest bit."""
    if event.kind == "Woke":
        return event.subject, 0
    return event.value & 0xFFFF_FFFF, event.value >> 32


def wakers(subject: int) -> list[tuple[str, int, bool]]:
    """Return what has brought about the callbacks of an object: its kind, its subject, and whether it was a timer."""
    known: dict[int, Event] = {}
    found = []
    for event in events("Step", "Call", "Ready", "Woke", "Flush", "Handed"):
        number, wake = numbers(event)
        known[number] = event
        if event.subject == subject and event.kind in {"Step", "Call"}:
            waker = known.get(wake & 0x7FFF_FFFF)
            found.append((waker.kind, waker.subject, bool(wake >> 31)) if waker else ("", 0, False))
    return found


def test_steps_know_the_callback_that_has_woken_them(loop: treadle.EventLoop) -> None:
    async def wait(event: asyncio.Event) -> None:
        await event.wait()

    async def main() -> tuple[int, int]:
        event = asyncio.Event()
        task = asyncio.create_task(wait(event))
        await asyncio.sleep(0)
        event.set()
        me = asyncio.current_task()
        await task
        return id(me), id(task)

    main_task, task = loop.run_until_complete(main())
    # Who makes it begins its first step; then the event is set.
    assert wakers(task) == [("Step", main_task, False)] * 2
    # Nobody is known for the first step: no loop ran. One goes on by itself, the last when the other task has ended.
    assert wakers(main_task) == [("", 0, False), ("Step", main_task, False), ("Step", task, False)]


def test_timers_and_descriptors_come_from_the_answer_of_the_system(loop: treadle.EventLoop) -> None:
    sending, receiving = socket.socketpair()
    with sending, receiving:
        receiving.settimeout(0)

        def read() -> None:
            receiving.recv(1)
            loop.stop()

        timer = loop.call_later(0.001, sending.send, b"x")
        loop.add_reader(receiving, read)
        loop.run_forever()
        loop.remove_reader(receiving)
    ((kind, _, is_timer),) = wakers(id(timer))
    assert (kind, is_timer) == ("Woke", True)
    (call,) = [event for event in events("Call") if event.function.endswith("<locals>.read")]
    ((kind, _, is_timer),) = wakers(call.subject)
    assert (kind, is_timer) == ("Woke", False)


def test_other_threads_are_told_from_the_callback_that_runs_meanwhile(loop: treadle.EventLoop) -> None:
    handles: list[asyncio.Handle] = []

    def hand_over() -> None:
        # This callback runs as long as the thread hands something to its loop.
        thread = threading.Thread(target=lambda: handles.append(loop.call_soon_threadsafe(loop.stop)))
        thread.start()
        thread.join()
        handles.append(loop.call_soon_threadsafe(lambda: None))

    first = loop.call_soon(hand_over)
    loop.run_forever()
    other, own = map(id, handles)
    assert wakers(other) == [("Handed", other, False)]
    assert wakers(own) == [("Call", id(first), False)]
    # In a thread without a loop.
    assert [event.small for event in events("Handed") if event.subject == other] == [0]


def test_nothing_is_written_once_the_doctor_has_ended(loop: treadle.EventLoop) -> None:
    finish()
    loop.run_until_complete(asyncio.sleep(0))
    assert events() == []


def test_loop_that_runs_already_is_written_down_from_then_on() -> None:
    async def main() -> None:
        watch(output="silent", settings=False)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=treadle.new_event_loop) as runner:
        runner.run(main())
    assert len(events("Step")) >= 2
    finish()


def test_programs_objects_are_not_kept(loop: treadle.EventLoop) -> None:
    async def main() -> None:
        await asyncio.gather(*(asyncio.sleep(0) for _ in range(10)))

    loop.run_until_complete(main())

    task = loop.create_task(asyncio.sleep(0))
    gone = weakref.ref(task)
    loop.run_until_complete(task)
    del task
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_comes_out_of_a_loop_that_is_watched(
    loop: treadle.EventLoop, ending: type[BaseException]
) -> None:
    async def end() -> None:
        raise ending

    task = loop.create_task(end())
    with pytest.raises(ending):
        loop.run_until_complete(task)
    assert [event.small for event in events("TaskDone") if event.subject == id(task)] == [1]
    assert isinstance(task.exception(), ending)
