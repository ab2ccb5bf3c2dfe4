"""Cancels a task at each of its awaits, one after the other, and looks for what that has cost others.

A scene starts a victim with :meth:`Cut.start` among others, and says afterwards what must hold. It is played once for
each time the victim suspends, in two ways: cancelled when it begins to wait, and cancelled when what it waits for has
happened but it does not run yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import types
from typing import TYPE_CHECKING, Any

import loops

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator

    Scene = Callable[["Cut"], Coroutine[Any, Any, None]]
    Surroundings = Callable[[Awaitable[Any]], Coroutine[Any, Any, Any]]


class Cut:
    """Cancels the victim at one of its awaits."""

    def __init__(self, step: int, surroundings: Surroundings, *, late: bool) -> None:
        """Cancel nothing yet."""
        self.step, self.late, self.surroundings = step, late, surroundings
        self.made = False
        self.task: asyncio.Task[Any] | None = None
        self.complaints: list[dict[str, Any]] = []

    def start(self, victim: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start the task that is cancelled."""
        self.task = asyncio.get_running_loop().create_task(self._watch(victim), name="victim")
        return self.task

    async def end(self) -> bool:
        """Wait for the victim, and return whether it was cancelled; if it was to be, it has been."""
        assert self.task is not None
        async with asyncio.timeout(10):
            await asyncio.wait([self.task])
        assert self.task.cancelled() == self.made, (self, self.task)
        if not self.made:
            self.task.result()
        return self.made

    def __repr__(self) -> str:
        """Return where it cancels."""
        return f"<cut at await {self.step}, {'late' if self.late else 'early'}, {self.surroundings.__name__}>"

    async def _watch(self, victim: Coroutine[Any, Any, Any]) -> Any:
        task = asyncio.current_task()
        assert task is not None
        try:
            return await self.surroundings(self._drive(victim, task))
        finally:
            # Whoever takes a cancellation back has asked for it.
            assert task.cancelling() == self.made, (self, task.cancelling())

    @types.coroutine
    def _drive(self, victim: Coroutine[Any, Any, Any], task: asyncio.Task[Any]) -> Generator[Any, Any, Any]:
        resume = functools.partial(victim.send, None)
        step = 0
        while True:
            try:
                awaited = resume()
            except StopIteration as end:
                return end.value
            if step == self.step:
                self._arm(awaited, task)
            step += 1
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001 -- the victim's business.
                resume = functools.partial(victim.throw, error)
            else:
                resume = functools.partial(victim.send, None)

    def _arm(self, awaited: Any, task: asyncio.Task[Any]) -> None:
        def cancel(*_: object) -> None:
            self.made = True
            task.cancel()

        if not self.late:
            cancel()
        elif awaited is None:
            asyncio.get_running_loop().call_soon(cancel)
        else:
            # Before the task's own callback, which it adds when this is yielded.
            awaited.add_done_callback(cancel)


async def alone(victim: Awaitable[Any]) -> Any:
    """Await it, and nothing else."""
    return await victim


async def in_timeout(victim: Awaitable[Any]) -> Any:
    """Await it inside a timeout that does not expire."""
    async with asyncio.timeout(60):
        return await victim


async def in_group(victim: Awaitable[Any]) -> Any:
    """Await it inside a group."""
    async with asyncio.TaskGroup():
        return await victim


async def in_cleaning_up(victim: Awaitable[Any]) -> Any:
    """Await it in a task that has been cancelled already and does something more before it ends."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
    try:
        return await victim
    finally:
        task.uncancel()


SURROUNDINGS: tuple[Surroundings, ...] = (alone, in_timeout, in_group, in_cleaning_up)


def at_every_await(new_loop: Callable[[], asyncio.AbstractEventLoop], scene: Scene, *, waits: bool = True) -> None:
    """Play a scene for each await of its victim, of which there is one unless the world may have been too slow."""
    for surroundings in SURROUNDINGS:
        for late in (False, True):
            step = 0
            while True:
                cut = Cut(step, surroundings, late=late)
                loops.run(new_loop, play(scene, cut))
                gc.collect(0)
                assert not cut.complaints, (cut, cut.complaints)
                if not cut.made:
                    break
                step += 1
            assert step or not waits, f"the scene never waits: {surroundings}"


async def play(scene: Scene, cut: Cut) -> None:
    """Play it once; nothing may be left running, and nobody may complain."""
    asyncio.get_running_loop().set_exception_handler(lambda _, context: cut.complaints.append(context))
    try:
        # What is lost is often waited for.
        async with asyncio.timeout(20):
            await scene(cut)
    except Exception as error:
        error.add_note(repr(cut))
        raise
    for _ in range(3):
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, (cut, left)
