"""What makes the ``sock_*`` operations coroutines."""

from __future__ import annotations

import asyncio
import collections.abc
import gc
import inspect
import socket
import types
import warnings
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from loops import not_on, run
from operations import begun, pair

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    NewLoop = Callable[[], asyncio.AbstractEventLoop]


@not_on("uvloop", "asyncio", reason="theirs are made by a compiler")
def test_an_operation_is_a_coroutine(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, far):
            operation: Any = loop.sock_recv(near, 10)
            assert asyncio.iscoroutine(operation) is isinstance(operation, collections.abc.Coroutine) is True
            assert operation.__qualname__ == "sock_recv"
            assert repr(operation).startswith("<coroutine object sock_recv at 0x")
            task = await begun(operation)
            assert "coro=<sock_recv()>" in repr(task)
            assert inspect.getcoroutinestate(operation) == inspect.CORO_SUSPENDED
            assert not operation.cr_running
            assert operation.cr_await is not None
            assert task.get_stack() == []
            far.send(b"x")
            assert await task == b"x"
            assert inspect.getcoroutinestate(operation) == inspect.CORO_CLOSED
            assert operation.cr_await is None
            assert weakref.ref(operation)() is operation

    run(new_loop, main())


@not_on("uvloop", reason="its methods are compiled")
def test_a_generator_that_is_a_coroutine_yields_from_it(new_loop: NewLoop) -> None:
    @types.coroutine
    def receive(sock: socket.socket) -> Generator[Any, Any, bytes]:
        operation: Any = asyncio.get_running_loop().sock_recv(sock, 10)
        data: bytes = yield from operation
        return data

    async def main() -> None:
        with pair() as (near, far):
            far.send(b"x")
            assert await receive(near) == b"x"

    run(new_loop, main())


@not_on("uvloop", reason="it has another error for a closed socket")
def test_nothing_happens_before_it_is_awaited(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, far):
            far.send(b"data")
            operation = loop.sock_recv(near, 10)
            assert near.recv(10, socket.MSG_PEEK) == b"data"
            near.close()
            with pytest.raises(OSError, match="Bad file descriptor"):
                await operation

    run(new_loop, main())


@not_on("uvloop", reason="its methods are compiled")
def test_a_coroutine_that_nobody_awaits_is_told(new_loop: NewLoop) -> None:
    async def main() -> None:
        with pair() as (near, _), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            operation: Any = asyncio.get_running_loop().sock_recv(near, 10)
            name = operation.__qualname__
            del operation
            gc.collect()
        assert [str(warning.message) for warning in caught] == [f"coroutine '{name}' was never awaited"]
        assert caught[0].category is RuntimeWarning

    run(new_loop, main())


@not_on("uvloop", reason="its methods are compiled")
def test_a_coroutine_is_awaited_once(new_loop: NewLoop) -> None:
    async def main() -> None:
        with pair() as (near, far):
            far.send(b"data")
            operation = asyncio.get_running_loop().sock_recv(near, 10)
            await operation
            with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
                await operation
            closed = asyncio.get_running_loop().sock_recv(near, 10)
            closed.close()
            closed.close()
            with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
                await closed

    run(new_loop, main())


@pytest.mark.filterwarnings("ignore:the .* signature of throw:DeprecationWarning")
@pytest.mark.parametrize("has_begun", [False, True])
def test_an_exception_can_be_thrown_into_it(new_loop: NewLoop, has_begun: bool) -> None:  # noqa: FBT001
    async def main() -> None:
        with pair() as (near, _):
            for thrown in [(KeyError("x"),), (KeyError,), (KeyError, "x"), (KeyError, KeyError("x"), None)]:
                operation: Any = asyncio.get_running_loop().sock_recv(near, 10)
                if has_begun:
                    operation.send(None)
                with pytest.raises(KeyError):
                    operation.throw(*thrown)

    run(new_loop, main())


@not_on("uvloop", reason="its methods are compiled")
def test_what_is_sent_first_is_none(new_loop: NewLoop) -> None:
    async def main() -> None:
        with pair() as (near, _):
            operation = asyncio.get_running_loop().sock_recv(near, 10)
            with pytest.raises(TypeError, match="can't send non-None value to a just-started coroutine"):
                operation.send(1)
            operation.close()

    run(new_loop, main())


def test_wait_for_and_gather_take_operations(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (near, far):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(loop.sock_recv(near, 10), 0.001)
            received, _ = await asyncio.gather(loop.sock_recv(near, 10), loop.sock_sendall(far, b"data"))
            assert received == b"data"

    run(new_loop, main())
