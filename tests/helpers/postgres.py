"""A real PostgreSQL server on the loopback interface, with a password, in a folder of the test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PASSWORD = "not-to-be-found-anywhere-7f3a"
USER = "searcher"


def programs() -> Path | None:
    """Folder of PostgreSQL's programs, which Debian does not put on the path."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next(
        (folder for folder in folders if (folder / "postgres").exists() and (folder / "initdb").exists()), None
    )


def as_server_user() -> Sequence[str]:
    """PostgreSQL refuses to run as root."""
    return ("runuser", "-u", "postgres", "--") if os.getuid() == 0 else ()


class Server:
    """A server that can be stopped and started."""

    def __init__(self, folder: Path, bin_folder: Path) -> None:
        self.folder = folder
        self._bin = bin_folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/postgres"

    def create(self) -> None:
        password = self.folder / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres")
            shutil.chown(password, "postgres")
        command = [str(self._bin / "initdb"), "-D", str(self.folder / "data"), "-U", USER, "--no-sync"]
        command += ["--auth=scram-sha-256", f"--pwfile={password}", "--no-locale", "-E", "UTF8"]
        subprocess.run([*as_server_user(), *command], check=True, capture_output=True, cwd="/")

    def start(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
        }
        command = [str(self._bin / "postgres"), "-D", str(self.folder / "data")]
        command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen([*as_server_user(), *command], cwd="/", stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not self._answers():
            assert time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.1)

    def stop(self) -> None:
        subprocess.run(
            [
                *as_server_user(),
                str(self._bin / "pg_ctl"),
                "-D",
                str(self.folder / "data"),
                "-m",
                "immediate",
                "stop",
            ],
            check=True,
            capture_output=True,
            cwd="/",
        )
        assert self._process is not None
        self._process.wait(timeout=60)

    def _answers(self) -> bool:
        program = [str(self._bin / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(program, capture_output=True, check=False).returncode == 0


@contextmanager
def postgres_server(folder: Path, bin_folder: Path) -> Iterator[Server]:
    """Make and start a server; its folder must be reachable for the server's user."""
    server = Server(folder, bin_folder)
    server.create()
    server.start()
    try:
        yield server
    finally:
        server.stop()
