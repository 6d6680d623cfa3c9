"""A real S3 server from a Python package, on the loopback interface, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECRET = "very-secret-key-0123456789"
KEY_ID = "AKIDFORTESTS"
BUCKET = "bucket"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": KEY_ID,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_EC2_METADATA_DISABLED": "true",
}

_SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address=sys.argv[1], port=int(sys.argv[2]), verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
server._thread.join()
"""


@contextmanager
def s3_server(host: str = "127.0.0.1", port: int = 0, prefix: tuple[str, ...] = ()) -> Iterator[str]:
    """Start a server with one bucket.

    Args:
        host: Address to listen on.
        port: Port; 0: any free one.
        prefix: What the server's command begins with, such as entering a network namespace.

    Yields:
        `host:port`.
    """
    command = [*prefix, sys.executable, "-c", _SERVER, host, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            place = f"{host}:{server.stdout.readline().strip()}"
            make_bucket(place, prefix)
            yield place
        finally:
            server.terminate()


def make_bucket(place: str, prefix: tuple[str, ...]) -> None:
    """Make the bucket from where the server can be reached; it may take a moment to answer."""
    program = f"import tests.helpers.s3 as s3; s3.put_bucket('http://{place}/{BUCKET}')"
    root = str(Path(__file__).resolve().parents[2])
    subprocess.run([*prefix, sys.executable, "-c", program], check=True, cwd=root, timeout=120)


def put_bucket(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=10):
                return
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def s3_url(place: str, prefix: str) -> str:
    return f"s3://{BUCKET}/{prefix}?endpoint_override={place}&scheme=http&region=us-east-1"


def put_credentials_into_environment(environment: dict[str, str] | None = None) -> dict[str, str]:
    """An environment that has the credentials."""
    return {**(os.environ if environment is None else environment), **CREDENTIALS}
