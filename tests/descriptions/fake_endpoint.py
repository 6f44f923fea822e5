"""Scriptable OpenAI-compatible test server that records its requests."""

import json
import socket
import struct
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = json.dumps(
    {"sentences": [{"text": "This is a B cell.", "evidence": [1]}, {"text": "It is from blood.", "evidence": [2]}]}
)


@dataclass(frozen=True)
class Request:
    key: str
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def form(self) -> str:
        return self.body.get("response_format", {}).get("type", "text")


Behaviour = Callable[["Exchange"], None]


class Exchange(BaseHTTPRequestHandler):
    """One request; a behaviour answers it."""

    protocol_version = "HTTP/1.1"
    request_seen: Request

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.request_seen = Request(
            self.headers.get("Idempotency-Key", ""), body, {name.lower(): value for name, value in self.headers.items()}
        )
        self.server.endpoint.serve(self)

    def send(self, status: int, body: str | bytes, **headers: str) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def cut(self) -> None:
        # Without lingering, the client gets a connection reset at once.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    endpoint: "FakeEndpoint"

    def handle_error(self, *_: object) -> None:
        pass  # some tests kill the client


class FakeEndpoint:
    """Test server: applies the behaviours in order, then returns valid answers."""

    def __init__(self, *behaviours: Behaviour, then: Behaviour | None = None) -> None:
        self._behaviours = list(behaviours)
        self._then = then or says(GOOD)
        self._lock = threading.Lock()
        self.requests: list[Request] = []
        self._server = _Server(("127.0.0.1", 0), Exchange)
        self._server.endpoint = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def keys(self) -> list[str]:
        return [request.key for request in self.requests]

    def serve(self, exchange: Exchange) -> None:
        with self._lock:
            self.requests.append(exchange.request_seen)
            behaviour = self._behaviours.pop(0) if self._behaviours else self._then
        behaviour(exchange)

    def __enter__(self) -> "FakeEndpoint":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def completion(content: str | None, finish: str = "stop", usage: object = (100, 20)) -> str:
    """Return the body of a chat completion."""
    usage_fields = {"usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}} if usage else {}
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    return json.dumps(
        {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], **usage_fields}
    )


def says(content: str | None, finish: str = "stop", usage: object = (100, 20), **headers: str) -> Behaviour:
    return lambda exchange: exchange.send(200, completion(content, finish, usage), **headers)


def fails(status: int, message: str = "so it is", **headers: str) -> Behaviour:
    return lambda exchange: exchange.send(status, json.dumps({"error": {"message": message}}), **headers)


def sends(body: str | bytes) -> Behaviour:
    return lambda exchange: exchange.send(200, body, Content_Type="application/json")


def hangs_up(exchange: Exchange) -> None:
    exchange.cut()


def cuts_the_body(exchange: Exchange) -> None:
    data = completion(GOOD).encode()
    exchange.send_response(200)
    exchange.send_header("Content-Length", str(len(data)))
    exchange.end_headers()
    exchange.wfile.write(data[: len(data) // 2])
    exchange.wfile.flush()
    exchange.close_connection = True


def is_silent(seconds: float) -> Behaviour:
    def behaviour(exchange: Exchange) -> None:
        time.sleep(seconds)
        exchange.close_connection = True

    return behaviour


def drips(status: int = 200, pause: float = 0.05) -> Behaviour:
    """Send a byte at a time, without end."""

    def behaviour(exchange: Exchange) -> None:
        exchange.send_response(status)
        exchange.send_header("Content-Length", "1000000")
        exchange.end_headers()
        for _ in range(1000):
            exchange.wfile.write(b" ")
            exchange.wfile.flush()
            time.sleep(pause)

    return behaviour


def drips_headers(status: int = 200, pause: float = 0.05) -> Behaviour:
    """Send the headers a byte at a time, without end."""

    def behaviour(exchange: Exchange) -> None:
        exchange.wfile.write(f"HTTP/1.1 {status} OK\r\nX-Padding: ".encode())
        for _ in range(1000):
            exchange.wfile.write(b"a")
            exchange.wfile.flush()
            time.sleep(pause)

    return behaviour


class Billing:
    """Behaviour with a delay that bills each answer and can replay the stored answer of a key for free."""

    def __init__(self, delays: Iterable[float], replays: bool) -> None:
        self.delays = list(delays)
        self.replays = replays
        self.billed: Counter[str] = Counter()
        self._stored: dict[str, str] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()

    def __call__(self, exchange: Exchange) -> None:
        key = exchange.request_seen.key
        with self._lock:
            lock = self._locks[key]
            delay = self.delays[sum(self.billed.values()) % len(self.delays)]
        with lock:
            stored = self._stored.get(key) if self.replays else None
            if stored is None:
                time.sleep(delay)
                with self._lock:
                    self.billed[key] += 1
                self._stored[key] = completion(GOOD)
        if stored is None:
            exchange.send(200, self._stored[key])
        else:
            exchange.send(200, stored, Idempotent_Replayed="true")
