"""The service for uvicorn."""

from collections.abc import Awaitable, Callable
from typing import Any

from load_service import Service

SERVICES: list[Service] = []


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer one request, or begin and end."""
    if scope["type"] == "lifespan":
        await receive()
        SERVICES.append(Service())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await SERVICES.pop().close()
        await send({"type": "lifespan.shutdown.complete"})
        return
    status, pieces = await SERVICES[0].answer(scope["path"])
    length = str(sum(map(len, pieces))).encode()
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", length)]})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})
