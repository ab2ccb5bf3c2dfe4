"""The service for aiohttp: ``load_aiohttp.py PORT [CERTIFICATE KEY]``, and ``load_aiohttp:made`` under gunicorn."""

import asyncio
import contextlib
import os
import ssl
import sys
from collections.abc import AsyncIterator

from aiohttp import web
from load_service import Service

FAREWELL = 0.5


async def made() -> web.Application:
    """Return the application."""
    service = Service()

    async def answer(request: web.Request) -> web.StreamResponse:
        status, pieces = await service.answer(request.path)
        response = web.StreamResponse(status=status)
        response.content_length = sum(map(len, pieces))
        # Peers go away in the middle of a reply; there is nobody left to tell.
        with contextlib.suppress(ConnectionError):
            await response.prepare(request)
            for piece in pieces:
                await response.write(piece)
            await response.write_eof()
        return response

    async def closing(_: web.Application) -> AsyncIterator[None]:
        yield
        await service.close()
        # aiohttp closes the loop right after this, whether or not peers have said that they close TLS as well.
        await asyncio.sleep(FAREWELL)

    application = web.Application()
    application.router.add_get("/{tail:.*}", answer)
    application.cleanup_ctx.append(closing)
    return application


if __name__ == "__main__":
    context = None
    if len(sys.argv) > 2:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*sys.argv[2:])
    web.run_app(
        made(),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        ssl_context=context,
        print=None,
        access_log=None,
        keepalive_timeout=float(os.environ["LOAD_KEPT"]),
        shutdown_timeout=5,
        backlog=4096,
    )
