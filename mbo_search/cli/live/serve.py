"""`serve`, and `--serve` of commands that train: live pages of run directories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mbo_search.cli.console import CommandResult, deliver, error_console
from mbo_search.errors import Problem, UserError

if TYPE_CHECKING:
    from mbo_search.report.style.i18n import Language
    from mbo_search.serve.beside import ServerBeside
    from mbo_search.serve.server import LiveServer


def serve_runs(
    folders: Sequence[Path], *, host: str, port: int, language: Language, as_json: bool, quiet: bool
) -> None:
    """Serve run directories, and those in folders, until Ctrl-C.

    Raises:
        UserError: If a folder does not exist, or the port is taken.
    """
    server: LiveServer | None = None

    def work() -> CommandResult:
        nonlocal server
        _check_folders(folders)
        server = _open_server(folders, host, port, language)
        return _result(server)

    with suppress(KeyboardInterrupt):
        deliver(work, as_json=as_json, quiet=quiet)
        if server is not None:
            _serve(server)


@contextmanager
def live_page(folder: Path, *, is_wanted: bool) -> Iterator[ServerBeside | None]:
    """Serve a run directory while the block trains in it, and say where."""
    if not is_wanted:
        yield None
        return
    from mbo_search.serve.beside import server_beside

    with server_beside(folder) as server:
        said = f"Live page: {server.url}" if server.url else "The live page could not be started."
        error_console().print(said, soft_wrap=True)
        yield server


def _check_folders(folders: Sequence[Path]) -> None:
    problems = [
        Problem(
            key="",
            where=str(folder),
            rule="is not a folder" if folder.exists() else "does not exist",
            hint="give a run directory, or a folder that holds some, such as reports",
        )
        for folder in folders
        if not folder.is_dir()
    ]
    if problems:
        raise UserError(problems)


def _open_server(folders: Sequence[Path], host: str, port: int, language: Language) -> LiveServer:
    from mbo_search.serve.beside import be_modest
    from mbo_search.serve.server import LiveServer
    from mbo_search.serve.shelf import RunShelf

    be_modest()
    return LiveServer(RunShelf(folders), language=language, host=host, port=port)


def _result(server: LiveServer) -> CommandResult:
    runs = server.shelf.runs()
    text = [f"Serving {len(runs)} {'run' if len(runs) == 1 else 'runs'}, read-only, at:", server.url]
    text.append("Whoever knows this address can read them. Ctrl-C ends it.")
    document = {"url": server.url, "runs": [str(path) for path in runs.values()]}
    return CommandResult(schema="mbo-search/serve/1", document=document, text=text, brief=server.url)


def _serve(server: LiveServer) -> None:
    """Answer in a thread, so that Ctrl-C is heard at once whatever is being drawn."""
    with server:
        try:
            server.start().join()
        finally:
            server.shutdown()
