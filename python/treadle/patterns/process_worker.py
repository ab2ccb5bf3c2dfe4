"""What runs in a process of a pool. It imports little, so that it is there soon."""

import os
import signal
import socket
import traceback
from collections.abc import Callable
from typing import Any

from treadle.patterns.wire import Letter, Line, dump

__all__ = ["BROKEN", "CALL", "ERROR", "RESULT", "main"]

CALL, RESULT, ERROR, BROKEN = range(4)


def main(peer: socket.socket, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> None:
    """Answer calls until the pool hangs up or is gone."""
    # Ctrl-C reaches all processes of a terminal; what becomes of this one, the pool's program decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(peer.fileno(), False)  # noqa: FBT003
    line = Line(peer)
    try:
        if initializer is not None and not initialize(line, initializer, initargs):
            return
        while True:
            answer(line)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    finally:
        line.close()


def initialize(line: Line, initializer: Callable[..., object], initargs: tuple[Any, ...]) -> bool:
    """Run the initializer; if it fails, tell the first caller."""
    try:
        initializer(*initargs)
    except BaseException as error:  # noqa: BLE001 - told to who needs the process
        line.receive()
        line.send(BROKEN, dump_error(error))
        return False
    return True


def answer(line: Line) -> None:
    """Answer one call."""
    parcel = line.receive()
    if line.has_much:
        line.reclaim()
    try:
        fn, args, keywords = parcel.open()
        result = fn(*args, **keywords)
        kind, letter = RESULT, dump(result)
    except BaseException as error:  # noqa: BLE001 - the caller's
        kind, letter = ERROR, dump_error(error)
    # What lies in the caller's memory is let go before it is told.
    fn = args = keywords = result = parcel = None  # type: ignore[assignment]
    line.send(kind, letter)


def dump_error(error: BaseException) -> Letter:
    """Pickle an exception with its traceback in words, or what can be said of it."""
    words = "".join(traceback.format_exception(error))
    try:
        letter = dump((error, words))
        # Some can be pickled and not be made again.
        import pickle  # noqa: PLC0415 - it has been imported

        pickle.loads(b"".join(letter[0]), buffers=letter[1])  # noqa: S301 - made here
    except Exception:  # noqa: BLE001 - whatever its own methods raise
        name = type(error).__qualname__
        return dump((RuntimeError(f"the call raised {name}, which cannot be pickled: {error}"), words))
    return letter
