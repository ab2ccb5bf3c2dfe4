"""``python -m treadle``: the command line, the same as the ``treadle`` program."""

import signal
import sys

from treadle import _native


def main() -> int:
    """Run the command line and return its exit code: 0 clean, 1 findings, 2 could not work."""
    # The work happens outside the interpreter, which could not answer Ctrl-C before it is done.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _native.main(["treadle", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
