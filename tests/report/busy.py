"""A busy service and the people who use it, for a recording of many minutes.

``treadle run --record busy.treadle tests/report/busy.py SECONDS`` starts the service; its users are a second process,
so that what they do is not recorded. The service does a little of everything: each request is a task or more, some wait
for a lock or a semaphore, some go to a thread, a few block the loop.
"""

import asyncio
import hashlib
import json
import random
import sys
import time

USERS = 40
PAUSE = 0.04


class Service:
    """Answers lines of JSON with lines of JSON."""

    def __init__(self) -> None:
        """Have a lock, a few connections to a database, and mails that are to be sent."""
        self.stock = asyncio.Lock()
        self.connections = asyncio.Semaphore(8)
        self.mails: asyncio.Queue[int] = asyncio.Queue(100)
        self.served = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one user until he leaves."""
        while line := await reader.readline():
            order = json.loads(line)
            writer.write(json.dumps(await self.answer(order)).encode() + b"\n")
            await writer.drain()
            self.served += 1
        writer.close()

    async def answer(self, order: "dict[str, int]") -> "dict[str, float]":
        """Look into stock and price at once, and have a mail sent."""
        async with asyncio.TaskGroup() as group:
            stock = group.create_task(self.reserve(order["thing"]), name=f"reserve {order['thing']}")
            price = group.create_task(self.price(order["thing"]))
        if order["number"] % 10 == 0:
            await self.mails.put(order["number"])
        if order["number"] % 50 == 0:
            await asyncio.to_thread(self.receipt, order["number"])
        if order["number"] % 2000 == 0:
            self.receipt(order["number"], rounds=400_000)
        return {"left": stock.result(), "price": price.result()}

    async def reserve(self, thing: int) -> int:
        """Take one of a thing."""
        async with self.stock:
            await asyncio.sleep(0)
            return thing % 7

    async def price(self, thing: int) -> float:
        """Ask a database, which takes some milliseconds."""
        async with self.connections:
            await asyncio.sleep(random.expovariate(1000))
            return sum(number * 0.01 for number in range(thing % 300))

    def receipt(self, number: int, rounds: int = 2000) -> str:
        """Sign something, which takes the processor."""
        return hashlib.pbkdf2_hmac("sha256", b"receipt", str(number).encode(), rounds).hex()

    async def send(self) -> None:
        """Send mails, one after the other."""
        while True:
            await self.mails.get()
            await asyncio.sleep(0.001)


async def serve(seconds: float) -> None:
    """Serve for some time."""
    service = Service()
    mailer = asyncio.create_task(service.send(), name="mailer")
    server = await asyncio.start_server(service.talk, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    users = await asyncio.create_subprocess_exec(sys.executable, __file__, "users", str(port), str(seconds))
    await users.wait()
    mailer.cancel()
    server.close()
    print(f"{service.served} requests in {seconds:g} s")


async def use(port: int, end: float) -> None:
    """Order things, with a pause after each."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = random.randrange(2000)  # noqa: S311
    while time.monotonic() < end:
        number += 1
        writer.write(json.dumps({"number": number, "thing": random.randrange(1000)}).encode() + b"\n")  # noqa: S311
        await reader.readline()
        await asyncio.sleep(random.expovariate(1 / PAUSE))
    writer.close()


async def crowd(port: int, seconds: float) -> None:
    """Be all users."""
    end = time.monotonic() + seconds
    await asyncio.gather(*(use(port, end) for _ in range(USERS)))


if __name__ == "__main__":
    if sys.argv[1] == "users":
        asyncio.run(crowd(int(sys.argv[2]), float(sys.argv[3])))
    else:
        asyncio.run(serve(float(sys.argv[1])))
