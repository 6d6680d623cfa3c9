"""Training in a child process: it is native code, which no signal reaches while it runs."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from mbo_search.data.progress import PrepareProgress, PrepareReporter
from mbo_search.data.tokenizing.child import write_texts
from mbo_search.data.workers.python_child import child_command
from mbo_search.errors import DataError, Problem

_MERGES = "Compute merges"
_LAST_LINES = 5


def train_in_child(
    texts: Iterable[str], *, vocab_size: int, special_token: str, folder: Path, tell: PrepareReporter
) -> str:
    """Train a byte-level BPE tokenizer in a process that ends with this call, however it ends.

    Args:
        texts: The training text.
        vocab_size: Tokens at most.
        special_token: The first token.
        folder: Where texts and result lie in the meantime.
        tell: Told the merges that are done.

    Returns:
        The tokenizer as JSON.

    Raises:
        DataError: If the process fails, for example for want of memory.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".bpe-") as place:
        source, target = Path(place) / "texts", Path(place) / "tokenizer.json"
        write_texts(texts, source)
        arguments = [str(source), str(target), str(vocab_size), special_token]
        try:
            lines = _follow(child_command("mbo_search.data.tokenizing.child", *arguments), tell)
        except OSError as error:
            raise _failure(f"{sys.executable}: {error.strerror}") from error
        if not target.is_file():
            raise _failure(" ".join(lines[-_LAST_LINES:]) or "its process was ended")
        return target.read_text(encoding="utf-8")


def _failure(reason: str) -> DataError:
    hint = "a smaller corpus or vocabulary takes less memory"
    return DataError(
        [Problem(key="data.tokenizer", value="bpe", rule=f"could not be trained: {reason}", hint=hint)]
    )


def _follow(command: list[str], tell: PrepareReporter) -> list[str]:
    """Run a process to its end and pass its progress on; returns whatever else it said."""
    others: list[str] = []
    # The child ends when its standard input does: should this process be killed, it will not stay behind.
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                progress = _progress(line)
                if progress is not None:
                    tell(progress)
                elif not line.startswith("{") and line.strip():
                    others.append(line.strip())
            process.wait()
        finally:
            process.kill()
    return others


def _progress(line: str) -> PrepareProgress | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, dict) or found.get("stage") != _MERGES:
        return None
    return PrepareProgress("tokenizer", int(found["current"]), int(found["total"]))
