"""From code that blocks to a loop: a loop in a thread of its own, and functions that wait for coroutines."""

import asyncio
import atexit
import concurrent.futures
import contextlib
import functools
import inspect
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, copy_context
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, overload

from treadle.patterns.registry import register
from treadle.patterns.thread_pool import here

__all__ = ["Portal", "async_to_sync"]

P = ParamSpec("P")
R = TypeVar("R")

# A thread that waits for a loop looks so often whether that is still there, in seconds.
PATIENCE = 1.0


class Promise(concurrent.futures.Future[R]):
    """What comes of a call on a loop. Cancelling it cancels the call."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make a promise of nothing yet."""
        super().__init__()
        self._loop = loop
        self._task: asyncio.Task[R] | None = None
        self._is_given_up = False

    def cancel(self) -> bool:
        """Cancel the call: at once if it has not begun, else when it ends by that."""
        if super().cancel():
            return True
        if self.done():
            return False
        self._is_given_up = True
        try:
            self._loop.call_soon_threadsafe(self._end)
        except RuntimeError:
            return False
        return True

    def begin(self, main: Callable[[], Coroutine[Any, Any, R]], context: Context) -> None:
        """Start the task, on the loop."""
        if not self.set_running_or_notify_cancel():
            return
        self._task = task = self._loop.create_task(main(), context=context)
        task.add_done_callback(self._settle)
        if self._is_given_up:
            task.cancel()

    def fail(self, error: BaseException) -> None:
        """End without having begun, or without the loop."""
        if not self.done() and (self.running() or self.set_running_or_notify_cancel()):
            self.set_exception(error)

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _settle(self, task: "asyncio.Task[R]") -> None:
        self._task = None
        if self.done():
            return
        if task.cancelled():
            self.set_exception(concurrent.futures.CancelledError())
        elif (error := task.exception()) is not None:
            self.set_exception(error)
        else:
            self.set_result(task.result())


def wait_for(promise: Promise[R], loop: asyncio.AbstractEventLoop) -> R:
    """Block this thread until the promise is kept, or the loop cannot keep it any longer."""
    try:
        while True:
            try:
                return promise.result(PATIENCE)
            except concurrent.futures.TimeoutError:
                if promise.done():
                    raise
                if loop.is_closed():
                    promise.fail(RuntimeError("the event loop has been closed while a thread waited for it"))
    except BaseException:
        # Ctrl-C for one; nothing happens if it is done.
        promise.cancel()
        raise
    finally:
        # An error refers to this frame.
        del promise


async def outcome(fn: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Call a function on the loop, and await what it returns if that can be awaited."""
    result = fn(*args, **keywords)
    return await result if inspect.isawaitable(result) else result


def refuse_on_loop(action: str) -> None:
    """Raise if a loop runs in this thread, which would wait for itself."""
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(f"{action} would block the event loop that runs in this thread; use `await` here")


class Portal:
    """A loop in a thread of its own, for code that is not asynchronous.

    ::

        with treadle.Portal() as portal:
            rows = portal.run(fetch, "select 1")

    Leaving the block waits for what was submitted; leaving it by an exception cancels that.
    """

    def __init__(
        self, *, name: str | None = None, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    ) -> None:
        """Make a portal; its thread begins with the block, or the first call.

        Args:
            name: what its thread, messages and statistics call it.
            loop_factory: what makes the loop; :func:`treadle.new_event_loop` by default.

        """
        self.name = name
        self._loop_factory = loop_factory
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self._is_closed = False
        self._pending: dict[Promise[Any], None] = {}
        self._calls = 0
        self._lock = threading.Lock()
        register(self)

    def __repr__(self) -> str:
        """Return the kind and the name."""
        return f"<{type(self).__name__}{'' if self.name is None else f' {self.name!r}'}>"

    def __enter__(self) -> "Portal":  # noqa: PYI034 - nobody derives from it
        """Start the loop."""
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for what was submitted, or cancel it if there is an error, and stop the loop."""
        refuse_on_loop("closing a portal")
        if error is None:
            try:
                concurrent.futures.wait(list(self._pending))
            except BaseException:
                self.close()
                raise
        self.close()

    @overload
    def run(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...

    @overload
    def run(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...

    def run(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``fn`` on the portal's loop, wait for it, and return what comes of it.

        Args:
            fn: a coroutine function, or any other; called with this thread's context variables.
            args: with what.
            kwargs: with what.

        Raises:
            RuntimeError: a loop runs in this thread, or the portal is closed.
            BaseException: what ``fn`` raises, with its traceback.

        """
        refuse_on_loop("Portal.run()")
        promise = self._send(fn, args, kwargs)
        assert self._loop is not None
        try:
            return wait_for(promise, self._loop)
        finally:
            del promise

    @overload
    def submit(
        self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> "concurrent.futures.Future[R]": ...

    @overload
    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> "concurrent.futures.Future[R]": ...

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "concurrent.futures.Future[Any]":
        """Call ``fn`` on the portal's loop, and return a future; cancelling that cancels the call.

        Raises:
            RuntimeError: the portal is closed.

        """
        return self._send(fn, args, kwargs)

    def close(self) -> None:
        """Cancel what still runs, and stop the loop; from any thread but its own. Closing twice is fine.

        Raises:
            RuntimeError: called on the portal's loop.

        """
        with self._lock:
            self._is_closed = True
            thread, loop, stop = self._thread, self._loop, self._stop
        if thread is None or loop is None or stop is None:
            return
        if thread is threading.current_thread():
            raise RuntimeError("a portal cannot be closed by its own loop")
        if not loop.is_closed():
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(stop.set)
        thread.join()

    def stats(self) -> dict[str, Any]:
        """Return whether it is ``running``, how many calls are ``in_use``, and ``calls`` in all."""
        return {
            "kind": "Portal",
            "name": self.name,
            "running": self._thread is not None and self._thread.is_alive(),
            "in_use": len(self._pending),
            "calls": self._calls,
        }

    def _send(self, fn: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]) -> Promise[Any]:
        loop = self._start()
        promise: Promise[Any] = Promise(loop)
        self._pending[promise] = None
        promise.add_done_callback(self._forget)
        context = copy_context()
        try:
            loop.call_soon_threadsafe(promise.begin, functools.partial(outcome, fn, args, keywords), context)
        except RuntimeError:
            promise.cancel()
            raise RuntimeError(f"{self!r} is closed") from None
        self._calls += 1
        return promise

    def _forget(self, promise: "concurrent.futures.Future[Any]") -> None:
        self._pending.pop(promise, None)  # type: ignore[call-overload]

    def _start(self) -> asyncio.AbstractEventLoop:
        """Return the loop, which runs."""
        if self._is_closed:
            raise RuntimeError(f"{self!r} is closed")
        if self._stop is not None and self._loop is not None:
            return self._loop
        with self._lock:
            if self._stop is None:
                started: concurrent.futures.Future[None] = concurrent.futures.Future()
                # Nobody is to wait at exit for a portal that nobody has closed.
                self._thread = threading.Thread(
                    target=self._live, args=(started,), name=self.name or "treadle-portal", daemon=True
                )
                self._thread.start()
                started.result()
        assert self._loop is not None
        return self._loop

    def _live(self, started: "concurrent.futures.Future[None]") -> None:
        """Run the loop, in its thread."""
        factory = self._loop_factory
        if factory is None:
            from treadle.loop import new_event_loop as factory  # noqa: PLC0415 - portals of other loops do without
        try:
            with asyncio.Runner(loop_factory=factory) as runner:
                self._loop = runner.get_loop()
                runner.run(self._wait(started))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)
        for promise in list(self._pending):
            promise.fail(RuntimeError(f"{self!r} is closed"))

    async def _wait(self, started: "concurrent.futures.Future[None]") -> None:
        self._stop = asyncio.Event()
        started.set_result(None)
        await self._stop.wait()


SHARED: list[Portal] = []
LOCK = threading.Lock()


def the_portal() -> Portal:
    """Return the portal that all share."""
    with LOCK:
        if not SHARED:
            SHARED.append(Portal(name="treadle-portal"))
        return SHARED[0]


def finish() -> None:
    """Close the shared portal before the interpreter ends."""
    while SHARED:
        SHARED.pop().close()


atexit.register(finish)
os.register_at_fork(after_in_child=SHARED.clear)


def async_to_sync(fn: Callable[P, Awaitable[R]]) -> Callable[P, R]:
    """Make a function that blocks of a coroutine function.

    Where it runs is decided at each call. In a thread of :func:`treadle.to_thread` or a :class:`treadle.ThreadPool`: on
    the loop that awaits that thread, as part of that call, so it is cancelled with it. In other threads: on a
    :class:`Portal` that all share. Context variables are the caller's.

    Args:
        fn: what each call awaits.

    Raises:
        RuntimeError: at the call, on a loop's own thread, which would wait for itself for ever.

    """

    @functools.wraps(fn)
    def blocking(*args: P.args, **kwargs: P.kwargs) -> R:
        refuse_on_loop(f"{getattr(fn, '__qualname__', 'a function')}() made by async_to_sync()")
        seat = here()
        job = None if seat is None else seat.job
        drain = None if job is None else job.drain
        loop = None if drain is None else drain.loop()
        if seat is None or job is None or loop is None:
            return the_portal().run(fn, *args, **kwargs)
        promise: Promise[R] = Promise(loop)

        async def inner() -> R:
            job.inner = asyncio.current_task()
            try:
                if job.is_abandoned:
                    raise asyncio.CancelledError
                return await fn(*args, **kwargs)
            finally:
                job.inner = None

        loop.call_soon_threadsafe(promise.begin, inner, copy_context())
        # Meanwhile this thread does nothing: others may need one more, if only for what `fn` awaits.
        seat.crew.lend()
        try:
            return wait_for(promise, loop)
        except concurrent.futures.CancelledError:
            raise asyncio.CancelledError from None
        finally:
            seat.crew.take_back()
            del promise

    return blocking
