"""An application behind the server's own connections, in a thread of this process, and clients that speak to it byte by byte."""

import asyncio
import json
import socket
import threading
import time

import uvicorn

from fmcycle.serving.connection import Connection


class Live:
    """(context) `app` on a port of loopback."""

    def __init__(self, app):
        self.server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", http=Connection))
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_):
        self.server.should_exit = self.server.force_exit = True
        self.thread.join()

    def open(self, *pieces: bytes, seconds: float = 20) -> socket.socket:
        """A connection on which `pieces` were sent."""
        return connected(self.port, *pieces, seconds=seconds)


def connected(port: int, *pieces: bytes, seconds: float = 20) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=seconds)
    for piece in pieces:
        client.sendall(piece)
    return client


def rest(client: socket.socket) -> bytes:
    """What comes until the server ends the connection."""
    parts = []
    try:
        while part := client.recv(1 << 16):
            parts.append(part)
    except ConnectionError:
        pass
    finally:
        client.close()
    return b"".join(parts)


def refused(answer: bytes) -> tuple[int, str]:
    """(status, code) of a refusal in OpenAI's form."""
    head, _, body = answer.partition(b"\r\n\r\n")
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return int(head.split()[1]), error["code"]


def request(path: str = "/", body: bytes = b"{}", method: str = "POST", length: int | None = None, more: str = "") -> bytes:
    """A request as it goes over the wire."""
    size = len(body) if length is None else length
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n{more}\r\n"
    return head.encode() + body


async def dribble(port: int, head: bytes, every: float, body: bytes = b" ", count: int = 10**6) -> bytes:
    """Send `head`, then `body` every so many seconds until the server has answered or ended the connection: what it said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.create_task(reader.read())
    try:
        writer.write(head)
        for _ in range(count):
            if answer.done():
                break
            writer.write(body)
            await asyncio.wait([answer], timeout=every)
        return await answer
    except ConnectionError:
        return b""
    finally:
        writer.close()
