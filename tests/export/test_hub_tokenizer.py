"""The exported tokenizer gives the ids that training saw, alone and in batches, whatever the user's file adds."""

from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from mbo_search.data.tokenizer import load_tokenizer, save_byte_tokenizer, save_tokenizer_file
from mbo_search.export.hub_tokenizer import write_hub_tokenizer

TEXTS = ("the schedule trains", "the schedule trains the model slowly", "stage")


def users_tokenizer(folder, *, tokenizer_class, post_processor, pad=None):
    folder.mkdir()
    backend = Tokenizer(models.BPE(unk_token=None))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "</s>", "[CLS]", "[SEP]", "<pad>"]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    backend.train_from_iterator(TEXTS * 3, trainer)
    backend.post_processor = post_processor
    backend.enable_truncation(max_length=4)
    backend.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": tokenizer_class, "eos_token": "</s>", "bos_token": "<s>", "add_bos_token": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(config | ({"pad_token": pad} if pad else {})))
    return folder


BOS = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
CLS = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))


@pytest.mark.parametrize(
    ("tokenizer_class", "post_processor", "pad"),
    [
        ("LlamaTokenizerFast", BOS, None),
        ("BertTokenizerFast", CLS, "<pad>"),
        ("PreTrainedTokenizerFast", None, "gone"),
    ],
)
def test_nothing_is_added_and_batches_can_be_padded(tmp_path, tokenizer_class, post_processor, pad):
    from transformers import AutoTokenizer

    users = users_tokenizer(
        tmp_path / "users", tokenizer_class=tokenizer_class, post_processor=post_processor, pad=pad
    )
    prepared, hub = tmp_path / "prepared", tmp_path / "hub"
    prepared.mkdir()
    hub.mkdir()
    save_tokenizer_file(str(users), prepared)
    special = write_hub_tokenizer(prepared, hub, context=32)
    ours, theirs = load_tokenizer(prepared), AutoTokenizer.from_pretrained(hub)
    assert [theirs(text)["input_ids"] for text in TEXTS] == [ours.encode(text) for text in TEXTS]
    batch = theirs(list(TEXTS), padding=True)
    longest = max(len(ours.encode(text)) for text in TEXTS)
    assert {len(row) for row in batch["input_ids"]} == {longest}
    assert batch["attention_mask"][2][0] == 0
    assert theirs.pad_token == ("<pad>" if pad == "<pad>" else "</s>")
    assert special == {"bos_token_id": None, "eos_token_id": ours.eos_id, "pad_token_id": theirs.pad_token_id}


def test_our_own_tokenizer_pads_with_the_end_of_a_document(tmp_path):
    from transformers import AutoTokenizer

    prepared, hub = tmp_path / "prepared", tmp_path / "hub"
    prepared.mkdir()
    hub.mkdir()
    save_byte_tokenizer(prepared)
    assert write_hub_tokenizer(prepared, hub, context=32)["pad_token_id"] == 256
    assert AutoTokenizer.from_pretrained(hub)(["a", "ab"], padding=True)["input_ids"] == [[256, 97], [97, 98]]
