from collections.abc import Sequence
from types import ModuleType
from typing import Final

__version__: Final[str]

def main(arguments: Sequence[str]) -> int: ...
def add_loop(module: ModuleType) -> None: ...
