"""Proves that chats are written as the library of the templates writes them, and that all answers are asked for."""

from __future__ import annotations

import itertools
import json

import pytest

from mbo_search.data.prepare import prepare
from mbo_search.data.tasks.chats import ChatTemplate, chat_template
from mbo_search.errors import DataError
from mbo_search.study.spec.sections.data import DataSpec, TokenizerSpec

CHATML = (
    "{{ bos_token }}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + "
    "message['content'] | trim + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
IN_BLOCKS = (
    "{%- for message in messages %}{%- if message.role == 'assistant' %}"
    "{%- generation -%}A: {{ message.content }}<end>{%- endgeneration -%}"
    "{%- else %}U: {{ message.content }}<end>{%- endif %}{%- endfor %}"
)
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "One?"},
    {"role": "assistant", "content": " Two. "},
    {"role": "user", "content": "Three?"},
    {"role": "assistant", "content": "Four."},
]


def asked(document) -> list[str]:
    return [document.text[start:end] for start, end in document.asked]


def written_by_template(document) -> list[str]:
    return [document.text[start:end] for start, end in document.template]


def test_every_answer_is_asked_for_with_the_end_of_its_turn_and_nothing_else():
    document = ChatTemplate(CHATML, {"bos_token": "<s>"}).example(CHAT, "chat:1")
    assert document.text == (
        "<s><|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nOne?<|im_end|>\n"
        "<|im_start|>assistant\nTwo.<|im_end|>\n<|im_start|>user\nThree?<|im_end|>\n"
        "<|im_start|>assistant\nFour.<|im_end|>"
    )
    assert asked(document) == ["Two.<|im_end|>", "Four.<|im_end|>"]
    assert document.prompt.endswith("One?<|im_end|>\n<|im_start|>assistant\n")
    assert "One?" not in "".join(written_by_template(document))


def test_the_text_is_that_of_transformers():
    transformers = pytest.importorskip("transformers")
    import tokenizers

    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    library = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>")
    trimmed = [turn | {"content": turn["content"].strip()} for turn in CHAT]
    for template in (CHATML, IN_BLOCKS):
        expected = library.apply_chat_template(trimmed, chat_template=template, tokenize=False).rstrip()
        assert ChatTemplate(template, {"bos_token": "<s>"}).example(CHAT, "chat:1").text == expected


def test_without_a_template_turns_are_lines_and_the_last_one_ends_the_document():
    document = ChatTemplate().example(CHAT, "chat:1")
    assert document.text.splitlines()[1:3] == ["user: One?", "assistant: Two."]
    assert asked(document) == ["Two.\n", "Four."]


def test_what_comes_after_the_last_answer_is_left_out():
    more = [*CHAT, {"role": "user", "content": "And?"}]
    assert ChatTemplate(CHATML).example(more, "chat:1") == ChatTemplate(CHATML).example(CHAT, "chat:1")


@pytest.mark.parametrize("messages", [None, [], [{"role": "user", "content": "x"}]])
def test_chats_without_answers_are_empty(messages):
    assert ChatTemplate().example(messages, "chat:1").text == ""


def test_other_spellings_of_turns_mean_the_same():
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    other = [{"from": names[turn["role"]], "value": turn["content"]} for turn in CHAT]
    in_parts = [turn | {"content": [{"type": "text", "text": turn["content"]}]} for turn in CHAT]
    expected = ChatTemplate(CHATML).example(CHAT, "chat:1")
    for messages in (other, in_parts, json.dumps(CHAT)):
        assert ChatTemplate(CHATML).example(messages, "chat:1") == expected


@pytest.mark.parametrize(
    ("messages", "rule"),
    [
        ("no JSON", "holds text instead of a list"),
        ({"role": "user"}, "holds dict instead of a list"),
        (["hello"], "holds a message that is str"),
        ([{"content": "x"}], "without a role"),
        ([{"role": "assistant", "content": 3}], "content is not text"),
        ([{"role": "assistant", "content": [{"type": "image"}]}], "content is not text"),
    ],
)
def test_what_is_no_chat_is_refused_with_its_place(messages, rule):
    with pytest.raises(DataError, match=rule) as caught:
        ChatTemplate().example(messages, "chat:7")
    assert caught.value.problems[0].where == "chat:7"
    assert caught.value.problems[0].key == "data.task.messages"


@pytest.mark.parametrize(
    ("template", "rule"),
    [
        ("{{ raise_exception('roles must alternate') }}", "refused .* roles must alternate"),
        ("{% for m in messages %}{{ m.content", "refused"),
        ("{{ messages[-1].content }}", "leaves out or rewrites"),
        ("{% for m in messages %}{{ m.content[1:] }}{% endfor %}", "leaves out or rewrites"),
        ("{{ ''.__class__.__mro__ }}", "refused|leaves out"),
    ],
)
def test_templates_that_refuse_or_rewrite_a_chat_are_named(template, rule):
    with pytest.raises(DataError, match=rule):
        ChatTemplate(template).example(CHAT, "chat:1")


def test_a_template_lies_beside_the_tokenizer_in_one_of_three_ways(tmp_path):
    tokenizer, config = tmp_path / "tokenizer.json", tmp_path / "tokenizer_config.json"
    plain = ChatTemplate().example(CHAT, "chat:1")
    assert chat_template(None).example(CHAT, "chat:1") == plain
    assert chat_template(tokenizer).example(CHAT, "chat:1") == plain
    settings = {"bos_token": {"content": "<s>"}, "eos_token": None}
    named = [{"name": "tool_use", "template": ""}, {"name": "default", "template": CHATML}]
    expected = ChatTemplate(CHATML, {"bos_token": "<s>"}).example(CHAT, "chat:1")
    for source in (CHATML, named):
        config.write_text(json.dumps(settings | {"chat_template": source}), encoding="utf-8")
        assert chat_template(tokenizer).example(CHAT, "chat:1") == expected
    (tmp_path / "chat_template.jinja").write_text("{{ messages[-1].content }}", encoding="utf-8")
    assert chat_template(tokenizer).example(CHAT[-1:], "chat:1").text == "Four."


def test_tokens_and_answers_are_those_of_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers

    template = (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
        "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}"
        "{% endgeneration %}{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = tokenizers.Tokenizer(models.BPE(vocab={sign: n for n, sign in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    library = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|im_end|>", chat_template=template
    )
    library.save_pretrained(str(tmp_path / "tokenizer"))
    chats = [[turn | {"content": f"{turn['content'].strip()} {n}"} for turn in CHAT] for n in range(20)]
    source = tmp_path / "chats.jsonl"
    source.write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in chats), encoding="utf-8")
    tokenizer = TokenizerSpec(kind="file", path=str(tmp_path / "tokenizer"))
    spec = DataSpec(source=(str(source),), tokenizer=tokenizer, task={"messages": "messages"}, validation_share=0.1)
    prepared = prepare(spec, tmp_path / "cache")
    expected = set()
    for chat in chats:
        whole = library.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)
        # The line end behind the last answer is left out.
        expected.add((tuple(whole["input_ids"][:-1]), tuple(whole["assistant_masks"][:-1])))
    found = set()
    for split in ("train", "validation", "test"):
        tokens, asked = prepared.tokens(split).tolist(), prepared.asked(split).tolist()
        ends = prepared.ends(split).tolist()
        found |= {(tuple(tokens[a:b]), tuple(asked[a:b])) for a, b in itertools.pairwise([0, *ends])}
    assert found == expected
