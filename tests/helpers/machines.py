"""Two machines on one: network namespaces with addresses of their own, joined by a line that can be cut.

The second machine also has a file system of its own where it matters: it does not see the first one's test folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

HEAD_ADDRESS, OTHER_ADDRESS = "10.203.77.1", "10.203.77.2"
HEAD_PORT = 6379
TOKEN = "b7c1d2e3f4a5968778695a4b3c2d1e0f"
_STARTS = 4
"""Ray gives its own processes half a minute to start, which a busy machine may not keep."""

RAY = str(Path(sys.executable).with_name("ray"))


def missing() -> str | None:
    """What is missing here for namespaces; None if nothing is."""
    if os.getuid() != 0:
        return "network namespaces need root"
    absent = [name for name in ("ip", "unshare", "mount") if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)} not installed (iproute2, util-linux)"
    tried = subprocess.run(
        ["ip", "netns", "add", f"mbo-try-{os.getpid()}"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        return f"no network namespaces here: {tried.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", f"mbo-try-{os.getpid()}"], check=True)
    return None


class Machine:
    """One machine: a namespace, an address, a cache folder, and folders that it does not see."""

    def __init__(self, name: str, address: str, folder: Path, hidden: tuple[Path, ...] = ()) -> None:
        self.name = name
        self.address = address
        self.folder = folder
        self._hidden = hidden

    @property
    def prefix(self) -> tuple[str, ...]:
        """What a command on this machine begins with."""
        return ("ip", "netns", "exec", self.name, *self._hide())

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        return {
            **os.environ,
            "MBO_SEARCH_CACHE": str(self.folder / "cache"),
            "OMP_NUM_THREADS": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            "MBO_TEST_MACHINE": self.name,
            **more,
        }

    def processes(self) -> list[int]:
        found = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False)
        return [int(line) for line in found.stdout.split()]

    def kill(self) -> None:
        """Pull the plug."""
        for pid in self.processes():
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue

    def _hide(self) -> tuple[str, ...]:
        if not self._hidden:
            return ()
        mounts = "; ".join(f"mount -t tmpfs tmpfs {folder}" for folder in self._hidden)
        return ("sh", "-c", f'set -e; {mounts}; exec "$@"', "sh")


class Pair:
    """Two machines and the line between them."""

    def __init__(self, head: Machine, other: Machine) -> None:
        self.head = head
        self.other = other

    def cut(self) -> None:
        subprocess.run(["ip", "-n", self.other.name, "link", "set", "mbo1", "down"], check=True)

    def restore(self) -> None:
        subprocess.run(["ip", "-n", self.other.name, "link", "set", "mbo1", "up"], check=True)


@contextmanager
def two_machines(folder: Path, hidden: tuple[Path, ...]) -> Iterator[Pair]:
    """Make two machines; all their processes end with the block.

    Args:
        folder: Short folder for their caches and Ray's files.
        hidden: Folders that the second machine does not see.
    """
    names = [f"mbo-{os.getpid()}-{index}" for index in range(2)]
    head = Machine(names[0], HEAD_ADDRESS, folder / "a")
    other = Machine(names[1], OTHER_ADDRESS, folder / "b", hidden)
    commands = [
        *(f"ip netns add {name}" for name in names),
        f"ip -n {names[0]} link add mbo0 type veth peer name mbo1 netns {names[1]}",
        f"ip -n {names[0]} addr add {HEAD_ADDRESS}/24 dev mbo0",
        f"ip -n {names[1]} addr add {OTHER_ADDRESS}/24 dev mbo1",
        *(f"ip -n {name} link set lo up" for name in names),
        f"ip -n {names[0]} link set mbo0 up",
        f"ip -n {names[1]} link set mbo1 up",
    ]
    try:
        for machine in (head, other):
            (machine.folder / "ray").mkdir(parents=True)
        for command in commands:
            subprocess.run(command.split(), check=True)
        yield Pair(head, other)
    finally:
        for name in names:
            Machine(name, "", folder).kill()
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def start_ray(
    machine: Machine, more: Mapping[str, str], *, is_head: bool, num_cpus: int = 1, num_gpus: int = 0
) -> None:
    """Start a Ray node."""
    where = ["--head", "--port", str(HEAD_PORT)] if is_head else ["--address", f"{HEAD_ADDRESS}:{HEAD_PORT}"]
    command = [RAY, "start", *where, "--node-ip-address", machine.address, "--num-cpus", str(num_cpus)]
    command += ["--num-gpus", str(num_gpus), "--object-store-memory", "80000000"]
    command += ["--temp-dir", str(machine.folder / "ray"), "--include-dashboard", "false"] if is_head else []
    log = machine.folder / "ray-start.log"  # a pipe would stay open as long as the node lives
    for _ in range(_STARTS):
        with log.open("w", encoding="utf-8") as file:
            done = subprocess.run(
                [*machine.prefix, *command],
                env=machine.environment(more),
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                timeout=300,
            )
        if done.returncode == 0:
            return
        machine.kill()
    raise AssertionError(log.read_text(encoding="utf-8"))
