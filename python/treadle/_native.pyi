from collections.abc import Sequence
from typing import Final

__version__: Final[str]

def main(arguments: Sequence[str]) -> int: ...
