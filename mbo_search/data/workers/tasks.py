"""The kinds of work on texts, here or in a child process: texts go in, bytes come out."""

from __future__ import annotations

import itertools
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO

import numpy as np
import numpy.typing as npt

from mbo_search.data.duplicates.signatures import Signer
from mbo_search.data.tokenizer import load_tokenizer

Work = Callable[[Sequence[str]], bytes]

LENGTH_BYTES = 8
DONE, FAILED = b"\0", b"\1"


def _encoding(folder: str) -> Work:
    """Token ids: first how many of each text, then all of them."""
    tokenizer = load_tokenizer(Path(folder))

    def encode(texts: Sequence[str]) -> bytes:
        found = tokenizer.encode_batch(texts)
        counts = np.array([len(ids) for ids in found], dtype="<i8")
        ids = np.fromiter(itertools.chain.from_iterable(found), dtype="<u4", count=int(counts.sum()))
        return counts.tobytes() + ids.tobytes()

    return encode


def _signing(_: str) -> Work:
    """Signatures of near duplicates."""
    signer = Signer()
    return lambda texts: signer.sign(texts).tobytes()


WORKS: Mapping[str, Callable[[str], Work]] = MappingProxyType({"encode": _encoding, "sign": _signing})
"""Makes each kind of work ready; the argument is the tokenizer's folder, or nothing."""


def encoded(reply: bytes, num_texts: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Read the reply of `encode`: the number of tokens of each text, and the tokens."""
    counts = np.frombuffer(reply, dtype="<i8", count=num_texts)
    return counts, np.frombuffer(reply, dtype="<u4", offset=counts.nbytes)


def write_request(pipe: IO[bytes], texts: Sequence[str]) -> None:
    """Send texts to a child."""
    contents = [text.encode() for text in texts]
    pipe.write(len(contents).to_bytes(LENGTH_BYTES, "little"))
    for content in contents:
        pipe.write(len(content).to_bytes(LENGTH_BYTES, "little"))
        pipe.write(content)
    pipe.flush()


def main(kind: str, argument: str) -> None:
    """Work in a child process until its parent closes the pipe, or is gone."""
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    work: Work | None = None
    while header := requests.read(LENGTH_BYTES):
        texts = [_read_text(requests) for _ in range(int.from_bytes(header, "little"))]
        try:
            work = work or WORKS[kind](argument)
            status, reply = DONE, work(texts)
        except Exception:  # the parent says it
            status, reply = FAILED, traceback.format_exc(limit=-1).strip().encode(errors="replace")
        try:
            replies.write(status + len(reply).to_bytes(LENGTH_BYTES, "little") + reply)
            replies.flush()
        except BrokenPipeError:
            os._exit(1)  # the parent is gone; nobody is left to tell


def _read_text(requests: IO[bytes]) -> str:
    return requests.read(int.from_bytes(requests.read(LENGTH_BYTES), "little")).decode()
