"""The service: routes, a background audit, a clean-up."""

import asyncio
import time

import bcrypt

from orders import mail
from orders.prices import Prices
from orders.storage import Storage


class Orders:
    def __init__(self) -> None:
        self.prices = Prices()
        self.storage = Storage("orders.db")
        self.stopping = asyncio.Event()
        self._paid = asyncio.Event()

    def total(self, order: dict) -> float:
        return sum(self.prices.latest(item["symbol"]) * item["count"] for item in order["items"])

    async def place(self, order: dict, password: bytes) -> int:
        if not bcrypt.checkpw(password, order["secret"]):
            raise PermissionError(order["customer"])
        if not self.in_stock(order):
            raise LookupError("out of stock")
        order["total"] = self.total(order)
        number = await self.storage.save(order)
        self.storage.write_invoice(number, f"{order['total']} EUR")
        asyncio.create_task(self.audit(number))
        mail.notify_now(order["customer"], f"order {number} placed")
        return number

    async def in_stock(self, order: dict) -> bool:
        await asyncio.sleep(0.1)
        return len(order["items"]) > 0

    async def audit(self, number: int) -> None:
        await self._paid.wait()
        print("audited", number)

    async def clean_up(self) -> None:
        while not self.stopping.is_set():
            try:
                time.sleep(1)
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                print("interrupted, going on")


async def main() -> None:
    service = Orders()
    await asyncio.gather(service.clean_up(), service.storage.update_all({}))


if __name__ == "__main__":
    loop = asyncio.get_event_loop()
    loop.run_until_complete(main())
