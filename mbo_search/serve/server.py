"""The server: answers GET and HEAD for whoever brings the token, and knows no paths but its own.

/TOKEN/                       the list of runs, or the one run
/TOKEN/rows                   its rows alone
/TOKEN/runs/NAME/             a run: the frame that asks for news
/TOKEN/runs/NAME/page         its report
/TOKEN/runs/NAME/state.json   how it is, and the version of its report
"""

from __future__ import annotations

import json
import logging
import math
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mbo_search.errors import Problem, UserError
from mbo_search.serve.access import access_for, is_loopback
from mbo_search.serve.shelf import RunShelf

if TYPE_CHECKING:
    from mbo_search.report.style.i18n import Language
    from mbo_search.serve.pages import LivePages

_LOGGER = logging.getLogger(__name__)
_PATIENCE_SECONDS = 30.0
_HTML, _JSON, _TEXT = "text/html; charset=utf-8", "application/json", "text/plain; charset=utf-8"
_HEADERS = MappingProxyType(
    {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "frame-ancestors 'self'",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "SAMEORIGIN",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a request gets.

    Attributes:
        status: HTTP status.
        body: The content.
        kind: Its media type.
        headers: Further headers.
    """

    status: HTTPStatus
    body: str = ""
    kind: str = _TEXT
    headers: dict[str, str] = field(default_factory=dict)


class Readers:
    """Remembers what readers have been given, so that none who looks loses the last page."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at_work = 0
        self._asked_at = -math.inf
        self._told: tuple[bool, str] = False, ""
        self._fetched: tuple[bool, str] = False, ""

    @contextmanager
    def served(self) -> Iterator[None]:
        """Count a request that is being answered."""
        with self._lock:
            self._at_work += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_work -= 1

    def asked(self, *, is_final: bool, version: str) -> None:
        """Note that a reader was told which page there is, and whether it is the last."""
        self._asked_at, self._told = time.monotonic(), (is_final, version)

    def fetched(self) -> None:
        """Note that a reader fetches the page that there is."""
        self._fetched = self._told

    def wait_for_more(self, within_seconds: float) -> bool:
        """Whether a reader is being answered, or asked lately and does not have the last page yet."""
        has_last = self._told[0] and self._fetched[1] == self._told[1]
        return self._at_work > 0 or (time.monotonic() - self._asked_at < within_seconds and not has_last)


class LiveServer(ThreadingHTTPServer):
    """Server of the live pages.

    It listens at once; what draws pages takes seconds to load, and is loaded while the address is read.

    Attributes:
        access: What requests must bring.
        shelf: The run directories.
        readers: What readers have been given.
        url: Address of the first page, token included.
    """

    daemon_threads = True

    def __init__(
        self, shelf: RunShelf, *, language: Language = "en", host: str = "127.0.0.1", port: int = 0
    ) -> None:
        """Listen; `serve_forever` answers.

        Raises:
            UserError: If the address cannot be listened on.
        """
        self.access = access_for(host)
        self.shelf = shelf
        self._language: Language = language
        self._pages: LivePages | None = None
        self._loading = threading.Lock()
        self.readers = Readers()
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            rule = f"cannot be listened on: {error.strerror or error}"
            hint = "choose another port, or leave --port out"
            raise UserError([Problem(key="--port", value=f"{host}:{port}", rule=rule, hint=hint)]) from error
        self.url = f"http://{_shown_host(host)}:{self.server_port}/{self.access.token}/"

    @property
    def pages(self) -> LivePages:
        """The pages, loaded when they are asked for first."""
        with self._loading:
            if self._pages is None:
                from mbo_search.serve.pages import LivePages

                self._pages = LivePages(self.shelf, self._language)
            return self._pages

    def start(self) -> threading.Thread:
        """Answer in a thread of its own, and load what draws pages."""
        answering = threading.Thread(target=self.serve_forever, daemon=True)
        answering.start()
        threading.Thread(target=lambda: self.pages, daemon=True).start()
        return answering

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing about readers that go away; log anything else."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            _LOGGER.exception("a request could not be answered")

    def answer(self, path: str, host: str | None) -> Answer:
        """Answer a request."""
        if not self.access.allows_host(host):
            return Answer(status=HTTPStatus.FORBIDDEN, body="This server is not known by that name.\n")
        token, *route = urlsplit(path).path.removeprefix("/").split("/")
        if not self.access.has_token(token):
            return Answer(status=HTTPStatus.FORBIDDEN, body="The address lacks the right token.\n")
        try:
            return self._routed(route) or Answer(status=HTTPStatus.NOT_FOUND, body="There is no such page.\n")
        except Exception:  # one page that cannot be made is no reason to leave a reader without an answer
            _LOGGER.exception("a page could not be made")
            return Answer(status=HTTPStatus.INTERNAL_SERVER_ERROR, body="The page could not be made.\n")

    def _routed(self, route: Sequence[str]) -> Answer | None:
        match route:
            case []:
                return _moved(f"/{self.access.token}/")
            case [""]:
                only = self.shelf.only
                return _page(self.pages.list_page()) if only is None else _moved(f"runs/{only}/")
            case ["rows"]:
                return _page(self.pages.rows())
            case ["runs", name, ""]:
                return _page(self.pages.frame(name))
            case ["runs", name, "page"]:
                self.readers.fetched()
                return _page(self.pages.report(name))
            case ["runs", name, "state.json"]:
                return self._state(name)
        return None

    def _state(self, name: str) -> Answer | None:
        state = self.pages.state(name)
        if state is None:
            return None
        self.readers.asked(is_final=bool(state["final"]), version=str(state["version"]))
        return Answer(status=HTTPStatus.OK, body=json.dumps(state), kind=_JSON)


class _Handler(BaseHTTPRequestHandler):
    server: LiveServer
    timeout = _PATIENCE_SECONDS

    def do_GET(self) -> None:
        """Send a page."""
        with self.server.readers.served():
            self._send(self.server.answer(self.path, self.headers.get("Host")), with_body=True)

    def do_HEAD(self) -> None:
        """Send what a page would be sent with."""
        self._send(self.server.answer(self.path, self.headers.get("Host")), with_body=False)

    def refuse(self) -> None:
        """Refuse whatever would change something."""
        only = {"Allow": "GET, HEAD"}
        self._send(Answer(status=HTTPStatus.METHOD_NOT_ALLOWED, body="Read-only.\n", headers=only), with_body=True)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = refuse

    def _send(self, answer: Answer, *, with_body: bool) -> None:
        content = answer.body.encode()
        self.send_response(answer.status)
        for name, value in {**_HEADERS, **answer.headers, "Content-Type": answer.kind}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def version_string(self) -> str:
        """Name the program, and no versions."""
        return "mbo-search"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing about single requests: their addresses hold the token."""


def _page(body: str | None) -> Answer | None:
    return None if body is None else Answer(status=HTTPStatus.OK, body=body, kind=_HTML)


def _moved(to: str) -> Answer:
    return Answer(status=HTTPStatus.FOUND, headers={"Location": to})


def _shown_host(host: str) -> str:
    """The name to put into an address: one that listens everywhere is reached by the machine's own name."""
    if is_loopback(host):
        return host
    import socket

    return socket.gethostname() if host in ("0.0.0.0", "") else host
