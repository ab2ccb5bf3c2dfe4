"""Errors at every place where the loop itself calls a program."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from connections import reported, running
from loops import not_on, until
from mishaps import ENDING, KINDS, ORDINARY, once, raiser

if TYPE_CHECKING:
    from connections import NewLoop


@not_on("uvloop", reason="has handles of its own kind, and no way out for others' exceptions")
@pytest.mark.parametrize("error", ORDINARY)
@pytest.mark.parametrize("kind", KINDS)
def test_exception_of_a_callback_reaches_the_handler(new_loop: NewLoop, kind: str, error: type[BaseException]) -> None:
    with running(new_loop) as loop, contextlib.ExitStack() as undo:
        failures = reported(loop)
        once(loop, kind, raiser(error), undo)
        loop.run_until_complete(until(lambda: bool(failures)))
        assert [type(failure["exception"]) for failure in failures] == [error]
        assert isinstance(failures[0]["handle"], asyncio.Handle)
        assert "callback" in failures[0]["message"]


@not_on("uvloop", reason="keeps those of signal handlers")
@pytest.mark.parametrize("error", ENDING)
@pytest.mark.parametrize("kind", KINDS)
def test_exception_that_ends_programs_comes_out_and_the_loop_can_go_on(
    new_loop: NewLoop, kind: str, error: type[BaseException]
) -> None:
    trace: list[str] = []
    with running(new_loop) as loop, contextlib.ExitStack() as undo:
        failures = reported(loop)
        once(loop, kind, raiser(error), undo)
        loop.call_later(5, loop.stop)
        with pytest.raises(error):
            loop.run_forever()
        assert not loop.is_running()
        assert asyncio._get_running_loop() is None
        loop.call_soon(trace.append, "goes on")
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert trace == ["goes on"]
        assert not failures


@not_on("uvloop", reason="drops what waits")
def test_what_was_ready_when_the_loop_was_ended_runs_when_it_goes_on(new_loop: NewLoop) -> None:
    trace: list[int] = []
    with running(new_loop) as loop:
        for number in range(5):
            loop.call_soon(trace.append, number)
            if number == 2:
                loop.call_soon(raiser(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        assert trace == [0, 1, 2]
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert trace == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("error", [*ORDINARY, *ENDING])
def test_exception_of_the_exception_handler_is_logged_or_comes_out(
    new_loop: NewLoop, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    with running(new_loop) as loop:
        loop.set_exception_handler(raiser(error))
        loop.call_soon(raiser(ValueError))
        loop.call_soon(loop.stop)
        with pytest.raises(error) if error in ENDING else contextlib.nullcontext():
            loop.run_forever()
        assert not loop.is_running()
    assert error in ENDING or "Unhandled error in exception handler" in caplog.text


@pytest.mark.parametrize("error", [*ORDINARY, *ENDING])
def test_exception_of_the_task_factory_reaches_who_makes_the_task(
    new_loop: NewLoop, error: type[BaseException]
) -> None:
    async def nothing() -> None:
        pass

    with running(new_loop) as loop:
        loop.set_task_factory(raiser(error))
        coroutine = nothing()
        with pytest.raises(error):
            loop.create_task(coroutine)
        coroutine.close()
        loop.set_task_factory(None)
        loop.run_until_complete(nothing())
