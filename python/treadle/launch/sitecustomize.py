"""What ``treadle run`` puts before a program: the interpreter imports this file before it looks at the program.

``treadle run`` starts the interpreter with the program's command line and with this directory first on ``PYTHONPATH``.
It is the interpreter itself that runs the program, and all the program can see is as it would be without us. Therefore
nothing of us stays: not in the environment, not on ``sys.path``, not among the modules. What stays is one finder, which
waits for :mod:`asyncio` and for the few modules that make loops without it: see ``treadle/hosts/hooks.py``.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# `pathlib` costs more than all the rest here.
HERE = os.path.dirname(__file__)  # noqa: PTH120
HOOKS = os.path.join(os.path.dirname(HERE), "hosts", "hooks.py")  # noqa: PTH118, PTH120


def withdraw() -> "tuple[str, str] | None":
    """Take this directory and our variables out of the environment, and this module out of the modules.

    Return the options of ``treadle run`` and what its doctor goes by, or nothing if the directory was not in the
    environment: it no longer is when a subinterpreter comes here, and those stay on the loop of asyncio, because they
    cannot load ours.
    """
    sys.path.remove(HERE)
    sys.path_importer_cache.pop(HERE, None)
    del sys.modules[__name__]
    first, separator, inherited = os.environ.get("PYTHONPATH", "").partition(os.pathsep)
    if first != HERE:
        return None
    if separator:
        os.environ["PYTHONPATH"] = inherited
    else:
        del os.environ["PYTHONPATH"]
    return os.environ.pop("TREADLE_RUN", ""), os.environ.pop("TREADLE_WATCH", "")


def refuse() -> None:
    """End the process, in two sentences, if this interpreter cannot have the loop."""
    if sys.implementation.name != "cpython":
        problem = f"treadle's event loop is for CPython, and this is {sys.implementation.name}"
    elif sys.version_info < (3, 11):  # noqa: UP036 - somebody may name an older one
        problem = "treadle's event loop needs Python 3.11 or newer, and this is {}.{}".format(*sys.version_info)
    elif "t" in sys.abiflags:
        problem = "treadle's event loop does not support free-threaded builds of Python yet"
    else:
        return
    sys.stderr.write(
        f"treadle: {problem}. Name another interpreter with `--python`, or run the program with `python`\n"
    )
    sys.stderr.flush()
    # An exit from here would look like a broken installation.
    os._exit(2)


options = withdraw()
if options is not None:
    refuse()
    hooks = type(sys)("treadle.hosts.hooks")
    # Its compiled form is cached if this file's loader reads it.
    loader: "Any" = type(__spec__.loader)
    exec(loader(hooks.__name__, HOOKS).get_code(hooks.__name__), vars(hooks))  # noqa: S102
    hooks.install(*options)

# The one that would have been found without us, if there is one; whatever this raises goes where it would have gone.
import sitecustomize  # type: ignore[import-not-found]  # noqa: E402, F401
