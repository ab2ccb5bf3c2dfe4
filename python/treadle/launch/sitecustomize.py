"""What ``treadle run`` puts before a program: the interpreter imports this file before it looks at the program.

``treadle run`` starts the interpreter with the program's command line and with this directory first on ``PYTHONPATH``.
It is the interpreter itself that runs the program, and all the program can see is as it would be without us. Therefore
nothing of us stays: not on ``PYTHONPATH``, not on ``sys.path``, not among the modules. What stays is one finder, which
waits for :mod:`asyncio` and gives its default policy another factory of loops. A program that never imports it pays
nothing.

``treadle bench`` starts programs in the same way, and says in the environment which loop it is to be: ``NAME:WITNESS``,
where the witness is a file to be made with the first loop, so that it knows of programs that make theirs otherwise.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

HERE = os.path.dirname(__file__)  # noqa: PTH120 - `pathlib` costs more than all the rest here
LOOP, _, WITNESS = os.environ.pop("TREADLE_BENCH", "treadle").partition(":")


def withdraw() -> bool:
    """Take this directory out of the environment and the search path, and this module out of the modules.

    Return whether it was in the environment: it no longer is when a subinterpreter comes here, and those stay on the
    loop of asyncio, because they cannot load ours.
    """
    sys.path.remove(HERE)
    sys.path_importer_cache.pop(HERE, None)
    del sys.modules[__name__]
    first, separator, inherited = os.environ.get("PYTHONPATH", "").partition(os.pathsep)
    if first != HERE:
        return False
    if separator:
        os.environ["PYTHONPATH"] = inherited
    else:
        del os.environ["PYTHONPATH"]
    return True


def new_event_loop() -> "AbstractEventLoop":
    """Return a new loop of the kind that was asked for: treadle's."""
    # Imported here, because they need asyncio, which is half imported when this function is handed over.
    if WITNESS:
        os.close(os.open(WITNESS, os.O_CREAT | os.O_WRONLY))
    if LOOP == "asyncio":
        from asyncio import SelectorEventLoop  # noqa: PLC0415

        return SelectorEventLoop()
    if LOOP == "uvloop":
        import uvloop  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415

        loop: AbstractEventLoop = uvloop.new_event_loop()
        return loop
    import treadle.loop  # noqa: PLC0415

    return treadle.loop.new_event_loop()


class UnixEvents:
    """Finds ``asyncio.unix_events``, which has the default policy, as the other finders do, and changes the policy."""

    @classmethod
    def find_spec(
        cls, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """Return what the other finders find, once, and nothing for every other module."""
        if name != "asyncio.unix_events":
            return None
        if cls in sys.meta_path:
            sys.meta_path.remove(cls)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target) if hasattr(finder, "find_spec") else None
            if spec is not None:
                cls.follow(spec)
                return spec
        return None

    @staticmethod
    def follow(spec: "ModuleSpec") -> None:
        """Have the module changed as soon as it has been executed."""
        loader = spec.loader
        assert loader is not None

        def exec_module(module: "ModuleType") -> None:
            del vars(loader)["exec_module"]
            loader.exec_module(module)
            replace(module)

        # The loader stays what it is, and so does the module's `__spec__`.
        vars(loader)["exec_module"] = exec_module


def replace(unix_events: "ModuleType") -> None:
    """Give the default policy our factory. Policies and factories that the program chooses itself are left alone."""
    # Python 3.14 has put an underscore before the name, and Python 3.16 has no policies.
    names = vars(unix_events)
    policy = names.get("_DefaultEventLoopPolicy") or names.get("DefaultEventLoopPolicy")
    if policy:
        policy._loop_factory = staticmethod(new_event_loop)
    else:
        for name in ("asyncio", "asyncio.events"):
            vars(sys.modules[name])["new_event_loop"] = new_event_loop


if withdraw():
    if "asyncio.unix_events" in sys.modules:
        # A `.pth` file has been faster.
        replace(sys.modules["asyncio.unix_events"])
    else:
        sys.meta_path.insert(0, UnixEvents)

# The one that would have been found without us, if there is one; whatever this raises goes where it would have gone.
import sitecustomize  # type: ignore[import-not-found]  # noqa: E402, F401
