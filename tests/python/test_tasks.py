"""Tasks and futures that the loop makes: as asyncio of the same version would."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest
from loops import not_on, run

if TYPE_CHECKING:
    from collections.abc import Callable

    NewLoop = Callable[[], asyncio.AbstractEventLoop]

# From Python 3.14 on keywords are handed through to factories and tasks.
HANDS_THROUGH = sys.version_info >= (3, 14)
newer = pytest.mark.skipif(not HANDS_THROUGH, reason="came with Python 3.14")


async def nothing() -> None:
    """End at once."""


@not_on("uvloop", reason="remembers the classes")
def test_classes_that_a_program_puts_into_asyncio_are_used(new_loop: NewLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    class Task(asyncio.Task):  # type: ignore[type-arg]
        pass

    class Future(asyncio.Future):  # type: ignore[type-arg]
        pass

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with monkeypatch.context() as patch:
            patch.setattr(asyncio.tasks, "Task", Task)
            patch.setattr(asyncio.futures, "Future", Future)
            tasks = [loop.create_task(nothing()), loop.create_task(nothing(), name="named")]
            assert [type(task) for task in tasks] == [Task, Task]
            assert type(loop.create_future()) is Future
            await asyncio.gather(*tasks)
        task = loop.create_task(nothing())
        assert type(task) is not Task
        assert type(loop.create_future()) is not Future
        await task

    run(new_loop, main())


@newer
def test_a_task_may_begin_at_once(new_loop: NewLoop) -> None:
    steps: list[str] = []

    async def begin() -> None:
        steps.append("begun")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(begin(), name="eager", eager_start=True)  # type: ignore[call-arg]
        assert steps == ["begun"]
        assert task.done()
        assert task.get_name() == "eager"
        late = loop.create_task(begin(), eager_start=False)  # type: ignore[call-arg]
        assert steps == ["begun"]
        await late

    run(new_loop, main())


@newer
@not_on("uvloop", reason="sets names itself")
def test_a_factory_gets_all_keywords(new_loop: NewLoop) -> None:
    calls: list[dict[str, Any]] = []

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **keywords: Any) -> Any:
        calls.append(dict(keywords))
        keywords.pop("word", None)
        return asyncio.Task(coroutine, loop=loop, **keywords)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(factory)
        await loop.create_task(nothing())
        await loop.create_task(nothing(), name="named", eager_start=True, word=1)  # type: ignore[call-arg]
        loop.set_task_factory(None)

    run(new_loop, main())
    assert calls == [{}, {"name": "named", "eager_start": True, "word": 1}]


def test_a_task_is_among_all_tasks_until_it_is_done(new_loop: NewLoop) -> None:
    async def main() -> None:
        task = asyncio.get_running_loop().create_task(asyncio.sleep(60))
        assert asyncio.all_tasks() == {task, asyncio.current_task()}
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(new_loop, main())


@newer
@pytest.mark.parametrize("wait", ["sleep", "stream", "socket"])
def test_the_graph_of_calls_leads_to_what_a_task_waits_for(new_loop: NewLoop, wait: str) -> None:
    async def inner(reader: asyncio.StreamReader, sock: socket.socket) -> None:
        if wait == "stream":
            await reader.readline()
        elif wait == "socket":
            await asyncio.get_running_loop().sock_recv(sock, 1)
        else:
            await asyncio.sleep(60)

    async def outer(*arguments: Any) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(inner(*arguments), name="child")

    async def main() -> str:
        ours, peer = socket.socketpair()
        other, other_peer = socket.socketpair()
        other.setblocking(False)  # noqa: FBT003 -- the method takes no names.
        reader, writer = await asyncio.open_connection(sock=ours)
        parent = asyncio.create_task(outer(reader, other), name="parent")
        await asyncio.sleep(0.01)
        child = next(task for task in asyncio.all_tasks() if task.get_name() == "child")
        graph = io.StringIO()
        asyncio.print_call_graph(child, file=graph)  # type: ignore[attr-defined]
        captured = asyncio.capture_call_graph(child)  # type: ignore[attr-defined]
        assert [link.future.get_name() for link in captured.awaited_by] == ["parent"]
        assert all(inspect.isframe(entry.frame) for entry in captured.call_stack)
        parent.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await parent
        writer.close()
        for sock in (peer, other, other_peer):
            sock.close()
        return graph.getvalue()

    shown = run(new_loop, main())
    for words in ("name='child'", "inner()", "name='parent'", "outer()"):
        assert words in shown


@newer
def test_a_task_sees_its_own_graph_of_calls(new_loop: NewLoop) -> None:
    async def inner() -> str:
        return str(asyncio.format_call_graph())  # type: ignore[attr-defined]

    async def main() -> str:
        return await inner()

    shown = run(new_loop, main())
    assert "inner()" in shown
    assert "main()" in shown


@not_on("uvloop", reason="does not say where")
def test_the_debug_mode_knows_where_a_task_was_made(new_loop: NewLoop) -> None:
    async def main() -> str:
        asyncio.get_running_loop().set_debug(True)
        task = asyncio.get_running_loop().create_task(nothing())
        shown = repr(task)
        await task
        return shown

    assert f"created at {__file__}" in run(new_loop, main())
