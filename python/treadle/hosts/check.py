"""``treadle run --check``: which servers and frameworks this interpreter has, and how each comes to the loop.

What has a hook is tried out; what asks asyncio or uvloop for its loops stands and falls with them. Exits with 0 if
all that is installed is caught, 1 if something is not.
"""

import asyncio
import contextlib
import importlib
import importlib.metadata
import multiprocessing.spawn
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from treadle.hosts import hooks
from treadle.loop import EventLoop


class Answer(NamedTuple):
    """What there is to say about a host."""

    name: str
    is_caught: bool
    how: str


def closed(loop: asyncio.AbstractEventLoop) -> type:
    """Close a loop, and return its class."""
    loop.close()
    return type(loop)


def with_asyncio() -> type:
    """Return what asyncio makes."""
    return closed(asyncio.new_event_loop())


def with_uvloop() -> type:
    """Return what uvloop makes."""
    uvloop: Any = importlib.import_module("uvloop")
    return closed(uvloop.new_event_loop())


def with_uvicorn() -> type:
    """Return what uvicorn chooses by itself."""
    config: Any = importlib.import_module("uvicorn.config").Config("")
    if hasattr(config, "get_loop_factory"):
        return closed((config.get_loop_factory() or asyncio.new_event_loop)())
    config.setup_event_loop()
    return with_asyncio()


def with_granian() -> type:
    """Return what granian chooses by itself."""
    loop = importlib.import_module("granian._loops").loops.get("auto")
    asyncio.set_event_loop(None)
    return closed(loop)


def with_installed_uvloop() -> type:
    """Return what those get that take uvloop if it is there."""
    try:
        return with_uvloop()
    except ImportError:
        return with_asyncio()


# Distributions, what is asked, and what stands behind a "caught".
HOSTS: dict[str, tuple[Callable[[], type], str]] = {
    "uvloop": (with_uvloop, "its loop class is replaced"),
    "uvicorn": (with_uvicorn, "by its table of loops, also in workers and under `--reload`"),
    "fastapi-cli": (with_uvicorn, "through uvicorn"),
    "uvicorn-worker": (with_uvicorn, "through uvicorn"),
    "granian": (with_granian, "by its registry of loops, also in workers"),
    "hypercorn": (with_asyncio, "through asyncio or uvloop, also in workers"),
    "gunicorn": (with_asyncio, "through asyncio, uvloop or uvicorn, by its worker class"),
    "aiohttp": (with_asyncio, "through asyncio"),
    "aiogram": (with_installed_uvloop, "through asyncio or uvloop"),
    "discord.py": (with_asyncio, "through asyncio"),
    "taskiq": (with_installed_uvloop, "through asyncio or uvloop, also in workers"),
    "distributed": (with_asyncio, "through asyncio, also in workers that a nanny starts"),
    "celery": (with_asyncio, "loops that tasks make; a worker has none"),
    "ipython": (with_asyncio, "through asyncio"),
    "ipykernel": (with_asyncio, "through asyncio, if the kernel is started with `treadle run`"),
}

# What no hook can reach.
MISSED = {
    "jupyter-client": "kernels are programs of their own; name `treadle run` in the kernel's specification",
}


def answers() -> Iterator[Answer]:
    """Ask all that is there."""
    yield ask(f"asyncio {'.'.join(map(str, sys.version_info[:3]))}", with_asyncio, "its default factory is replaced")
    follows = "treadle" in multiprocessing.spawn.get_preparation_data("check")
    how = "children get the hooks with their preparation data" if follows else "children are not told of the hooks"
    yield Answer("multiprocessing", follows, how)
    for distribution, (question, how) in HOSTS.items():
        try:
            version = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
        yield ask(f"{distribution} {version}", question, how)
    for distribution, why in MISSED.items():
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield Answer(f"{distribution} {importlib.metadata.version(distribution)}", is_caught=False, how=why)


def ask(name: str, question: Callable[[], type], how: str) -> Answer:
    """Ask about one host; one that cannot be imported is not caught."""
    try:
        kind = question()
    except Exception as error:  # noqa: BLE001 - whatever a foreign package raises is the answer
        return Answer(name, is_caught=False, how=f"it cannot be asked, {type(error).__name__}: {error}")
    if issubclass(kind, EventLoop):
        return Answer(name, is_caught=True, how=how)
    why = ", as `--keep-uvloop` wants" if hooks.KEEP_UVLOOP in hooks.options else ""
    return Answer(name, is_caught=False, how=f"it makes `{kind.__module__}.{kind.__qualname__}`{why}")


def main() -> int:
    """Print a line for each host."""
    found = list(answers())
    width = max(len(answer.name) for answer in found)
    for name, is_caught, how in found:
        print(f"{name:{width}}  {'caught' if is_caught else 'not caught'}: {how}")
    return 0 if all(answer.is_caught for answer in found) else 1


if __name__ == "__main__":
    sys.exit(main())
