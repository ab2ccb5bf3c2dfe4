"""Running an awaitable inside the task that awaits it, but in a context of its own, as a task of its own would."""

import types
from collections.abc import Awaitable, Generator
from contextvars import Context
from typing import Any, TypeVar

__all__ = ["drive"]

R = TypeVar("R")


@types.coroutine
def drive(awaitable: Awaitable[R], context: Context) -> Generator[Any, Any, R]:
    """Await it in the context, which costs a fifth of what a task does.

    Futures that it waits for go up to the task, and cancellation comes down to it.
    """
    steps: Any = awaitable if type(awaitable) is types.CoroutineType else iterator_of(awaitable)
    run = context.run
    try:
        awaited = run(steps.send, None) if hasattr(steps, "send") else run(next, steps)
        while True:
            try:
                answer = yield awaited
            except GeneratorExit:
                if hasattr(steps, "close"):
                    run(steps.close)
                raise
            except BaseException as error:
                if not hasattr(steps, "throw"):
                    raise
                awaited = run(steps.throw, error)
            else:
                awaited = run(steps.send, answer) if hasattr(steps, "send") else run(next, steps)
    except StopIteration as end:
        result: R = end.value
        return result


def iterator_of(awaitable: Any) -> Any:
    """Return what drives an awaitable of any kind.

    Raises:
        TypeError: it is none.

    """
    if hasattr(awaitable, "__await__"):
        return awaitable.__await__()
    # What `types.coroutine` makes is a generator with a mark.
    if isinstance(awaitable, types.GeneratorType) and awaitable.gi_code.co_flags & 0x100:
        return awaitable
    raise TypeError(f"the function has returned {type(awaitable).__name__!r}, which cannot be awaited")
