"""Calls elsewhere: in a thread, a process, an interpreter, somebody's executor."""

import asyncio
import functools
import inspect
import sys
from asyncio import get_running_loop
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from treadle.patterns.thread_pool import Crew, Job, ThreadCrew, ThreadPool, drain_of, the_threads

if TYPE_CHECKING:
    from treadle.patterns.process_pool import ProcessPool

__all__ = ["sync_to_async", "to_executor", "to_interpreter", "to_process", "to_thread"]

P = ParamSpec("P")
R = TypeVar("R")


async def to_thread(fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function that blocks in a thread, with the caller's context variables.

    There is one pool of threads for all such calls: four more than processors, at most 32. If the caller is cancelled,
    the ``await`` ends at once. A call that has not begun is then never made; one that runs goes on to its end, for
    nothing can stop a thread, and if it fails, the loop's exception handler is told.

    Args:
        fn: what to call.
        args: with what.
        kwargs: with what.

    Returns:
        What ``fn`` returns.

    Raises:
        BaseException: what ``fn`` raises.

    """
    return await call_in(the_threads()._crew, fn, args, kwargs)


async def to_process(fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function that computes in another process.

    There is one pool for all such calls, with a process for each processor; see :class:`treadle.ProcessPool`, also for
    what holds of functions and arguments. If the caller is cancelled, its process is killed.

    Raises:
        BaseException: what ``fn`` raises, with its traceback as a note.
        WorkerDied: the process has died in the call.

    """
    # The first time this imports much, which the loop need not wait for.
    pool = the_processes() if "treadle.patterns.process_pool" in sys.modules else await to_thread(the_processes)
    return await call_in(pool._crew, fn, args, kwargs)


async def to_interpreter(fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in another interpreter of this process, which has a GIL of its own. Python 3.14 or newer.

    There is one pool for all such calls, with an interpreter for each processor. If the caller is cancelled, the
    ``await`` ends at once; a call that runs goes on to its end.

    Raises:
        RuntimeError: this Python is older than 3.14.

    """
    if sys.version_info < (3, 14):
        raise RuntimeError(
            "to_interpreter() needs Python 3.14 or newer, where interpreters can be had. "
            "Use treadle.to_process(), which takes the same functions and arguments."
        )
    return await to_executor(the_interpreters(), fn, *args, **kwargs)


async def to_executor(executor: Executor, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in an executor: a pool of treadle's, loky's, ``Client.get_executor(pure=False)`` of Dask, any.

    If the caller is cancelled, so is the executor's future.

    Args:
        executor: a :class:`concurrent.futures.Executor`. Its ``submit`` is called on the loop's thread.
        fn: what to call.
        args: with what.
        kwargs: with what.

    Raises:
        BaseException: what ``fn`` raises.

    """
    if isinstance(executor, ThreadPool):
        return await call_in(executor._crew, fn, args, kwargs)
    return await asyncio.wrap_future(executor.submit(fn, *args, **kwargs))


async def call_in(crew: Crew, fn: Callable[..., R], args: tuple[Any, ...], keywords: dict[str, Any]) -> R:
    """Let somebody of the crew call it."""
    loop = get_running_loop()
    future = loop.create_future()
    drain = drain_of(loop)
    job = Job(noted(loop, crew, fn) if drain.is_ours else fn, args, keywords, copy_context(), future, drain)
    crew.put(job)
    try:
        result: R = await future
    except asyncio.CancelledError:
        crew.abandon(job)
        raise
    else:
        return result
    finally:
        # An error that went through here refers to this frame.
        del future, job


def noted(loop: Any, crew: Crew, fn: Callable[..., R]) -> Callable[..., R]:
    """Return a function that does the same, and that the doctor sees begin and end if it watches the loop."""
    # Only threads can take it.
    if not loop._is_recorded() or type(crew) is not ThreadCrew or loop.get_debug():
        return fn
    wrapped: Callable[..., R] = loop._note_job(fn, fn, id(crew) >> 4 & 0xFFFFFFFF, crew.workers)
    return wrapped


def sync_to_async(
    fn: Callable[P, R], *, to: "Literal['thread', 'process'] | Executor" = "thread"
) -> Callable[P, Coroutine[Any, Any, R]]:
    """Make a coroutine function of one that blocks.

    Args:
        fn: what each call calls, elsewhere.
        to: where: ``"thread"`` as :func:`to_thread`, ``"process"`` as :func:`to_process`, or an executor.

    Raises:
        TypeError: ``fn`` is a coroutine function, or ``to`` is something else.

    """
    if inspect.iscoroutinefunction(fn):
        raise TypeError(f"{name_of(fn)} is asynchronous already")
    if isinstance(to, Executor):
        executor = to
    elif to == "thread":
        executor = None
    elif to == "process":
        executor = the_processes()
    else:
        raise TypeError(f"to= is 'thread', 'process' or an executor, not {to!r}")

    @functools.wraps(fn)
    async def elsewhere(*args: P.args, **kwargs: P.kwargs) -> R:
        if executor is None:
            return await to_thread(fn, *args, **kwargs)
        return await to_executor(executor, fn, *args, **kwargs)

    return elsewhere


def name_of(fn: object) -> str:
    """Return what people call a function."""
    return str(getattr(fn, "__qualname__", fn))


def the_processes() -> "ProcessPool":
    """Return the pool of processes that all share; nothing starts before it is used."""
    from treadle.patterns.process_pool import the_pool  # noqa: PLC0415 - few need it

    return the_pool()


@functools.cache
def the_interpreters() -> Executor:
    """Return the pool of interpreters that all share."""
    import concurrent.futures  # noqa: PLC0415 - it has been imported

    pool: Executor = concurrent.futures.InterpreterPoolExecutor()  # type: ignore[attr-defined,unused-ignore]
    return pool
