"""A client for TLS that is no event loop: blocking sockets, one epoll, and messages as ``treadle-load client`` has.

Python's ``ssl`` on sockets does without the buffers in memory that loops need, so that a process of this costs less for
each message than the server it loads; two of them run where there are the processors for it.
"""

import argparse
import json
import select
import socket
import ssl
import sys
import time


class Client:
    """Some connections, one message under way on each."""

    def __init__(self, host: str, port: int, connections: int, size: int) -> None:
        """Connect and shake hands."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.message = b"x" * size
        self.buffer = memoryview(bytearray(size))
        self.poll = select.epoll()
        self.connections: dict[int, ssl.SSLSocket] = {}
        for _ in range(connections):
            plain = socket.create_connection((host, port))
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = context.wrap_socket(plain)
            self.connections[connection.fileno()] = connection
            self.poll.register(connection, select.EPOLLIN)
        for connection in self.connections.values():
            connection.sendall(self.message)

    def run(self, until: float) -> int:
        """Return how many replies came until then."""
        replies, size, buffer, message = 0, len(self.message), self.buffer, self.message
        while (left := until - time.perf_counter()) > 0:
            for descriptor, _ in self.poll.poll(left):
                connection = self.connections[descriptor]
                received = 0
                while received < size:
                    count = connection.recv_into(buffer[received:])
                    if not count:
                        sys.exit("the server closed a connection")
                    received += count
                connection.sendall(message)
                replies += 1
        return replies


def main() -> None:
    """Shake hands, wait for a line so that several clients begin together, and go on as ``treadle-load client``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--warm", type=float, default=0.1)
    parser.add_argument("--seconds", type=float, default=0.5)
    options = parser.parse_args()
    host, port = options.address.removeprefix("tcp:").rsplit(":", 1)
    client = Client(host, int(port), options.connections, options.size)
    print("ready", flush=True)
    sys.stdin.readline()
    client.run(time.perf_counter() + options.warm)
    print("started", flush=True)
    begin, cpu = time.perf_counter(), time.process_time()
    replies = client.run(begin + options.seconds)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    print(json.dumps({"operations": replies, "seconds": seconds, "cpu": cpu}), flush=True)


if __name__ == "__main__":
    main()
