"""Proves that tokens, flags and ends of examples fit together, and that prompts do not depend on completions."""

from __future__ import annotations

import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from mbo_search.data.document import Document
from mbo_search.data.tasks.example_files import open_ends, write_examples
from mbo_search.data.token_files import open_asked, open_tokens
from mbo_search.data.tokenizer import EOS, Tokenizer


def make_tokenizer(eos: str = EOS, special: tuple[str, ...] = ()) -> Tokenizer:
    """Single characters, and one token for `ab`."""
    vocab = {character: number for number, character in enumerate("abc<|im_end>")}
    backend = tokenizers.Tokenizer(models.BPE(vocab=vocab | {"ab": len(vocab)}, merges=[("a", "b")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([eos, *special])
    return Tokenizer(backend, eos)


@pytest.fixture
def write(tmp_path):
    def make(examples, tokenizer):
        metadata = write_examples(tmp_path, "train", examples, tokenizer)
        tokens = open_tokens(tmp_path / "train.tokens", "uint16").tolist()
        flags, ends = open_asked(tmp_path / "train.asked").tolist(), open_ends(tmp_path, "train").tolist()
        assert len(tokens) == len(flags) == metadata.num_tokens
        assert ends[-1:] == [len(tokens)][: len(ends)]
        assert sum(flags) == metadata.asked.num_tokens
        return tokens, flags, ends, metadata

    return make


def example(prompt: str, completion: str) -> Document:
    text = prompt + completion
    return Document(name=text, text=text, asked=((len(prompt), len(text)),))


def test_the_tokens_of_a_prompt_do_not_depend_on_its_completion(write):
    tokenizer = make_tokenizer()
    tokens, flags, ends, metadata = write([example("ca", "b"), example("ca", "c")], tokenizer)
    eos, ids = tokenizer.eos_id, {text: tokenizer.encode(text)[0] for text in ("a", "b", "c", "ab")}
    assert tokenizer.encode("cab") == [ids["c"], ids["ab"]]
    assert tokens == [ids["c"], ids["a"], ids["b"], eos, ids["c"], ids["a"], ids["c"], eos]
    assert flags == [0, 0, 1, 1, 0, 0, 1, 1]
    assert ends == [4, 8]
    assert (metadata.num_documents, metadata.num_bytes, metadata.asked.num_bytes) == (2, 6, 2)


def test_special_tokens_are_tokens_only_where_a_template_wrote_them(write):
    tokenizer = make_tokenizer(eos="<|im_end|>")
    text = "a<|im_end|>b<|im_end|>"
    chat = Document(name="chat", text=text, asked=((11, 22),), template=((12, 22),))
    tokens, flags, ends, _ = write([chat, chat], tokenizer)
    # The user's text spells the token in characters; the template's ends the example, so no second one is written.
    assert tokens[: ends[0]].count(tokenizer.eos_id) == 1
    assert tokens[ends[0] - 1] == tokenizer.eos_id
    assert tokenizer.spell(tokens[: ends[0]]) == text
    assert flags[: ends[0]] == [0] * (ends[0] - 2) + [1, 1]


def test_ends_are_known_where_the_end_token_stands_after_every_turn(write):
    tokenizer = make_tokenizer(eos="<|im_end|>")
    text = "a<|im_end|>b<|im_end|>"
    chat = Document(name="chat", text=text, asked=((11, 22),), template=((1, 11), (12, 22)))
    tokens, _, ends, _ = write([chat, chat], tokenizer)
    assert ends == [4, 8]
    assert tokens.count(tokenizer.eos_id) == 4


def test_the_digest_names_what_is_asked_for(write):
    tokenizer = make_tokenizer()
    *_, one = write([example("ca", "c")], tokenizer)
    *_, other = write([example("c", "ac")], tokenizer)
    assert one.sha256 == other.sha256
    assert one.digest != other.digest


def test_no_examples_make_empty_files(write):
    tokens, flags, ends, metadata = write([], make_tokenizer())
    assert (tokens, flags, ends) == ([], [], [])
    assert metadata.bytes_per_token is None
