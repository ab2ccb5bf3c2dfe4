"""Mails to customers."""

import asyncio
import smtplib
from concurrent.futures import ThreadPoolExecutor


def send(address: str, text: str) -> None:
    with smtplib.SMTP("mail.example.com") as server:
        server.sendmail("shop@example.com", address, text)


async def notify(address: str, text: str) -> None:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor() as pool:
        await loop.run_in_executor(pool, send, address, text)


async def notify_all(addresses: list[str], text: str) -> int:
    results = await asyncio.gather(*(notify(address, text) for address in addresses), return_exceptions=True)
    return sum(1 for result in results if not isinstance(result, Exception))


def notify_now(address: str, text: str) -> None:
    asyncio.run(notify(address, text))
