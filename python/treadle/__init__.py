"""asyncio programs that do not freeze, leak or lose errors.

The static analyser is the command ``treadle check``. The event loop is :func:`run` in place of :func:`asyncio.run`,
:func:`new_event_loop` wherever a factory of loops is asked for, and the command ``treadle run`` for programs that stay
as they are.

What stands here is imported when it is first used: importing the package costs next to nothing, not even
:mod:`asyncio`. pytest, which rewrites the modules of its plugins, leaves this one (PYTEST_DONT_REWRITE) and so does not
mind if it has been imported before.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from treadle._native import __version__ as __version__
    from treadle.doctor.watching import watch as watch
    from treadle.loop import EventLoop as EventLoop
    from treadle.loop import new_event_loop as new_event_loop
    from treadle.loop.entry import install as install
    from treadle.loop.entry import run as run
    from treadle.loop.policy import EventLoopPolicy as EventLoopPolicy

# `EventLoopPolicy` is for whoever asks for it by name: newer versions of Python warn of policies.
__all__ = ["EventLoop", "__version__", "install", "new_event_loop", "run", "watch"]

_MODULES = {
    "EventLoop": "treadle.loop",
    "EventLoopPolicy": "treadle.loop.policy",
    "__version__": "treadle._native",
    "install": "treadle.loop.entry",
    "new_event_loop": "treadle.loop",
    "run": "treadle.loop.entry",
    "watch": "treadle.doctor.watching",
}

# Type checkers read the imports above, and see through misspelt names.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib  # noqa: PLC0415 - once for each name, and never before

        value = getattr(importlib.import_module(_MODULES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
