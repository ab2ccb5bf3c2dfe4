"""Running, closing and reporting: the Python half that every other part of the loop stands on.

What runs for each callback and each packet is native. What runs for each connection and each loop is Python, and as
much of it as possible is the standard library's own ``asyncio.BaseEventLoop``, of the Python that runs, so that it
behaves as that version does.
"""

import asyncio
import functools
import os
import signal
import sys
import threading
import warnings
from asyncio import base_events, events, format_helpers
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from traceback import StackSummary
from typing import Any

from treadle.loop import native

# asyncio's private parts, which its types do not show.
_loop_module: Any = base_events


def _forked() -> None:
    native.forked()
    # As asyncio does from 3.12 on: or signals sent to the child would reach the parent's handlers.
    signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_forked)


# Is called, once, before this process has its first loop.
before_first: list[Callable[[], None]] = []


def _call_first() -> None:
    try:
        call = before_first.pop()
    except IndexError:
        # Another thread makes a loop, too.
        return
    call()


class Base(native.Loop, asyncio.BaseEventLoop):  # The native half takes precedence.
    """A loop without sockets."""

    def __init__(self) -> None:
        """Make a loop: an epoll descriptor and an eventfd.

        Raises:
            OSError: the system has no more descriptors.
        """
        if before_first:
            _call_first()
        super().__init__()
        self._attach()
        self._look_at_clock()

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute. Tests put clocks of their own in the place of ``time``, and timers go by them."""
        super().__setattr__(name, value)
        if name == "time":
            self._look_at_clock()

    def __delattr__(self, name: str) -> None:
        """Delete an attribute."""
        super().__delattr__(name)
        if name == "time":
            self._look_at_clock()

    def run_forever(self) -> None:
        """Run until ``stop()`` is called.

        Raises:
            RuntimeError: the loop is closed or runs already, or another one runs in this thread.
        """
        self._check_closed()
        self._check_running()
        self._look_at_clock()
        self._set_coroutine_origin_tracking(self._debug)
        hooks = sys.get_asyncgen_hooks()
        self._thread_id = threading.get_ident()
        try:
            sys.set_asyncgen_hooks(firstiter=self._asyncgen_firstiter_hook, finalizer=self._asyncgen_finalizer_hook)
            events._set_running_loop(self)
            self._run_turns()
        finally:
            self._stopping = False
            self._thread_id = None
            events._set_running_loop(None)
            self._set_coroutine_origin_tracking(enabled=False)
            sys.set_asyncgen_hooks(*hooks)

    def close(self) -> None:
        """Close the loop: callbacks that wait are dropped, the default executor is told to end.

        Raises:
            RuntimeError: the loop is running.
        """
        if self.is_closed():
            return
        super().close()
        self._release()

    def run_in_executor(  # type: ignore[override]  # Its types are asyncio's, too long to repeat.
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        """Run ``func(*args)`` in an executor; see ``asyncio.loop.run_in_executor``.

        Args:
            executor: a ``concurrent.futures.Executor``, or None for the default one, which is made when first needed.
            func: what to call, in another thread as a rule.
            args: what to call it with.

        Returns:
            A future of what ``func`` returns or raises.

        Raises:
            RuntimeError: the loop is closed, or the default executor is shut down.
        """
        if self._is_recorded() and not self._debug:
            func = self._noted(executor, func)
        return super().run_in_executor(executor, func, *args)

    def _noted(self, executor: Any, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same and is seen to begin and to end. Only threads can take it."""
        default: ThreadPoolExecutor | None = vars(self).get("_default_executor")
        pool = executor if executor is not None else default
        if not isinstance(pool, ThreadPoolExecutor | None):
            return func
        named = func
        # `asyncio.to_thread` hands over a method of a context.
        if isinstance(func, functools.partial) and func.args and callable(func.args[0]):
            named = func.args[0]
        # The default executor is made with its first job.
        number = id(pool) >> 4 & 0xFFFFFFFF if executor is not None else 0
        workers: Callable[..., Any] = self._note_job(func, named, number, getattr(pool, "_max_workers", 0))
        return workers

    def _look_at_clock(self) -> None:
        """Notice whether ``time`` is still the native one."""
        self._has_own_clock = "time" in vars(self) or type(self).time is not native.Loop.time

    # What native code calls.

    def _call_failed(self, handle: Any, exception: BaseException) -> None:
        """Report the exception of a callback."""
        what = format_helpers._format_callback_source(handle._callback, handle._args)
        context = {"message": f"Exception in callback {what}", "exception": exception, "handle": handle}
        if handle._source_traceback:
            context["source_traceback"] = handle._source_traceback
        self.call_exception_handler(context)

    def _check_call(self, callback: object, method: str) -> None:
        """Check what the debug mode checks before a callback is scheduled."""
        if method != "call_soon_threadsafe":
            self._check_thread()
        self._check_callback(callback, method)

    def _creation_stack(self) -> StackSummary:
        """Return the stack of whoever schedules a callback."""
        return format_helpers.extract_stack(sys._getframe(1))

    # Makes tasks where native code does not: with a factory, in debug mode, on a closed loop. Not through a function of
    # our own, because what made a task is looked for that many frames up.
    _create_task = asyncio.BaseEventLoop.create_task

    def _run_in_debug_mode(self, handle: asyncio.Handle) -> None:
        """Run a callback and complain if it takes long."""
        self._current_handle: asyncio.Handle | None = handle
        try:
            started = self.time()
            handle._run()
            took = self.time() - started
        finally:
            self._current_handle = None
        if took >= self.slow_callback_duration:
            shown = _loop_module._format_handle(handle)
            _loop_module.logger.warning("Executing %s took %.3f seconds", shown, took)
        # A traceback of what ran may keep this frame, and with it the handle and all it holds.
        del handle

    def _transport_ran(self, transport: object, protocol: Any, started: float) -> None:
        """Complain if a transport took long, which is called without a handle; its protocol is the one to look at."""
        took = self.time() - started
        if took < self.slow_callback_duration:
            return
        while (above := getattr(protocol, "_app_protocol", None)) is not None:
            protocol = above
        _loop_module.logger.warning("Executing %r of %r took %.3f seconds", protocol, transport, took)

    def _transport_failed(self, transport: object, protocol: object, exception: BaseException, message: str) -> None:
        """Report an error that ends a connection; those of the network are ordinary."""
        if isinstance(exception, OSError):
            if self._debug:
                _loop_module.logger.debug("%r: %s", transport, message, exc_info=exception)
            return
        self.call_exception_handler(
            {"message": message, "exception": exception, "transport": transport, "protocol": protocol}
        )

    def _write_after_loss(self, warning: str) -> None:
        _loop_module.logger.warning(warning)

    def _unclosed_transport(self, transport: object, file: Any) -> None:
        """Warn of a transport that nobody closed, and close its socket or file."""
        warnings.warn(f"unclosed transport {transport!r}", ResourceWarning, source=transport, stacklevel=2)
        file.close()
