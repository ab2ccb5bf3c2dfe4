"""asyncio programs that do not freeze, leak or lose errors.

This release holds the static analyser: run ``treadle check`` or ``python -m treadle check``.
"""

from treadle._native import __version__

__all__ = ["__version__"]
