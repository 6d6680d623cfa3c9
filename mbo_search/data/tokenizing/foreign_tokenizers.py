"""Tokenizers in formats that are not read, and the commands that convert them."""

from __future__ import annotations

from pathlib import Path

from mbo_search.errors import Problem

_FILE = "tokenizer.json"
WITH_TRANSFORMERS = (
    'with transformers installed, `python -c "from transformers import AutoTokenizer as A; '
    "A.from_pretrained('FOLDER').save_pretrained('FOLDER')\"` writes tokenizer.json into its folder"
)
"""How the tokenizer of a model's folder is converted."""

_VOCAB_AND_MERGES = (
    '`python -c "from tokenizers import ByteLevelBPETokenizer as B; '
    "B('vocab.json', 'merges.txt').save('tokenizer.json')\"` in its folder writes tokenizer.json"
)
_WORDPIECE = (
    'in its folder, `python -c "from tokenizers import BertWordPieceTokenizer as B; '
    "B('vocab.txt').save('tokenizer.json')\"` writes tokenizer.json"
)
# A line for the user's own shell and the user's own file; nothing is unpickled here.
FROM_META_PKL = (
    'in its folder, `python -c "from pickle import load; from tokenizers import Tokenizer, decoders, models; '
    "t = Tokenizer(models.BPE(load(open('meta.pkl', 'rb'))['stoi'], [])); t.decoder = decoders.Fuse(); "
    "t.save('tokenizer.json')\"` makes a tokenizer.json of the characters in meta.pkl"
)
"""How a character-level tokenizer of nanoGPT is converted."""

_HINTS = {
    "vocab.json": _VOCAB_AND_MERGES,
    "merges.txt": _VOCAB_AND_MERGES,
    "vocab.txt": _WORDPIECE,
    "meta.pkl": FROM_META_PKL,
}
"""What makes a `tokenizer.json` of each file, the surest way first."""


def missing_tokenizer(path: str, given: Path) -> Problem:
    """Say that a path leads to no tokenizer, and how one is made of what lies there."""
    if given.is_dir():
        beside = [name for name in _HINTS if (given / name).is_file()]
        holds = f"; it holds {beside[0]}" if beside else ""
        return Problem(
            key="data.tokenizer.path",
            value=path,
            rule=f"holds no {_FILE}{holds}",
            hint=_HINTS[beside[0]] if beside else WITH_TRANSFORMERS,
        )
    hint = f"give a {_FILE} or a folder that holds one"
    return Problem(key="data.tokenizer.path", value=path, rule="does not exist", hint=hint)


def foreign_format(file: Path) -> Problem | None:
    """Say that a file is a tokenizer in another format; None if nothing speaks for one."""
    hint = _HINTS.get(file.name)
    if not hint:
        return None
    rule = f"is a tokenizer in another format than {_FILE}"
    return Problem(key="data.tokenizer.path", value=str(file), rule=rule, hint=hint)
