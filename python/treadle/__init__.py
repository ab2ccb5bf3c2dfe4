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
    from treadle import files as files
    from treadle._native import __version__ as __version__
    from treadle.doctor.watching import watch as watch
    from treadle.loop import EventLoop as EventLoop
    from treadle.loop import new_event_loop as new_event_loop
    from treadle.loop.entry import install as install
    from treadle.loop.entry import run as run
    from treadle.loop.policy import EventLoopPolicy as EventLoopPolicy
    from treadle.patterns.offload import sync_to_async as sync_to_async
    from treadle.patterns.offload import to_executor as to_executor
    from treadle.patterns.offload import to_interpreter as to_interpreter
    from treadle.patterns.offload import to_process as to_process
    from treadle.patterns.offload import to_thread as to_thread
    from treadle.patterns.portal import Portal as Portal
    from treadle.patterns.portal import async_to_sync as async_to_sync
    from treadle.patterns.process_pool import ProcessPool as ProcessPool
    from treadle.patterns.process_pool import WorkerDied as WorkerDied
    from treadle.patterns.thread_pool import ThreadPool as ThreadPool

# `EventLoopPolicy` is for whoever asks for it by name: newer versions of Python warn of policies.
__all__ = [
    "EventLoop",
    "Portal",
    "ProcessPool",
    "ThreadPool",
    "WorkerDied",
    "__version__",
    "async_to_sync",
    "files",
    "install",
    "new_event_loop",
    "run",
    "sync_to_async",
    "to_executor",
    "to_interpreter",
    "to_process",
    "to_thread",
    "watch",
]

_MODULES = {
    "EventLoop": "treadle.loop",
    "EventLoopPolicy": "treadle.loop.policy",
    "Portal": "treadle.patterns.portal",
    "ProcessPool": "treadle.patterns.process_pool",
    "ThreadPool": "treadle.patterns.thread_pool",
    "WorkerDied": "treadle.patterns.process_pool",
    "__version__": "treadle._native",
    "async_to_sync": "treadle.patterns.portal",
    "files": "treadle",
    "install": "treadle.loop.entry",
    "new_event_loop": "treadle.loop",
    "run": "treadle.loop.entry",
    "sync_to_async": "treadle.patterns.offload",
    "to_executor": "treadle.patterns.offload",
    "to_interpreter": "treadle.patterns.offload",
    "to_process": "treadle.patterns.offload",
    "to_thread": "treadle.patterns.offload",
    "watch": "treadle.doctor.watching",
}

# Type checkers read the imports above, and see through misspelt names.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib  # noqa: PLC0415 - once for each name, and never before

        # Of the package itself, a name is that of a module.
        module = _MODULES[name]
        if module == __name__:
            return importlib.import_module(f"{module}.{name}")
        value = getattr(importlib.import_module(module), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
