"""Signals: ``add_signal_handler``, and a sleep that ends when one arrives."""

import asyncio
import inspect
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

from treadle.loop.base import Base

# asyncio's is deprecated from Python 3.14 on.
_is_coroutine_function = inspect.iscoroutinefunction if sys.version_info >= (3, 14) else asyncio.iscoroutinefunction


class Signals(Base):
    """Python's C handler writes the number of a signal into a socket that the loop polls."""

    def __init__(self) -> None:
        """Make a loop without handlers."""
        self._signal_handlers: dict[int, asyncio.Handle] = {}
        self._wakeup_sockets: tuple[socket.socket, socket.socket] | None = None
        super().__init__()

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:  # type: ignore[override]
        """Call ``callback(*args)`` from the loop when a signal arrives.

        Raises:
            TypeError: the callback is a coroutine function, or the signal no number.
            ValueError: there is no such signal, or this is not the main thread.
            RuntimeError: the signal cannot be caught, or the loop is closed.
        """
        if asyncio.iscoroutine(callback) or _is_coroutine_function(callback):
            raise TypeError("coroutines cannot be used with add_signal_handler()")
        self._check_signal(sig)
        self._check_closed()
        try:
            # Refused outside of the main thread, with ValueError.
            signal.set_wakeup_fd(self._wakeup_descriptor(), warn_on_full_buffer=False)
        except (ValueError, OSError) as error:
            raise RuntimeError(str(error)) from None
        self._signal_handlers[sig] = self._create_repeating(callback, *args)
        try:
            # A handler of Python's must be there, or the number is never written.
            signal.signal(sig, _written_elsewhere)
            signal.siginterrupt(sig, False)  # noqa: FBT003 - the function takes no names.
        except OSError as error:
            del self._signal_handlers[sig]
            self._unwatch_signals()
            if error.errno == 22:
                raise RuntimeError(f"sig {sig} cannot be caught") from error
            raise

    def remove_signal_handler(self, sig: int) -> bool:
        """Give a signal back to Python's default; return whether there was a handler.

        Raises:
            TypeError: the signal is no number.
            ValueError: there is no such signal.
            RuntimeError: the signal cannot be caught.
        """
        self._check_signal(sig)
        if self._signal_handlers.pop(sig, None) is None:
            return False
        default = signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL
        try:
            signal.signal(sig, default)
        except OSError as error:
            if error.errno == 22:
                raise RuntimeError(f"sig {sig} cannot be caught") from error
            raise
        self._unwatch_signals()
        return True

    def close(self) -> None:
        """Close the loop and give its signals back."""
        if not self.is_running() and not self.is_closed():
            if sys.is_finalizing() and self._signal_handlers:
                # The module of signals may be gone already.
                warnings.warn(f"Closing the loop {self!r} on interpreter shutdown stage", ResourceWarning, stacklevel=2)
                self._signal_handlers.clear()
            for sig in list(self._signal_handlers):
                self.remove_signal_handler(sig)
        super().close()
        self._close_wakeup()

    def _check_signal(self, sig: int) -> None:
        if not isinstance(sig, int):
            raise TypeError(f"sig must be an int, not {sig!r}")
        if sig not in signal.valid_signals():
            raise ValueError(f"invalid signal number {sig}")

    def _process_signal(self, sig: int) -> None:
        """Schedule the handler of a signal whose number was read."""
        handle = self._signal_handlers.get(sig)
        if handle is None:
            return
        if handle.cancelled():
            self.remove_signal_handler(sig)
        else:
            self._push_ready(handle)

    # What ends a sleep when a signal arrives.

    def _run_turns(self) -> None:
        restore_wakeup = self._watch_signals()
        try:
            super()._run_turns()
        finally:
            restore_wakeup()

    def _watch_signals(self) -> Callable[[], None]:
        """Have signals wake the loop while it runs; return what undoes that."""
        if threading.current_thread() is not threading.main_thread():
            return _nothing
        descriptor = self._wakeup_descriptor()
        before = signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
        if before == descriptor:
            return _nothing
        if before != -1:
            # Somebody else's, and theirs it remains.
            signal.set_wakeup_fd(before)
            return _nothing
        return self._unwatch_signals

    def _wakeup_descriptor(self) -> int:
        if self._wakeup_sockets is None:
            reader, writer = socket.socketpair()
            for side in (reader, writer):
                side.setblocking(False)  # noqa: FBT003 - the method takes no names.
            self._poll_signals(reader.fileno())
            self._wakeup_sockets = reader, writer
        writer = self._wakeup_sockets[1]
        return writer.fileno()

    def _unwatch_signals(self) -> None:
        """Stop being woken, unless handlers of ours wait for signals."""
        if self._signal_handlers or self._wakeup_sockets is None:
            return
        try:
            current = signal.set_wakeup_fd(-1)
        except ValueError:
            # Not the main thread.
            return
        if current not in (-1, self._wakeup_descriptor()):
            signal.set_wakeup_fd(current)

    def _close_wakeup(self) -> None:
        if self._wakeup_sockets is None:
            return
        self._unwatch_signals()
        for side in self._wakeup_sockets:
            side.close()
        self._wakeup_sockets = None


def _nothing() -> None:
    pass


def _written_elsewhere(sig: int, frame: object) -> None:
    """Do nothing: the number is on its way through the wake-up descriptor."""
