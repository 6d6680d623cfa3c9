"""Proves that the label chosen is that of the full table of log-probabilities, found with less work."""

from __future__ import annotations

import pytest
import torch

from mbo_search.model.build import build_model
from mbo_search.model.decoder import Decoder
from mbo_search.model.label_choice import choose_labels
from mbo_search.study.spec.sections.model import ModelSpec

END = 0
VOCAB_SIZE = 12
LABELS = [[1, 2], [3, 4, 5], [3, 4], [6, 8], [1, 2, 7], [9, 9]]


@pytest.fixture(scope="module")
def model() -> Decoder:
    spec = ModelSpec(layers=2, width=16, heads=2, context=16)
    model = build_model(spec, VOCAB_SIZE, seed=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return model.eval()


def prompts_of(number: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(VOCAB_SIZE, (2 + n % 5,), generator=generator).tolist() for n in range(number)]


@torch.no_grad()
def log_prob(model: Decoder, prompt: list[int], label: list[int]) -> float:
    ids = torch.tensor([[*prompt, *label, END]])
    log_probs = torch.log_softmax(model(ids[:, :-1]), dim=-1)[0, len(prompt) - 1 :]
    return float(log_probs.gather(1, ids[0, len(prompt) :, None]).sum())


def test_the_choice_is_that_of_the_full_table(model: Decoder) -> None:
    prompts = prompts_of(24)
    found = choose_labels(model, prompts, LABELS, end_token=END, batch_rows=5)
    tables = [[log_prob(model, prompt, label) for label in LABELS] for prompt in prompts]
    assert [choice.label for choice in found] == [table.index(max(table)) for table in tables]
    assert [choice.log_prob for choice in found] == pytest.approx([max(table) for table in tables], abs=1e-5)
    assert len({choice.label for choice in found}) >= 3


def test_a_choice_does_not_depend_on_its_company(model: Decoder) -> None:
    prompts = prompts_of(9)
    together = choose_labels(model, prompts, LABELS, end_token=END, batch_rows=4)
    alone = [choose_labels(model, [prompt], LABELS, end_token=END, batch_rows=1)[0] for prompt in prompts]
    assert [choice.label for choice in together] == [choice.label for choice in alone]


def test_of_equally_likely_labels_the_first_is_chosen(model: Decoder) -> None:
    class Indifferent(Decoder):
        def forward(self, input_ids_BT: torch.Tensor) -> torch.Tensor:
            return torch.zeros(*input_ids_BT.shape, VOCAB_SIZE)

    model = Indifferent(model.spec, VOCAB_SIZE).eval()
    (found,) = choose_labels(model, [[1]], [[1, 2], [4], [3], [5, 6]], end_token=END, batch_rows=2)
    assert found.label == 1, "the shorter one"
    (found,) = choose_labels(model, [[1]], [[9], [4], [3]], end_token=END, batch_rows=2)
    assert found.label == 0


def test_labels_that_begin_badly_cost_nothing(model: Decoder) -> None:
    asked = []

    class Decided(Decoder):
        def forward(self, input_ids_BT: torch.Tensor) -> torch.Tensor:
            asked.append(input_ids_BT.shape[0])
            return 20.0 * torch.nn.functional.one_hot((input_ids_BT + 1) % VOCAB_SIZE, VOCAB_SIZE).float()

    labels = [[first, second] for first in range(1, 12) for second in range(1, 12)]
    model = Decided(model.spec, VOCAB_SIZE).eval()
    (found,) = choose_labels(model, [[9]], labels, end_token=END, batch_rows=1)
    assert labels[found.label] == [10, 11]
    assert sum(asked) == 3


def test_a_long_prompt_loses_its_beginning(model: Decoder) -> None:
    prompt = prompts_of(3)[2] * 9
    (found,) = choose_labels(model, [prompt], LABELS, end_token=END, batch_rows=1)
    table = [log_prob(model, prompt[-13:], label) for label in LABELS]
    assert found.label == table.index(max(table))
