"""Programs as asyncio's documentation has them. Nothing is wrong in any of them, so the doctor has nothing to say."""

PROGRAMS = {
    "hello world": """
async def main():
    print("hello ...")
    await asyncio.sleep(0.01)
    print("... world")

asyncio.run(main())
""",
    "hello world by callbacks": """
def hello_world(loop):
    print("hello world")
    loop.stop()

loop = asyncio.new_event_loop()
loop.call_soon(hello_world, loop)
try:
    loop.run_forever()
finally:
    loop.close()
""",
    "date by call_later": """
def display(end, loop):
    if loop.time() + 0.01 < end:
        loop.call_later(0.01, display, end, loop)
    else:
        loop.stop()

loop = asyncio.new_event_loop()
loop.call_soon(display, loop.time() + 0.05, loop)
try:
    loop.run_forever()
finally:
    loop.close()
""",
    "future": """
async def set_after(future, delay, value):
    await asyncio.sleep(delay)
    future.set_result(value)

async def main():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.create_task(set_after(future, 0.01, "... world"))
    print("hello ...")
    print(await future)

asyncio.run(main())
""",
    "producer and consumer": """
import random

async def worker(name, queue):
    while True:
        delay = await queue.get()
        await asyncio.sleep(delay)
        queue.task_done()

async def main():
    queue = asyncio.Queue()
    for _ in range(20):
        queue.put_nowait(random.uniform(0.0005, 0.005))
    tasks = [asyncio.create_task(worker(f"worker-{number}", queue)) for number in range(3)]
    await queue.join()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

asyncio.run(main())
""",
    "gather": """
async def factorial(name, number):
    result = 1
    for factor in range(2, number + 1):
        await asyncio.sleep(0.001)
        result *= factor
    return result

async def main():
    print(await asyncio.gather(factorial("A", 2), factorial("B", 3), factorial("C", 4)))

asyncio.run(main())
""",
    "gather that fails": """
async def fetch(url):
    await asyncio.sleep(0.001)
    raise ConnectionError(url)

async def main():
    try:
        await asyncio.gather(*map(fetch, "abc"))
    except ConnectionError as error:
        print(error)
    results = await asyncio.gather(*map(fetch, "abc"), return_exceptions=True)
    print(len(results))
    await asyncio.sleep(0.01)

asyncio.run(main())
""",
    "task group": """
async def say(after, what):
    await asyncio.sleep(after)
    print(what)

async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(say(0.001, "hello"))
        group.create_task(say(0.002, "world"))

asyncio.run(main())
""",
    "task group that fails": """
class TerminateTaskGroup(Exception):
    pass

async def terminate():
    raise TerminateTaskGroup()

async def job(number, delay):
    await asyncio.sleep(delay)

async def main():
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(job(1, 0.001))
            group.create_task(job(2, 10))
            await asyncio.sleep(0.005)
            group.create_task(terminate())
    except* TerminateTaskGroup:
        print("ended")
    await asyncio.sleep(1.2)

asyncio.run(main())
""",
    "timeout": """
async def main():
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(10)
    except TimeoutError:
        print("timeout")
    try:
        await asyncio.wait_for(asyncio.sleep(10), 0.01)
    except TimeoutError:
        print("timeout")
    async with asyncio.timeout(None) as limit:
        limit.reschedule(asyncio.get_running_loop().time() + 0.01)
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            print("cleanup")
            await asyncio.sleep(0.01)
    await asyncio.sleep(1.2)

asyncio.run(main())
""",
    "shield": """
async def something():
    await asyncio.sleep(0.03)
    return 1

async def main():
    task = asyncio.create_task(something())
    try:
        await asyncio.wait_for(asyncio.shield(task), 0.005)
    except TimeoutError:
        print("not yet")
    print(await task)

asyncio.run(main())
""",
    "cancel": """
async def cancel_me():
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        print("cancelled")
        raise
    finally:
        print("after sleep")

async def main():
    task = asyncio.create_task(cancel_me())
    await asyncio.sleep(0.01)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("main sees it")

asyncio.run(main())
""",
    "cancel that ends a worker": """
async def worker():
    try:
        while True:
            await asyncio.sleep(0.001)
    except asyncio.CancelledError:
        print("ended")

async def main():
    task = asyncio.create_task(worker())
    await asyncio.sleep(0.01)
    task.cancel()
    await task

asyncio.run(main())
""",
    "uncancel": """
async def stubborn():
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        asyncio.current_task().uncancel()
    await asyncio.sleep(1.2)

async def main():
    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    task.cancel()
    await task

asyncio.run(main())
""",
    "wait and as_completed": """
async def fetch(number):
    await asyncio.sleep(0.001 * number)
    if number == 3:
        raise ValueError(number)
    return number

async def main():
    done, pending = await asyncio.wait([asyncio.create_task(fetch(n)) for n in range(4)])
    print(sorted(task.result() for task in done if task.exception() is None))
    for earliest in asyncio.as_completed([fetch(n) for n in range(3)]):
        print(await earliest)

asyncio.run(main())
""",
    "background tasks": """
background = set()

async def work(number):
    await asyncio.sleep(0.005)

async def main():
    for number in range(10):
        task = asyncio.create_task(work(number))
        background.add(task)
        task.add_done_callback(background.discard)
    await asyncio.sleep(0.05)

asyncio.run(main())
""",
    "streams": """
async def handle_echo(reader, writer):
    data = await reader.read(100)
    writer.write(data)
    await writer.drain()
    writer.close()
    await writer.wait_closed()

async def client(port, message):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(message)
    await writer.drain()
    print(await reader.read(100))
    writer.close()
    await writer.wait_closed()

async def main():
    server = await asyncio.start_server(handle_echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        await server.start_serving()
        await asyncio.gather(*(client(port, b"hello") for _ in range(3)))

asyncio.run(main())
""",
    "client that does not wait for its end": """
async def handle(reader, writer):
    writer.write(await reader.readline())
    writer.close()

async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"hello\\n")
    print(await reader.read())
    writer.close()
    server.close()

asyncio.run(main())
""",
    "protocols": """
class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)
        self.transport.close()

class Client(asyncio.Protocol):
    def __init__(self, message, lost):
        self.message, self.lost = message, lost

    def connection_made(self, transport):
        transport.write(self.message)

    def data_received(self, data):
        print(data)

    def connection_lost(self, error):
        self.lost.set_result(True)

async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    lost = loop.create_future()
    transport, protocol = await loop.create_connection(
        lambda: Client(b"hello", lost), *server.sockets[0].getsockname()
    )
    try:
        await lost
    finally:
        transport.close()
    server.close()
    await server.wait_closed()

asyncio.run(main())
""",
    "datagrams": """
class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)

class Client(asyncio.DatagramProtocol):
    def __init__(self, lost):
        self.lost = lost

    def connection_made(self, transport):
        self.transport = transport
        transport.sendto(b"hello")

    def datagram_received(self, data, address):
        print(data)
        self.transport.close()

    def connection_lost(self, error):
        self.lost.set_result(True)

async def main():
    loop = asyncio.get_running_loop()
    server, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    lost = loop.create_future()
    client, _ = await loop.create_datagram_endpoint(
        lambda: Client(lost), remote_addr=server.get_extra_info("sockname")
    )
    await lost
    server.close()

asyncio.run(main())
""",
    "subprocess": """
import sys

async def main():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print('hello')", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    print(await process.communicate())
    process = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    process.stdin.write(b"hello\\n")
    print(await process.stdout.readline())
    process.stdin.close()
    await process.wait()

asyncio.run(main())
""",
    "executor": """
import concurrent.futures
import time

def block():
    time.sleep(0.01)
    return 1

async def main():
    loop = asyncio.get_running_loop()
    print(await loop.run_in_executor(None, block))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        print(await loop.run_in_executor(pool, block))
    print(await asyncio.gather(asyncio.to_thread(block), asyncio.sleep(0.001)))

asyncio.run(main())
""",
    "signals": """
import os
import signal

async def main():
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.call_later(0.01, os.kill, os.getpid(), signal.SIGTERM)
    await stop.wait()
    loop.remove_signal_handler(signal.SIGTERM)

asyncio.run(main())
""",
    "threads": """
import threading

async def double(number):
    await asyncio.sleep(0.001)
    return 2 * number

async def main():
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def work():
        print(asyncio.run_coroutine_threadsafe(double(21), loop).result())
        loop.call_soon_threadsafe(done.set)

    thread = threading.Thread(target=work)
    thread.start()
    await done.wait()
    thread.join()

asyncio.run(main())
""",
    "locks": """
async def work(lock, condition, semaphore, event):
    async with lock:
        await asyncio.sleep(0.001)
    async with semaphore:
        await asyncio.sleep(0.001)
    async with condition:
        condition.notify_all()
    event.set()

async def main():
    lock, condition, semaphore, event = asyncio.Lock(), asyncio.Condition(), asyncio.Semaphore(2), asyncio.Event()
    tasks = [asyncio.create_task(work(lock, condition, semaphore, event)) for _ in range(4)]
    async with condition:
        await condition.wait()
    await event.wait()
    await asyncio.gather(*tasks)

asyncio.run(main())
""",
    "socket": """
import socket

async def main():
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        arrived = loop.create_future()
        loop.add_reader(ours, arrived.set_result, None)
        loop.call_soon(theirs.send, b"hello")
        await arrived
        loop.remove_reader(ours)
        print(await loop.sock_recv(ours, 100))

asyncio.run(main())
""",
    "generators": """
import contextlib

async def rows():
    try:
        for row in range(3):
            yield row
    finally:
        await asyncio.sleep(0)

@contextlib.asynccontextmanager
async def connection():
    try:
        yield 1
    finally:
        await asyncio.sleep(0)

async def main():
    print([row async for row in rows()])
    async with contextlib.aclosing(rows()) as items:
        async for row in items:
            break
    async with connection() as number:
        print(number)
    with contextlib.suppress(ValueError):
        async with connection():
            raise ValueError

asyncio.run(main())
""",
    "heartbeat that the end ends": """
async def beat():
    while True:
        await asyncio.sleep(0.001)

async def flush():
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)

async def main():
    heart = asyncio.create_task(beat())
    flusher = asyncio.create_task(flush())
    await asyncio.sleep(0.01)

asyncio.run(main())
""",
    "main that fails": """
async def fetch():
    await asyncio.sleep(10)

async def main():
    task = asyncio.create_task(fetch())
    await asyncio.sleep(0.001)
    raise SystemExit(0)

asyncio.run(main())
""",
    "runner": """
async def one():
    await asyncio.sleep(0.001)

with asyncio.Runner() as runner:
    runner.run(one())
    runner.run(one())
""",
    "interrupted": """
import os
import signal

async def main():
    asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), signal.SIGINT)
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        print("cleanup")
        raise

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
""",
    "server that is interrupted": """
import os
import signal

async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line)

async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    asyncio.get_running_loop().call_later(0.02, os.kill, os.getpid(), signal.SIGINT)
    await server.serve_forever()

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
""",
    "task factory": """
async def work():
    return 1

async def main():
    loop = asyncio.get_running_loop()
    loop.set_task_factory(getattr(asyncio, "eager_task_factory", None))
    print(await asyncio.create_task(work()))
    print(sum(await asyncio.gather(*(work() for _ in range(10)))))

asyncio.run(main())
""",
    "debug": """
async def work():
    await asyncio.sleep(0.001)

async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(work())

asyncio.run(main(), debug=True)
""",
    "failure that is handled late": """
async def fetch():
    raise ConnectionError

async def main():
    tasks = {"a": asyncio.create_task(fetch())}
    await asyncio.sleep(1.2)
    for task in tasks.values():
        print(type(task.exception()))

asyncio.run(main())
""",
    "connections under load": """
async def handle(reader, writer):
    writer.write(await reader.readline())
    await writer.drain()
    writer.close()

async def client(address):
    reader, writer = await asyncio.open_connection(*address)
    await asyncio.sleep(0.3)
    writer.write(b"x\\n")
    await reader.read()
    writer.close()
    await writer.wait_closed()

async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    async with asyncio.TaskGroup() as group:
        for number in range(200):
            group.create_task(client(address))
            await asyncio.sleep(0.005)
    server.close()

asyncio.run(main())
""",
}
