"""Text to tokens and back. All three kinds of tokenizer end as one `tokenizer.json` in a folder.

`bytes` is a byte-level tokenizer without merges, `bpe` is trained here on the training split, `file` is taken from
the user. Hugging Face's `AutoTokenizer` loads the folder too.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from mbo_search.data.progress import PrepareReporter, tell_nobody
from mbo_search.data.tokenizing.foreign_tokenizers import foreign_format, missing_tokenizer
from mbo_search.data.tokenizing.sentencepiece_models import MODEL_SUFFIX, convert_sentencepiece, sentencepiece_file
from mbo_search.data.tokenizing.training import train_in_child
from mbo_search.data.tokenizing.words import bounded_texts
from mbo_search.errors import DataError, Problem
from mbo_search.system.files import read_json, write_atomic, write_json

EOS = "<|endoftext|>"
"""The end-of-document token of tokenizers built here, and of files that name none."""

_KNOWN_EOS = (
    EOS,
    "</s>",
    "<|end_of_text|>",
    "<eos>",
    "<|im_end|>",
    "<|eos|>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
    "[SEP]",
)
_CONFIG = "tokenizer_config.json"
_FILE = "tokenizer.json"
_COMPANIONS = ("special_tokens_map.json", "chat_template.jinja")
# Settings by which `transformers` would build another tokenizer than the converted one.
_OF_A_CLASS = frozenset({"tokenizer_class", "added_tokens_decoder", "auto_map", "sp_model_kwargs"})


class Tokenizer:
    """Converts text to token ids and back.

    Text that spells a special token is encoded as plain text, so that no document can end itself.

    Args:
        backend: The tokenizer; it is changed to neither pad nor truncate.
        eos: The end-of-document token, in the backend's vocabulary.
    """

    def __init__(self, backend: tokenizers.Tokenizer, eos: str) -> None:
        backend.no_padding()
        backend.no_truncation()
        backend.encode_special_tokens = True
        eos_id = backend.token_to_id(eos)
        assert eos_id is not None
        self._backend = backend
        self.eos = eos
        self.eos_id: int = eos_id
        unknown_id = _unknown_id(backend)
        self.unknown_id: int | None = None if unknown_id == eos_id else unknown_id
        self.vocab_size: int = max(backend.get_vocab(with_added_tokens=True).values()) + 1
        added = backend.get_added_tokens_decoder()
        self.special_ids: dict[str, int] = {one.content: token for token, one in added.items() if one.special}

    def encode(self, text: str) -> list[int]:
        """Token ids of a text; no begin or end token is added."""
        ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of several texts, encoded in parallel."""
        encodings = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids; special tokens are left out, broken UTF-8 becomes U+FFFD."""
        text: str = self._backend.decode(list(ids), skip_special_tokens=True)
        return text

    def uncovered_share(self, texts: Sequence[str]) -> float:
        """Share of the characters besides white space for which there is no token: a tokenizer may drop them."""
        num_visible = num_uncovered = 0
        for text, encoding in zip(
            texts, self._backend.encode_batch(list(texts), add_special_tokens=False), strict=True
        ):
            uncovered = np.array([not character.isspace() for character in text], dtype=bool)
            num_visible += int(uncovered.sum())
            for start, end in encoding.offsets:
                uncovered[start:end] = False
            num_uncovered += int(uncovered.sum())
        return num_uncovered / max(1, num_visible)

    def spell(self, ids: Sequence[int]) -> str:
        """Text of token ids as a model sees it: special tokens, such as one for unknown text, are spelled out."""
        text: str = self._backend.decode(list(ids), skip_special_tokens=False)
        return text

    def byte_lengths(self) -> npt.NDArray[np.int64]:
        """UTF-8 bytes of text that each token stands for, shape [vocab_size]; 0 for special and unused ids.

        Exact for byte-level tokenizers. For others a space marker counts as one byte, a byte token such as
        `<0xE4>` as one, and continuation marks as none.
        """
        is_byte_level = '"ByteLevel"' in json.dumps(json.loads(self._backend.to_str())["decoder"])
        added = self._backend.get_added_tokens_decoder()
        lengths = np.zeros(self.vocab_size, dtype=np.int64)
        for token, token_id in self._backend.get_vocab(with_added_tokens=True).items():
            if token_id in added:
                lengths[token_id] = 0 if added[token_id].special else len(token.encode())
            else:
                lengths[token_id] = len(token) if is_byte_level else _plain_length(token)
        return lengths


def _unknown_id(backend: tokenizers.Tokenizer) -> int | None:
    """The token that stands for text without one; None if the tokenizer has none."""
    model = json.loads(backend.to_str())["model"]
    if isinstance(model.get("unk_id"), int):
        return int(model["unk_id"])
    unknown = model.get("unk_token")
    token_id = backend.token_to_id(unknown) if isinstance(unknown, str) else None
    return None if token_id is None else int(token_id)


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load a tokenizer that this module has saved.

    Raises:
        DataError: If the files are missing or damaged.
    """
    backend = _read_backend(folder / _FILE)
    eos = _configured_eos(folder / _CONFIG)
    if eos is None or backend.token_to_id(eos) is None:
        raise DataError([Problem(key="", rule=f"names no eos_token of {_FILE}", where=str(folder / _CONFIG))])
    return Tokenizer(backend, eos)


def save_byte_tokenizer(folder: Path) -> None:
    """Save the tokenizer whose tokens are the 256 bytes, in their order, and the end of a document (id 256)."""
    vocab = {character: byte for byte, character in enumerate(_byte_characters())}
    backend = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([EOS])
    _save(backend, folder)


def train_bpe_tokenizer(
    texts: Iterable[str], *, vocab_size: int, folder: Path, tell: PrepareReporter = tell_nobody
) -> None:
    """Train and save a byte-level BPE tokenizer. Equal texts give an equal tokenizer.

    References:
        Sennrich, Haddow, Birch 2016, Neural Machine Translation of Rare Words with Subword Units, arXiv:1508.07909.
        Differs from the paper: works on bytes, with the word pattern of GPT-2; words of text without spaces end
        after at most `LONGEST_WORD` characters.
    """
    trained = train_in_child(
        bounded_texts(texts), vocab_size=vocab_size, special_token=EOS, folder=folder, tell=tell
    )
    _save(tokenizers.Tokenizer.from_str(trained), folder)


def tokenizer_files(path: str) -> tuple[Path, ...]:
    """Find the files of a tokenizer that a study names: the tokenizer first, then the settings beside it.

    In a folder a `tokenizer.json` comes before a SentencePiece model.

    Raises:
        DataError: If there is neither.
    """
    given = Path(path)
    file = given / _FILE if given.is_dir() else given
    if given.is_dir() and not file.is_file():
        file = sentencepiece_file(given) or file
    if not file.is_file():
        raise DataError([missing_tokenizer(path, given)])
    foreign = foreign_format(file)
    if foreign is not None:
        raise DataError([foreign])
    beside = (file.with_name(name) for name in (_CONFIG, *_COMPANIONS))
    return (file, *(companion for companion in beside if companion.is_file()))


def save_tokenizer_file(path: str, folder: Path) -> None:
    """Copy a user's tokenizer into a folder, with the settings that lie beside it.

    The end-of-document token is the `eos_token` of `tokenizer_config.json`, else that of a SentencePiece model,
    else the first well-known one in the vocabulary, else `<|endoftext|>` is appended to the vocabulary.

    Raises:
        DataError: If the file is missing, or is not a tokenizer.
    """
    file, *beside = tokenizer_files(path)
    config = _read_config(file.parent / _CONFIG)
    if file.suffix == MODEL_SUFFIX:
        converted = convert_sentencepiece(file)
        backend, given_eos = converted.backend, _eos_of(config) or converted.eos
        backend.save(str(folder / _FILE))
        config = {name: value for name, value in config.items() if name not in _OF_A_CLASS}
    else:
        backend, given_eos = _read_backend(file), _eos_of(config)
        shutil.copyfile(file, folder / _FILE)
    eos = given_eos or next((token for token in _KNOWN_EOS if backend.token_to_id(token) is not None), EOS)
    if backend.token_to_id(eos) is None:
        backend.add_special_tokens([eos])
        backend.save(str(folder / _FILE))
    write_json(folder / _CONFIG, {"tokenizer_class": "PreTrainedTokenizerFast"} | config | {"eos_token": eos})
    for companion in beside:
        if companion.name in _COMPANIONS:
            shutil.copyfile(companion, folder / companion.name)


def _save(backend: tokenizers.Tokenizer, folder: Path) -> None:
    write_atomic(folder / _FILE, backend.to_str(pretty=True) + "\n")
    write_json(folder / _CONFIG, {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": EOS})


def _read_backend(file: Path) -> tokenizers.Tokenizer:
    # tokenizers raises bare Exception for every error in the file, so nothing narrower can be caught.
    try:
        return tokenizers.Tokenizer.from_buffer(file.read_bytes())
    except Exception as error:
        rule = f"is not a tokenizer that `tokenizers` {tokenizers.__version__} reads: {error}"
        raise DataError([Problem(key="data.tokenizer.path", rule=rule, where=str(file))]) from error


def _read_config(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        config = read_json(file)
    except ValueError as error:
        raise DataError([Problem(key="", rule=f"is not JSON: {error}", where=str(file))]) from error
    return config if isinstance(config, dict) else {}


def _configured_eos(file: Path) -> str | None:
    return _eos_of(_read_config(file))


def _eos_of(config: dict[str, Any]) -> str | None:
    eos = config.get("eos_token")
    if isinstance(eos, dict):
        eos = eos.get("content")
    return eos if isinstance(eos, str) else None


def _plain_length(token: str) -> int:
    if token.startswith("<0x") and token.endswith(">"):
        return 1
    return len(token.removeprefix("##").replace("\u2581", " ").encode())


def _byte_characters() -> Iterator[str]:
    """The printable character that byte-level tokenizers write for each byte, in the order of the bytes."""
    shifted = 256
    for byte in range(256):
        if 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255:
            yield chr(byte)
        else:
            yield chr(shifted)
            shifted += 1
