"""`dashboard`: the run as a study of optuna-dashboard, which is started where it is installed."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mbo_search.cli.console import CommandResult, deliver
from mbo_search.errors import Problem, UserError

if TYPE_CHECKING:
    from mbo_search.export.dashboard.server import DashboardServer

_INSTALL = "pip install 'mbo-search[dashboard]'"


def show_dashboard(folder: Path, *, port: int, start: bool, as_json: bool, quiet: bool) -> None:
    """Write the file for optuna-dashboard, start it, and serve until Ctrl-C.

    Raises:
        UserError: If the directory is none of a run, the file cannot be written, or the port is taken.
    """
    server: DashboardServer | None = None

    def work() -> CommandResult:
        nonlocal server
        from mbo_search.export.dashboard.server import dashboard_server, is_installed

        file = _write(folder)
        server = dashboard_server(file, port) if start and is_installed() else None
        return _result(file, None if server is None else server.url, is_wanted=start)

    deliver(work, as_json=as_json, quiet=quiet)
    if server is not None:
        with server, suppress(KeyboardInterrupt):
            server.serve_forever()


def _write(folder: Path) -> Path:
    from mbo_search.export.dashboard.view import write_dashboard
    from mbo_search.results.records.run_directory import RunDirectory

    run = RunDirectory.open(folder)
    try:
        return write_dashboard(run)
    except OSError as error:
        rule = f"cannot be written: {error.strerror or error}"
        raise UserError([Problem(key="", where=str(run.path / "dashboard.db"), rule=rule)]) from error


def _result(file: Path, url: str | None, *, is_wanted: bool) -> CommandResult:
    text = [
        f"Wrote {file}, a view of the run for optuna-dashboard; what is changed in it is lost at the next call."
    ]
    if url is not None:
        text.append(f"optuna-dashboard is at {url} (Ctrl-C ends it).")
    elif is_wanted:
        text.append(f"optuna-dashboard is not installed. Install it with: {_INSTALL}")
        text.append(f"Or open the file elsewhere: optuna-dashboard {shlex.quote(f'sqlite:///{file.absolute()}')}")
    document = {"file": str(file), "url": url}
    return CommandResult(schema="mbo-search/dashboard/1", document=document, text=text, brief=url or str(file))
