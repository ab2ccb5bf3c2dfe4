"""Worker classes for gunicorn: ``gunicorn -k treadle.gunicorn.TreadleWorker shop:app``.

``TreadleWorker`` is uvicorn's, for ASGI applications, and ``TreadleWebWorker`` is aiohttp's; both on treadle's loop and
otherwise as they are. Each is imported when it is asked for, with the package that it comes from.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from treadle.hosts.aiohttp_worker import TreadleWebWorker
    from treadle.hosts.uvicorn_worker import TreadleWorker

__all__ = ["TreadleWebWorker", "TreadleWorker"]

_MODULES = {
    "TreadleWebWorker": ("treadle.hosts.aiohttp_worker", "aiohttp"),
    "TreadleWorker": ("treadle.hosts.uvicorn_worker", "uvicorn-worker"),
}

# Type checkers read the imports above.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib  # noqa: PLC0415 - once for each name, and never before

        module, package = _MODULES[name]
        try:
            value = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"`treadle.gunicorn.{name}` needs the module `{error.name}`. "
                f"Install it with `pip install gunicorn {package}`",
                name=error.name,
            ) from error
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
