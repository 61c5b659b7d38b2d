"""The page and its sessions by HTTP, for this machine alone.

A page of another origin could reach a server on 127.0.0.1 by the user's browser. So a request must name this server as
its Host, and as its Origin if it has one; and it is a POST of JSON, which no other page may send unasked.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

from purenet.playground.session import Session

PAGE = Path(__file__).with_name("page.html")
MOST_SESSIONS = 16
MOST_BYTES = 1_000_000
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class RefusedError(Exception):
    """A request that gets this status and this message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Playground(ThreadingHTTPServer):
    """The server, with a session for each tab; of too many, the one that was used longest ago goes."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.hosts = {f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")}
        self.sessions: dict[str, Session] = {}
        self.lock = Lock()

    def start(self, asked: dict[str, Any]) -> dict[str, Any]:
        session, name = Session(asked.get("config")), secrets.token_urlsafe(12)
        with self.lock:
            self.sessions.pop(str(asked.get("id")), None)
            self.sessions[name] = session
            while len(self.sessions) > MOST_SESSIONS:
                del self.sessions[next(iter(self.sessions))]
        return {"id": name, **session.facts(), **session.advance(0, 0.0, None)}

    def session(self, asked: dict[str, Any]) -> Session:
        with self.lock:
            name = str(asked.get("id"))
            if name not in self.sessions:
                raise RefusedError(410, "This tab's net is gone, as too many tabs were opened: start it anew.")
            session = self.sessions[name] = self.sessions.pop(name)
            return session

    def advance(self, asked: dict[str, Any]) -> dict[str, Any]:
        seconds = min(float(asked.get("ms", 0)), 100.0) / 1000
        return self.session(asked).advance(int(asked.get("steps", 0)), seconds, asked.get("layer"))

    def program(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"program": self.session(asked).program()}

    def params(self, asked: dict[str, Any]) -> bytes:
        return self.session(asked).npz()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Told in the terminal, but for a tab that was closed before it had its answer."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


ACTIONS: dict[str, Callable[[Playground, dict[str, Any]], Any]] = {
    "/start": Playground.start,
    "/advance": Playground.advance,
    "/program": Playground.program,
    "/params": Playground.params,
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Playground
    timeout = 60  # of a connection that says nothing
    disable_nagle_algorithm = True  # else each answer waits 40 ms, until the browser has confirmed its head

    def do_GET(self) -> None:
        self._answer(self._page)

    def do_POST(self) -> None:
        self._answer(self._act)

    def _page(self) -> bytes:
        if self.path.split("?")[0] != "/":
            raise RefusedError(404, "There is only one page: /")
        return PAGE.read_bytes()

    def _act(self) -> Any:
        if self.path not in ACTIONS:
            raise RefusedError(404, f"There is only {', '.join(ACTIONS)}.")
        if self.headers.get_content_type() != "application/json":
            raise RefusedError(415, "A POST must have the Content-Type application/json.")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            raise RefusedError(413, f"A request holds at most {MOST_BYTES:,} bytes: take a smaller CSV.")
        asked = json.loads(self.rfile.read(int(length)))
        if not isinstance(asked, dict):
            raise ValueError("A request is a JSON object.")
        return ACTIONS[self.path](self.server, asked)

    def _answer(self, make: Callable[[], Any]) -> None:
        status = 200
        try:
            origin = self.headers.get("Origin")
            if self.headers.get("Host") not in self.server.hosts:
                raise RefusedError(403, "This server answers for 127.0.0.1 alone: the request names another Host.")
            if origin is not None and origin.removeprefix("http://") not in self.server.hosts:
                raise RefusedError(403, "This server answers its own page alone: the request has another Origin.")
            answer = make()
        except RefusedError as error:
            status, answer = error.status, {"error": str(error)}
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            status, answer = 400, {"error": str(error)}
        self._send(status, answer)

    def _send(self, status: int, answer: Any) -> None:
        is_page = self.command == "GET" and isinstance(answer, bytes)
        kind = "text/html; charset=utf-8" if is_page else "application/octet-stream"
        if not isinstance(answer, bytes):
            kind, answer = "application/json", json.dumps(answer, allow_nan=False).encode()
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        if status >= 400:  # what was not read must not be taken for the next request
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a line for each frame would be no help."""


def serve(port: int = 0) -> Playground:
    """The server on this port of 127.0.0.1, or on a free one; `serve_forever` runs it."""
    return Playground(port)
