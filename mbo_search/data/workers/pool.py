"""Work on portions of texts in several processes, with the results in order; a small text is done right here."""

from __future__ import annotations

import os
import queue
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from mbo_search.data.workers.python_child import child_command
from mbo_search.data.workers.tasks import DONE, LENGTH_BYTES, WORKS, Work, write_request
from mbo_search.errors import DataError, Problem
from mbo_search.system.cores import available_cores

_CHARACTERS_WORTH_A_PROCESS = 1 << 23
# Each holds a tokenizer and what it works on, up to 200 MB in all.
_MOST_PROCESSES = 6
_WAITING_A_PROCESS = 2

_Portion = TypeVar("_Portion")


def num_processes(num_characters: int, num_cores: int) -> int:
    """Processes that are worth their start for a text; 0: it is done in this one.

    >>> num_processes(10**6, 8), num_processes(10**9, 8), num_processes(10**9, 1)
    (0, 6, 0)
    """
    worth = min(num_characters // _CHARACTERS_WORTH_A_PROCESS, num_cores, _MOST_PROCESSES)
    return worth if worth > 1 else 0


@dataclass(frozen=True, slots=True)
class Workers:
    """Does one kind of work.

    Attributes:
        works: One for each process; a single one for this process.
    """

    works: tuple[Work, ...]

    def results(
        self, portions: Iterable[_Portion], texts_of: Callable[[_Portion], Sequence[str]]
    ) -> Iterator[tuple[_Portion, bytes]]:
        """Work on portions; each comes with its result, in order. Only a few are in memory at a time."""
        if len(self.works) == 1:
            yield from ((portion, self.works[0](texts_of(portion))) for portion in portions)
            return
        free: queue.SimpleQueue[Work] = queue.SimpleQueue()
        for work in self.works:
            free.put(work)
        waiting: deque[tuple[_Portion, Future[bytes]]] = deque()
        threads = ThreadPoolExecutor(len(self.works))
        try:
            for portion in portions:
                waiting.append((portion, threads.submit(_work_when_free, free, texts_of(portion))))
                if len(waiting) > _WAITING_A_PROCESS * len(self.works):
                    first, future = waiting.popleft()
                    yield first, future.result()
            yield from ((portion, future.result()) for portion, future in waiting)
        finally:
            threads.shutdown(cancel_futures=True)


def _work_when_free(free: queue.SimpleQueue[Work], texts: Sequence[str]) -> bytes:
    work = free.get()
    try:
        return work(texts)
    finally:
        free.put(work)


@contextmanager
def open_workers(kind: str, argument: str, num_characters: int) -> Iterator[Workers]:
    """Make one of the `WORKS` ready for a text, in as many processes as it is worth."""
    count = num_processes(num_characters, available_cores())
    if not count:
        yield Workers((WORKS[kind](argument),))
        return
    with open_processes(kind, argument, count) as workers:
        yield workers


@contextmanager
def open_processes(kind: str, argument: str, count: int) -> Iterator[Workers]:
    """Start processes, which end with this context or with this process, whatever becomes of it."""
    command = child_command("mbo_search.data.workers.tasks", kind, argument)
    # The processes are as many as the cores already.
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    children: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            children.append(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, process_group=0
                )
            )
        yield Workers(tuple(_asking(child) for child in children))
    finally:
        for child in children:
            child.kill()
            child.communicate()


def _asking(child: subprocess.Popen[bytes]) -> Work:
    def ask(texts: Sequence[str]) -> bytes:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            write_request(child.stdin, texts)
        except OSError as error:
            raise _ended() from error
        header = child.stdout.read(1 + LENGTH_BYTES)
        reply = child.stdout.read(int.from_bytes(header[1:], "little"))
        if not header or len(reply) < int.from_bytes(header[1:], "little"):
            raise _ended()
        if header[:1] != DONE:
            raise _failure(reply.decode(errors="replace"))
        return reply

    return ask


def _ended() -> DataError:
    return _failure("it was ended, perhaps for want of memory")


def _failure(reason: str) -> DataError:
    rule = f"could not be prepared: a process that worked on it failed: {reason}"
    return DataError([Problem(key="data.source", rule=rule)])
