"""uvicorn's worker class for gunicorn, with our factory of loops."""

from typing import Any, ClassVar

from uvicorn.config import Config

try:
    from uvicorn_worker import UvicornWorker
except ModuleNotFoundError as error:
    if error.name != "uvicorn_worker":
        raise
    try:
        # uvicorn's own, from before it became a package of its own; it says that it is deprecated.
        from uvicorn.workers import UvicornWorker
    except ModuleNotFoundError as older:
        raise (error if older.name == "uvicorn.workers" else older) from None

if not hasattr(Config, "get_loop_factory"):
    raise ImportError(
        "`treadle.gunicorn.TreadleWorker` needs uvicorn 0.36 or newer. "
        "Update it, or start gunicorn with `treadle run gunicorn -k uvicorn.workers.UvicornWorker`"
    )


class TreadleWorker(UvicornWorker):  # type: ignore[misc]
    """Serves an ASGI application with uvicorn on treadle's loop."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {**UvicornWorker.CONFIG_KWARGS, "loop": "treadle:new_event_loop"}
