"""asyncio programs that do not freeze, leak or lose errors.

The static analyser is the command ``treadle check``. The event loop is :func:`run` in place of :func:`asyncio.run`,
:func:`new_event_loop` wherever a factory of loops is asked for, and the command ``treadle run`` for programs that stay
as they are. The patterns, from :func:`amap` to :class:`Supervisor`, work on any asyncio loop.

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
    from treadle.patterns.batches import Batcher as Batcher
    from treadle.patterns.batches import batched as batched
    from treadle.patterns.breakers import Breaker as Breaker
    from treadle.patterns.breakers import BreakerOpen as BreakerOpen
    from treadle.patterns.deadlines import finalize as finalize
    from treadle.patterns.deadlines import move_on_after as move_on_after
    from treadle.patterns.deadlines import remaining as remaining
    from treadle.patterns.deadlines import timeout as timeout
    from treadle.patterns.fan_out import Results as Results
    from treadle.patterns.fan_out import amap as amap
    from treadle.patterns.fan_out import gather as gather
    from treadle.patterns.limits import Keyed as Keyed
    from treadle.patterns.limits import Limiter as Limiter
    from treadle.patterns.limits import Semaphore as Semaphore
    from treadle.patterns.limits import SlidingWindow as SlidingWindow
    from treadle.patterns.limits import TokenBucket as TokenBucket
    from treadle.patterns.locks import lock_all as lock_all
    from treadle.patterns.offload import sync_to_async as sync_to_async
    from treadle.patterns.offload import to_executor as to_executor
    from treadle.patterns.offload import to_interpreter as to_interpreter
    from treadle.patterns.offload import to_process as to_process
    from treadle.patterns.offload import to_thread as to_thread
    from treadle.patterns.policies import Overloaded as Overloaded
    from treadle.patterns.policies import Policy as Policy
    from treadle.patterns.pools import Pool as Pool
    from treadle.patterns.portal import Portal as Portal
    from treadle.patterns.portal import async_to_sync as async_to_sync
    from treadle.patterns.process_pool import ProcessPool as ProcessPool
    from treadle.patterns.process_pool import WorkerDied as WorkerDied
    from treadle.patterns.queues import PriorityQueue as PriorityQueue
    from treadle.patterns.queues import QueueShutDown as QueueShutDown
    from treadle.patterns.retries import Backoff as Backoff
    from treadle.patterns.retries import Retry as Retry
    from treadle.patterns.retries import RetryBudget as RetryBudget
    from treadle.patterns.supervision import Report as Report
    from treadle.patterns.supervision import Supervisor as Supervisor
    from treadle.patterns.thread_pool import ThreadPool as ThreadPool
    from treadle.patterns.workers import WorkerPool as WorkerPool

# `EventLoopPolicy` is for whoever asks for it by name: newer versions of Python warn of policies.
__all__ = [
    "Backoff",
    "Batcher",
    "Breaker",
    "BreakerOpen",
    "EventLoop",
    "Keyed",
    "Limiter",
    "Overloaded",
    "Policy",
    "Pool",
    "Portal",
    "PriorityQueue",
    "ProcessPool",
    "QueueShutDown",
    "Report",
    "Results",
    "Retry",
    "RetryBudget",
    "Semaphore",
    "SlidingWindow",
    "Supervisor",
    "ThreadPool",
    "TokenBucket",
    "WorkerDied",
    "WorkerPool",
    "__version__",
    "amap",
    "async_to_sync",
    "batched",
    "files",
    "finalize",
    "gather",
    "install",
    "lock_all",
    "move_on_after",
    "new_event_loop",
    "remaining",
    "run",
    "sync_to_async",
    "timeout",
    "to_executor",
    "to_interpreter",
    "to_process",
    "to_thread",
    "watch",
]

_MODULES = {
    "Backoff": "treadle.patterns.retries",
    "Batcher": "treadle.patterns.batches",
    "Breaker": "treadle.patterns.breakers",
    "BreakerOpen": "treadle.patterns.breakers",
    "EventLoop": "treadle.loop",
    "EventLoopPolicy": "treadle.loop.policy",
    "Keyed": "treadle.patterns.limits",
    "Limiter": "treadle.patterns.limits",
    "Overloaded": "treadle.patterns.policies",
    "Policy": "treadle.patterns.policies",
    "Pool": "treadle.patterns.pools",
    "Portal": "treadle.patterns.portal",
    "PriorityQueue": "treadle.patterns.queues",
    "ProcessPool": "treadle.patterns.process_pool",
    "QueueShutDown": "treadle.patterns.queues",
    "Report": "treadle.patterns.supervision",
    "Results": "treadle.patterns.fan_out",
    "Retry": "treadle.patterns.retries",
    "RetryBudget": "treadle.patterns.retries",
    "Semaphore": "treadle.patterns.limits",
    "SlidingWindow": "treadle.patterns.limits",
    "Supervisor": "treadle.patterns.supervision",
    "ThreadPool": "treadle.patterns.thread_pool",
    "TokenBucket": "treadle.patterns.limits",
    "WorkerDied": "treadle.patterns.process_pool",
    "WorkerPool": "treadle.patterns.workers",
    "__version__": "treadle._native",
    "amap": "treadle.patterns.fan_out",
    "async_to_sync": "treadle.patterns.portal",
    "batched": "treadle.patterns.batches",
    "files": "treadle",
    "finalize": "treadle.patterns.deadlines",
    "gather": "treadle.patterns.fan_out",
    "install": "treadle.loop.entry",
    "lock_all": "treadle.patterns.locks",
    "move_on_after": "treadle.patterns.deadlines",
    "new_event_loop": "treadle.loop",
    "remaining": "treadle.patterns.deadlines",
    "run": "treadle.loop.entry",
    "sync_to_async": "treadle.patterns.offload",
    "timeout": "treadle.patterns.deadlines",
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
