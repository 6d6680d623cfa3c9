"""The real `SFTTrainer` of TRL with stages, to be run where `trl` can be imported."""

from __future__ import annotations

import tempfile
from pathlib import Path

from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed
from trl import SFTConfig, SFTTrainer

from mbo_search.integrations.transformers import TrainerSpan
from mbo_search.study.spec.schedule import Regularizer, Schedule
from tests.helpers.spans import Spans, check_trainer, full_stage

WORDS = ("<pad>", "<eos>", "<unk>", *"abcdefghij", "=", "+")
DATA = Dataset.from_list(
    [{"prompt": f"{a} + {b} =", "completion": f" {a} {b}"} for a in "abcdefghij" for b in "abcdefghij"]
)
STAGED = Schedule(
    stages=(
        full_stage("warm", 0.5, lr=0.01, regularizers=(Regularizer(kind="dropout", strength=0.1),)),
        full_stage("cool", 0.5, optimizer="lion", lr=0.001, hand_over="reset"),
    )
)


def tokenizer():
    made = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", model_max_length=16
    )


def train(call):
    set_seed(call.request.seed)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(WORDS), max_position_embeddings=16, **sizes))
    span = TrainerSpan(call, model)
    arguments = SFTConfig(
        seed=call.request.seed,
        per_device_train_batch_size=4,
        max_length=16,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to=[],
    )
    parts = DATA.train_test_split(test_size=8, seed=0)
    trainer = SFTTrainer(
        model,
        arguments,
        train_dataset=parts["train"],
        eval_dataset=parts["test"],
        processing_class=tokenizer(),
        optimizers=span.optimizers,
    )
    return span.train(trainer)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        spans = Spans(train, folder, STAGED, segments=2, steps=2)
        check_trainer(spans, middle=1, interrupted_after=0, folder=folder / "partial")
        print("done")
