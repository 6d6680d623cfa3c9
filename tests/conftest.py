"""What holds for every test: one thread, a clean environment, no network beyond this machine, explicit seeds."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import ipaddress
import socket
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import settings

# How long an example takes says nothing on a shared machine: no deadline. The same examples every time, so that
# a red run is red again; HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

_SCRUBBED = ("MBO_", "RAY_", "TUNE_", "OPTUNA_", "HF_", "TRANSFORMERS_", "TOKENIZERS_")
_SCRUBBED_NAMES = {"CUDA_VISIBLE_DEVICES", "XDG_CACHE_HOME", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test, and no library asks a model hub."""
    for name in list(os.environ):
        if name.startswith(_SCRUBBED) or name in _SCRUBBED_NAMES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Connections go to loopback addresses and local sockets only."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address):
            raise AssertionError(f"a test tried to reach {address!r}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


def _is_loopback(address: object) -> bool:
    host = address[0] if isinstance(address, tuple) else ""
    return host == "localhost" or (bool(host) and ipaddress.ip_address(host.split("%")[0]).is_loopback)


@pytest.fixture
def seed() -> int:
    """The seed of a test; hand it on, never draw from a global generator."""
    return 20_261_121


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """A generator of its own for each test."""
    return np.random.default_rng(seed)
