"""The processes that train one trial together: each takes its part of every batch, and all hold the same state.

Gradients are averaged by DistributedDataParallel, over gloo on CPUs and nccl on GPUs. Everything else of a step
(clipping, noise, the optimizer) is a function of the averaged gradients, the seed and the step, so every process
does it alike, and no state is exchanged between steps. The first process decides when to stop.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mbo_search.system.device import Device
from mbo_search.system.environment import process_environment
from mbo_search.trial.reports import Stop

_TIMEOUT = timedelta(minutes=30)
_LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}


class Team:
    """A team of one: this process takes the whole batch and communicates with no other.

    >>> team = Team()
    >>> team.part(8), team.sum(0.5), team.agree(lambda: True)
    (range(0, 8), 0.5, True)
    """

    size: int = 1
    """Processes of the team."""

    def part(self, num_sequences: int) -> range:
        """The sequences of a batch that are this process's."""
        return range(num_sequences)

    @contextmanager
    def averaging(self, model: nn.Module, *, is_last: bool) -> Iterator[nn.Module]:
        """The model to call; after the last micro-batch, its gradients are averaged over the team."""
        yield model

    def sum(self, value: float) -> float:
        """The sum of every process's value, to the same bits in each."""
        return value

    def agree(self, stop: Stop) -> bool:
        """Return whether the leader wants to stop."""
        return stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendezvous:
    """Where and as whom a process joins a team.

    Attributes:
        rank: Its number; 0 leads.
        size: Processes of the team.
        file: A file on this machine that does not exist yet, through which they find one another.
    """

    rank: int
    size: int
    file: Path


class ProcessTeam(Team):
    """This process's view of a team of several; one at a time in a process, on the loopback interface only."""

    def __init__(self, rendezvous: Rendezvous, device: Device) -> None:
        """Meet the others; waits for them."""
        self.rank = rendezvous.rank
        self.size = rendezvous.size
        self._parallel: DistributedDataParallel | None = None
        self._learning: tuple[bool, ...] = ()
        if device == "cuda":
            torch.cuda.set_device(rendezvous.rank)
        with process_environment(_LOOPBACK):
            dist.init_process_group(
                "gloo" if device == "cpu" else "cpu:gloo,cuda:nccl",
                init_method=rendezvous.file.resolve().as_uri(),
                rank=rendezvous.rank,
                world_size=rendezvous.size,
                timeout=_TIMEOUT,
            )

    def part(self, num_sequences: int) -> range:
        """The sequences of a batch that are this process's."""
        own = num_sequences // self.size
        return range(self.rank * own, (self.rank + 1) * own)

    @contextmanager
    def averaging(self, model: nn.Module, *, is_last: bool) -> Iterator[nn.Module]:
        """The model to call; after the last micro-batch, its gradients are averaged over the team."""
        parallel = self._parallel_of(model)
        with nullcontext() if is_last else parallel.no_sync():
            yield parallel

    def sum(self, value: float) -> float:
        """The sum of every process's value, to the same bits in each."""
        total = torch.tensor([value], dtype=torch.float64)
        dist.all_reduce(total)
        return float(total)

    def agree(self, stop: Stop) -> bool:
        """Return whether the leader wants to stop."""
        wish = torch.tensor([int(stop()) if self.rank == 0 else 0], dtype=torch.int64)
        dist.broadcast(wish, src=0)
        return bool(wish)

    def order(self, value: Any) -> None:
        """Send a JSON value to every other process, which calls `hear`."""
        self._send(json.dumps(value, allow_nan=False).encode())

    def hear(self) -> Any:
        """Wait for what the leader orders."""
        return json.loads(self._receive())

    def send_files(self, folder: Path) -> None:
        """Send the plain files of a folder to every other process, which calls `receive_files`."""
        paths = sorted(path for path in folder.iterdir() if path.is_file())
        self.order([path.name for path in paths])
        for path in paths:
            self._send(path.read_bytes())

    def receive_files(self, folder: Path) -> None:
        """Write the files that the leader sends into a folder."""
        for name in self.hear():
            assert Path(name).name == name, name
            (folder / name).write_bytes(self._receive())

    def close(self) -> None:
        """Leave the team."""
        self._parallel = None
        dist.destroy_process_group()

    def _parallel_of(self, model: nn.Module) -> DistributedDataParallel:
        """The model with averaged gradients; made anew when what learns has changed."""
        learning = tuple(parameter.requires_grad for parameter in model.parameters())
        if self._parallel is None or self._parallel.module is not model or self._learning != learning:
            self._parallel = DistributedDataParallel(model, forward_sync_buffers=False)
            self._learning = learning
        return self._parallel

    def _send(self, content: bytes) -> None:
        dist.broadcast(torch.tensor([len(content)], dtype=torch.int64), src=0)
        if content:
            dist.broadcast(torch.frombuffer(bytearray(content), dtype=torch.uint8), src=0)

    def _receive(self) -> bytes:
        size = torch.zeros(1, dtype=torch.int64)
        dist.broadcast(size, src=0)
        content: Tensor = torch.zeros(int(size), dtype=torch.uint8)
        if int(size):
            dist.broadcast(content, src=0)
        return content.numpy().tobytes()
