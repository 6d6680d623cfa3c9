"""Proves that answers are those of `transformers`, greedy and with beams, whatever else is in the batch, and that
they end where they must."""

from __future__ import annotations

import pytest
import torch

from mbo_search.model.build import build_model, sized_model
from mbo_search.model.generation import GenerationLimits, generate_answers
from mbo_search.model.hub import HubModel
from mbo_search.model.language_model import LanguageModel
from mbo_search.study.spec.pretrained import PretrainedSpec
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.testing.pretrained import write_pretrained

VOCAB_SIZE = 260
MOST = 12


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HubModel:
    """A tiny model that is sure of what it says, so that rounding decides nothing."""
    folder = write_pretrained(request.param, tmp_path_factory.mktemp(request.param))
    model = build_model(
        sized_model(PretrainedSpec(pretrained=str(folder), context=40), VOCAB_SIZE), VOCAB_SIZE, seed=0
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(6)
    return model.eval()


def prompts_of(number: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(number)
    lengths = [3 + (5 * index) % 11 for index in range(number)]
    return [torch.randint(VOCAB_SIZE, (length,), generator=generator).tolist() for length in lengths]


def limits(
    beams: int = 1, end_token: int = 256, batch_rows: int = 16, max_new_tokens: int = MOST
) -> GenerationLimits:
    return GenerationLimits(max_new_tokens=max_new_tokens, beams=beams, batch_rows=batch_rows, end_token=end_token)


def theirs(model: HubModel, prompt: list[int], beams: int, end_token: int) -> list[int]:
    """What the library answers; its configuration for generation, which warns of nothing here, is left alone."""
    ids = torch.tensor([prompt])
    answer = model.network.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        num_beams=beams,
        do_sample=False,
        max_new_tokens=MOST,
        eos_token_id=end_token,
        pad_token_id=end_token,
        length_penalty=1.0,
        early_stopping=False,
    )[0, len(prompt) :].tolist()
    return answer[: answer.index(end_token)] if end_token in answer else answer


def frequent_token(model: HubModel, prompts: list[list[int]]) -> int:
    """A token with which some of the answers end early."""
    said = [token for answer in generate_answers(model, prompts, limits()) for token in answer[2:]]
    return max(set(said), key=said.count)


@pytest.mark.parametrize("beams", [1, 2, 4])
def test_answers_are_those_of_transformers(model: HubModel, beams: int) -> None:
    prompts = prompts_of(8)
    end_token = frequent_token(model, prompts)
    found = generate_answers(model, prompts, limits(beams, end_token))
    assert found == [theirs(model, prompt, beams, end_token) for prompt in prompts]
    lengths = {len(answer) for answer in found}
    assert min(lengths) < MOST, "an answer ends early, or nothing is shown about ends"
    assert len({tuple(answer) for answer in found}) > 1


@pytest.mark.parametrize("beams", [1, 3])
def test_an_answer_does_not_depend_on_its_company(model: HubModel, beams: int) -> None:
    prompts = prompts_of(7)
    end_token = frequent_token(model, prompts)
    alone = [generate_answers(model, [prompt], limits(beams, end_token))[0] for prompt in prompts]
    for batch_rows in (3, 7, 64):
        assert generate_answers(model, prompts, limits(beams, end_token, batch_rows)) == alone


class Counting(LanguageModel):
    """Says one more than the last token, and remembers what it was shown."""

    def __init__(self, context: int = 16) -> None:
        super().__init__()
        self.spec = ModelSpec(layers=1, width=8, heads=1, context=context)
        self.vocab_size = 10
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.shown: list[tuple[int, int]] = []

    def forward(self, input_ids_BT: torch.Tensor) -> torch.Tensor:
        self.shown.append(tuple(input_ids_BT.shape))
        assert input_ids_BT.shape[1] <= self.spec.context
        return 5.0 * torch.nn.functional.one_hot((input_ids_BT + 1) % 10, 12).float()


def test_an_answer_ends_at_its_end_or_at_the_most_tokens() -> None:
    found = generate_answers(Counting().eval(), [[1], [4, 5], [8]], limits(end_token=9, max_new_tokens=4))
    assert found == [[2, 3, 4, 5], [6, 7, 8], []]


def test_what_has_ended_is_computed_no_more() -> None:
    model = Counting().eval()
    generate_answers(model, [[1], [7], [6]], limits(end_token=9, max_new_tokens=5, batch_rows=2))
    assert [rows for rows, _ in model.shown] == [2, 2, 2, 2, 2]


@pytest.mark.parametrize("beams", [1, 4])
def test_a_long_prompt_loses_its_beginning(beams: int) -> None:
    model = Counting(context=8).eval()
    found = generate_answers(model, [list(range(9)), [3]], limits(beams, end_token=0, max_new_tokens=3))
    assert found == [[9], [4, 5, 6]]
    assert max(length for _, length in model.shown) <= 8


def test_a_model_that_drops_weights_at_random_is_not_asked() -> None:
    with pytest.raises(AssertionError):
        generate_answers(Counting().train(), [[1]], limits())
