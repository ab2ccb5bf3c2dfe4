from collections.abc import Sequence
from types import ModuleType
from typing import Final

__version__: Final[str]

def main(arguments: Sequence[str]) -> int: ...
def add_loop(module: ModuleType) -> None: ...
def watch(
    examples: Sequence[object],
    waits: tuple[object, ...],
    python: str,
    inner: Sequence[str],
    *,
    output: str,
    out: int,
    blocked: float,
) -> None: ...
def tell(
    what: str,
    subject: str,
    place: tuple[str, int, str, str | None] | None,
    details: Sequence[str],
    *,
    address: int,
    size: int,
) -> None: ...
def found() -> list[str]: ...
def snapshot() -> str | None: ...
def finish() -> int: ...
