"""Changes the modules that make event loops, each as soon as it has been imported.

There is a hook for asyncio, and one for each module that does not ask asyncio for its loops. What such a module calls
on asyncio's or uvloop's behalf needs none. A hook takes care of one or two attributes; one that is not there, because
the version is another or the module is somebody else's of the same name, is passed over.

The launch file runs this one without entering it into ``sys.modules``, so that programs do not see it there, and the
children that :mod:`multiprocessing` starts import it. Therefore it imports nothing but :mod:`sys`.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

VERBOSE = "verbose"
KEEP_UVLOOP = "keep-uvloop"

options: "frozenset[str]" = frozenset()
# What the doctor is to go by, as JSON, in the process of this number.
watch = ""
process = 0
# The class that was in uvloop before we came.
UVLOOP: "dict[str, Any]" = {}


def install(words: str, watched: str = "") -> None:
    """Wait for the modules that have hooks, and change those that are there already; once in a process.

    Args:
        words: options of ``treadle run``, each on a line of its own.
        watched: what the doctor is to go by, as JSON; nothing if there is to be none.

    """
    global options, watch, process
    if any(getattr(finder, "is_of_treadle", False) for finder in sys.meta_path):
        return
    options, watch, process = frozenset(words.split("\n")), watched, number_of_process()
    sys.meta_path.insert(0, Finder)
    for name in HOOKS:
        if name in sys.modules:
            Finder.change(sys.modules[name])


def number_of_process() -> int:
    """Return the number of this process."""
    import os  # noqa: PLC0415 - every interpreter has it before it comes here

    return os.getpid()


def say(text: str) -> None:
    """Tell the user on standard error, who has asked for it."""
    if VERBOSE in options and sys.stderr is not None:
        sys.stderr.write(f"treadle: {text}\n")


class Finder:
    """Finds what the other finders find, and has it changed once it has been executed."""

    is_of_treadle = True
    has_missed = False

    @classmethod
    def find_spec(
        cls, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """Return what the other finders find for a module that has a hook, and nothing for all the others."""
        if name not in HOOKS:
            return None
        for finder in sys.meta_path:
            if finder is cls or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                cls.follow(spec)
                return spec
        cls.miss(name)
        return None

    @classmethod
    def miss(cls, name: str) -> None:
        """Tell the user, once, if it is uvloop that is not there, and was to be kept."""
        if name == "uvloop" and KEEP_UVLOOP in options and not cls.has_missed and sys.stderr is not None:
            cls.has_missed = True
            sys.stderr.write(
                "treadle: the program asks for uvloop, which is to be kept and is not installed. "
                f"Install it with `{sys.executable} -m pip install uvloop`, or leave out `--keep-uvloop`\n"
            )

    @classmethod
    def follow(cls, spec: "ModuleSpec") -> None:
        """Have the module changed as soon as it has been executed; many look for a module and do not import it."""
        loader = spec.loader
        if loader is None or not hasattr(loader, "__dict__") or not hasattr(loader, "exec_module"):
            say(f"{spec.name}: skipped, its loader cannot be followed")
            return

        def exec_module(module: "ModuleType") -> None:
            vars(loader).pop("exec_module", None)
            loader.exec_module(module)
            cls.change(module)

        # A traceback leaves out what is importlib's between an import and the module, and this has to go with it.
        exec_module.__code__ = exec_module.__code__.replace(co_filename="<frozen importlib._bootstrap>")
        # The loader stays what it is, and so does the module's `__spec__`.
        vars(loader)["exec_module"] = exec_module

    @staticmethod
    def change(module: "ModuleType") -> None:
        """Call the module's hook."""
        HOOKS[module.__name__](module)


def put(module: "ModuleType", name: str, value: object) -> bool:
    """Give a module's attribute another value, and return whether the module has it."""
    if name not in vars(module):
        say(f"{module.__name__}: skipped, it has no `{name}`")
        return False
    vars(module)[name] = value
    return True


def new_event_loop() -> "AbstractEventLoop":
    """Return a new loop: treadle's, unless ``treadle bench`` has chosen another."""
    # Imported here, because they need asyncio, which is half imported when this function is handed over.
    witness = chosen("witness")
    if witness:
        # The file says that the program asks for its loops where they can be chosen.
        open(witness, "w").close()  # noqa: PTH123 - `pathlib` costs more
    if chosen("loop") == "asyncio":
        from asyncio import SelectorEventLoop  # noqa: PLC0415

        return SelectorEventLoop()
    if chosen("loop") == "uvloop":
        import uvloop  # type: ignore[import-not-found, unused-ignore]  # noqa: F401, PLC0415 - its hook remembers the class

        loop: AbstractEventLoop = UVLOOP["Loop"]()
        return loop
    import treadle.loop  # noqa: PLC0415

    return treadle.loop.new_event_loop()


def chosen(name: str) -> str:
    """Return what ``treadle bench`` says of its measurement, and nothing under ``treadle run``."""
    return next((word.partition("=")[2] for word in options if word.startswith(f"{name}=")), "")


def asyncio_loop() -> "AbstractEventLoop":
    """Return a new loop, as asyncio makes one: treadle's, unless the program has chosen."""
    import asyncio  # noqa: PLC0415 - whoever calls this has it

    return asyncio.new_event_loop()


def uvicorn_loop_factory(use_subprocess: bool = False) -> "Callable[[], AbstractEventLoop]":  # noqa: ARG001, FBT001, FBT002 - as uvicorn has it
    """Return the factory that uvicorn asks for under the names ``auto`` and ``uvloop``."""
    return new_event_loop


def places_of_factory(unix_events: "ModuleType") -> "list[tuple[Any, str]]":
    """Return the objects and attributes from which asyncio takes its default factory of loops."""
    # Python 3.14 has put an underscore before the name, and Python 3.16 has no policies.
    names = vars(unix_events)
    policy = names.get("_DefaultEventLoopPolicy") or names.get("DefaultEventLoopPolicy")
    if policy:
        return [(policy, "_loop_factory")]
    return [(sys.modules[name], "new_event_loop") for name in ("asyncio", "asyncio.events")]


def hook_asyncio(unix_events: "ModuleType") -> None:
    """Give the default policy our factory. Policies and factories that the program chooses itself are left alone."""
    for owner, name in places_of_factory(unix_events):
        setattr(owner, name, staticmethod(new_event_loop) if isinstance(owner, type) else new_event_loop)
    say("asyncio: new loops are treadle's")


def hook_doctor(_asyncio: "ModuleType") -> None:
    """Have the doctor watch from the moment at which there can be loops."""
    if not watch:
        return
    from treadle.doctor import watching  # noqa: PLC0415 - it needs all of asyncio

    # One that was forked before it came here has what its parent goes by.
    watching.start(watch if process == number_of_process() else follower(watch))
    say("asyncio: the doctor watches")


def follower(settings: str) -> str:
    """Return what a doctor goes by in a process that one which is watched has started."""
    if not settings:
        return settings
    import json  # noqa: PLC0415 - only programs that are watched need it

    said = json.loads(settings)
    record = said["record"] and {**said["record"], "file": None}
    return json.dumps({**said, "tape": None, "record": record, "parent": None, "is-follower": True})


def hook_spawn(spawn: "ModuleType") -> None:
    """Send the hooks along to processes that begin with a new interpreter."""
    original: Callable[[str], dict[str, object]] | None = vars(spawn).get("get_preparation_data")

    def get_preparation_data(name: str) -> "dict[str, object]":
        assert original is not None
        data = original(name)
        data["treadle"] = Follow()
        return data

    if put(spawn, "get_preparation_data", get_preparation_data):
        say("multiprocessing: processes that are spawned follow")


class Follow:
    """What is sent to a child: whoever unpickles it has the hooks."""

    # By text, because a child that is another interpreter, without treadle, has to start all the same.
    INSTALL = """\
try:
    from treadle.hosts.hooks import install
except ImportError:
    pass
else:
    install({!r}, {!r})
"""

    def __reduce__(self) -> "tuple[Callable[[str], None], tuple[str]]":
        """Return the call that installs the hooks."""
        return exec, (self.INSTALL.format("\n".join(sorted(options)), follower(watch)),)


def hook_uvloop(uvloop: "ModuleType") -> None:
    """Put our class in the place of uvloop's, from which its factory, its runner and its policy take their loops."""
    if KEEP_UVLOOP in options:
        say("uvloop: kept")
        return
    if chosen("loop"):
        UVLOOP["Loop"] = vars(uvloop)["Loop"]
        put(uvloop, "Loop", Chosen("Loop", (), {}))
        return
    from treadle.loop import EventLoop  # noqa: PLC0415 - uvloop has imported asyncio

    if put(uvloop, "Loop", EventLoop):
        say("uvloop: its loops are treadle's")


class Chosen(type):
    """A class whose objects are whatever loop is chosen: uvloop asks whether a loop is one of its class."""

    def __call__(cls) -> "AbstractEventLoop":
        """Return a loop of the chosen kind."""
        return new_event_loop()

    def __instancecheck__(cls, loop: object) -> bool:
        """Return whether it is any loop."""
        from asyncio import AbstractEventLoop  # noqa: PLC0415 - whoever has a loop has it

        return isinstance(loop, AbstractEventLoop)


def hook_uvicorn_table(config: "ModuleType") -> None:
    """Enter our factory into uvicorn's table of loops. Before 0.36 the table had other functions and needs nothing."""
    table = vars(config).get("LOOP_FACTORIES")
    if not isinstance(table, dict):
        say("uvicorn: skipped, it has no `LOOP_FACTORIES`")
        return
    if KEEP_UVLOOP in options:
        return
    for name in ("auto", "uvloop"):
        if name in table:
            table[name] = "treadle.hosts.hooks:uvicorn_loop_factory"
            say(f"uvicorn: the loop `{name}` is treadle's")


def hook_uvicorn_asyncio(module: "ModuleType") -> None:
    """Have uvicorn ask asyncio for a loop where it would name asyncio's class."""

    def asyncio_loop_factory(use_subprocess: bool = False) -> "Callable[[], AbstractEventLoop]":  # noqa: ARG001, FBT001, FBT002 - as uvicorn has it
        return asyncio_loop

    if put(module, "asyncio_loop_factory", asyncio_loop_factory):
        say("uvicorn: the loop `asyncio` is what asyncio makes")


def hook_granian(module: "ModuleType") -> None:
    """Have granian choose asyncio's loop, which is ours, before any other that is installed."""
    if KEEP_UVLOOP in options:
        return
    loops: Any = vars(module).get("loops")
    if not hasattr(loops, "register"):
        say("granian: skipped, it has no `loops`")
        return

    @loops.register("auto")  # type: ignore[untyped-decorator]
    def build() -> "AbstractEventLoop":
        import asyncio  # noqa: PLC0415 - granian has it

        loop = new_event_loop()
        asyncio.set_event_loop(loop)
        return loop

    say("granian: the loop `auto` is treadle's")


def hook_hooks(hooks: "ModuleType") -> None:
    """Tell the module what this copy of it knows, when a server imports it by name."""
    vars(hooks).update(options=options, watch=watch, process=process, UVLOOP=UVLOOP)


HOOKS: "dict[str, Callable[[ModuleType], None]]" = {
    "asyncio": hook_doctor,
    "asyncio.unix_events": hook_asyncio,
    "multiprocessing.spawn": hook_spawn,
    "uvloop": hook_uvloop,
    "uvicorn.config": hook_uvicorn_table,
    "uvicorn.loops.asyncio": hook_uvicorn_asyncio,
    "granian._loops": hook_granian,
    "treadle.hosts.hooks": hook_hooks,
}
