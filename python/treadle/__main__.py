"""``python -m treadle``: the command line, the same as the ``treadle`` program."""

import signal
import sys

from treadle import _native


def main() -> int:
    """Run the command line and return its exit code: 0 clean, 1 findings, 2 could not work.

    ``run`` does not return: the process becomes the program, run by this interpreter with the options that it was
    started with.
    """
    arguments = sys.argv[1:]
    if arguments[:1] == ["run"]:
        options = [f"--python-option={option}" for option in interpreter_options()]
        return _native.main(["treadle", "run", f"--python={sys.executable}", *options, *arguments[1:]])
    # The work happens outside the interpreter, which could not answer Ctrl-C before it is done.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _native.main(["treadle", *arguments])


def interpreter_options() -> list[str]:
    """Return what stood between the interpreter and ``-m treadle``; nothing if the command line was another one."""
    options, arguments = sys.orig_argv[1 : -len(sys.argv) + 1], sys.orig_argv[-len(sys.argv) + 1 :]
    # It ends in `-m treadle`, in `-mtreadle`, or with other letters before the `m`.
    letters, name = options.pop() if options else "", "treadle"
    if letters == name and options:
        letters, name = options.pop(), ""
    ending = "m" + name
    if arguments != sys.argv[1:] or not letters.endswith(ending):
        return []
    return [*options, letters.removesuffix(ending)] if letters != "-" + ending else options


if __name__ == "__main__":
    sys.exit(main())
