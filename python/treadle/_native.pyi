"""The extension module."""

from types import ModuleType

__version__: str

def main(arguments: list[str]) -> int: ...
def add_loop(module: ModuleType) -> None: ...
