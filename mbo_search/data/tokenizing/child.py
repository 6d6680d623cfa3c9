"""What runs in the child process: the texts from a file, the tokenizer to a file, progress to standard error."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

_LENGTH_BYTES = 8


def write_texts(texts: Iterable[str], file: Path) -> None:
    """Write texts to a file, each after its length."""
    with file.open("wb") as output:
        for text in texts:
            content = text.encode()
            output.write(len(content).to_bytes(_LENGTH_BYTES, "little"))
            output.write(content)


def read_texts(file: Path) -> Iterator[str]:
    """Read what `write_texts` wrote."""
    with file.open("rb") as content:
        while length := content.read(_LENGTH_BYTES):
            yield content.read(int.from_bytes(length, "little")).decode()


def train(texts: Iterable[str], vocab_size: int, special_token: str) -> tokenizers.Tokenizer:
    """Train a byte-level BPE tokenizer with the word pattern of GPT-2."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = decoders.ByteLevel()
    tells_progress = hasattr(trainers.BpeTrainer, "progress_format")
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[special_token],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=tells_progress,
    )
    if tells_progress:
        trainer.progress_format = "json"
    backend.train_from_iterator(texts, trainer=trainer)
    return backend


def main(source: str, target: str, vocab_size: str, special_token: str) -> None:
    """Train, and end when the parent does."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    backend = train(read_texts(Path(source)), int(vocab_size), special_token)
    unfinished = Path(f"{target}.part")
    unfinished.write_text(backend.to_str(pretty=True), encoding="utf-8")
    unfinished.replace(target)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)
