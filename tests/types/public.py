"""What pyright says of the package: of the uses in `tests/python/typed_patterns.py`, and of each public name's type.

    python tests/types/public.py

It runs the pyright that stands beside the interpreter. A type that type checkers would have to guess is as bad
as one that they cannot know.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PYRIGHT = Path(sys.executable).with_name("pyright")
# The sources as they are here, whatever is installed.
SOURCES = dict(os.environ, PYTHONPATH=str(ROOT / "python"))


def pyright(*arguments: str) -> Any:
    """Return what pyright answers."""
    done = subprocess.run(
        [PYRIGHT, "--pythonpath", sys.executable, "--outputjson", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        env=SOURCES,
    )
    if not done.stdout.startswith("{"):
        sys.exit(f"pyright does not work: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def faults_of_uses() -> list[str]:
    """Return what is wrong with the uses."""
    return [
        f"{found['file']}:{found['range']['start']['line'] + 1}: {found['message']}"
        for found in pyright("--project", ".")["generalDiagnostics"]
    ]


def faults_of_names() -> list[str]:
    """Return the public names whose types are not known, or guessed."""
    answer = pyright("--verifytypes", "treadle", "--ignoreexternal")["typeCompleteness"]
    symbols = {symbol["name"]: symbol for symbol in answer["symbols"] if symbol["isExported"]}
    listed = subprocess.run(
        [sys.executable, "-c", "import treadle; print(*treadle.__all__)"],
        check=True,
        capture_output=True,
        text=True,
        env=SOURCES,
    )
    names = [f"treadle.{name}" for name in listed.stdout.split()]
    if not set(names) & set(symbols):
        sys.exit(f"pyright has not seen the package: {answer}")
    # A module is no symbol.
    return [
        f"{name}: its type is not known for sure"
        for name in names
        if name in symbols and not (symbols[name]["isTypeKnown"] and not symbols[name]["isTypeAmbiguous"])
    ]


def main() -> None:
    """Look at all, and end with 1 if there is a fault."""
    faults = faults_of_uses() + faults_of_names()
    print(*faults, sep="\n", end="\n" if faults else "")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
