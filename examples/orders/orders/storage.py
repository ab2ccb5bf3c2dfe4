"""Orders in a database, invoices on disk."""

import asyncio
import json
import sqlite3
import threading
from pathlib import Path


class Storage:
    def __init__(self, path: str) -> None:
        self.database = sqlite3.connect(path, check_same_thread=False)
        self.directory = Path("invoices")
        self.guard = threading.Lock()
        self.lock = asyncio.Lock()

    async def save(self, order: dict) -> int:
        with self.guard:
            cursor = self.database.execute("INSERT INTO orders (body) VALUES (?)", (json.dumps(order),))
            await asyncio.sleep(0)
            return cursor.lastrowid or 0

    async def write_invoice(self, number: int, text: str) -> None:
        with open(self.directory / f"{number}.txt", "w") as file:
            file.write(text)

    async def update(self, number: int, order: dict) -> None:
        async with self.lock:
            await asyncio.sleep(0.1)
            print("updated", number, order)

    async def update_all(self, orders: dict[int, dict]) -> None:
        async with self.lock:
            for number, order in orders.items():
                await self.update(number, order)
