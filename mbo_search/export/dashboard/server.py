"""Starts optuna-dashboard, where it is installed, for this machine only."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from mbo_search.errors import Problem, UserError

LOOPBACK = "127.0.0.1"


def is_installed() -> bool:
    """Whether optuna-dashboard can be started here."""
    return importlib.util.find_spec("optuna_dashboard") is not None


class DashboardServer(ThreadingMixIn, WSGIServer):
    """Server of optuna-dashboard; browsers keep spare connections open, which one thread alone would wait for."""

    daemon_threads = True

    @property
    def url(self) -> str:
        """Address of the dashboard."""
        return f"http://{LOOPBACK}:{self.server_port}/"


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing about single requests."""


def dashboard_server(file: Path, port: int = 0) -> DashboardServer:
    """Make the server of a file that `write_dashboard` wrote; `serve_forever` runs it.

    Args:
        file: The file.
        port: Port to listen on; 0: any free one.

    Raises:
        UserError: If the port cannot be used.
    """
    from optuna.storages import RDBStorage
    from optuna_dashboard import wsgi

    try:
        server = DashboardServer((LOOPBACK, port), _QuietHandler)
    except OSError as error:
        rule = f"cannot be listened on: {error.strerror}"
        hint = "choose another, or leave --port out"
        raise UserError([Problem(key="--port", value=str(port), rule=rule, hint=hint)]) from error
    server.set_app(wsgi(RDBStorage(f"sqlite:///{file.absolute()}")))
    return server
