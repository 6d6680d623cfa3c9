"""Continuing text, one token at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mbo_search.data.tokenizer import Tokenizer
from mbo_search.errors import Problem, UserError
from mbo_search.model.language_model import LanguageModel


def continue_text(
    model: LanguageModel, tokenizer: Tokenizer, prompt: str, *, num_tokens: int, temperature: float, seed: int
) -> str:
    """Continue a text.

    Raises:
        UserError: If the model predicts masked tokens, which continue nothing.
    """
    if model.objective != "next_token":
        rule = "predicts masked tokens, not next ones: it cannot continue a text"
        raise UserError([Problem(key="model", rule=rule)])
    ids = tokenizer.encode(prompt) or [tokenizer.eos_id]
    added = generate(model, ids, num_tokens=num_tokens, temperature=temperature, seed=seed, eos_id=tokenizer.eos_id)
    # Decoded together, because bytes of one character may lie on both sides.
    return tokenizer.decode([*ids, *added])[len(tokenizer.decode(ids)) :]


@torch.inference_mode()
def generate(
    model: LanguageModel, ids: Sequence[int], *, num_tokens: int, temperature: float, seed: int, eos_id: int
) -> list[int]:
    """Draw tokens that continue a text."""
    assert not model.training, "dropout would blur what the model says"
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    drawn: list[int] = []
    for _ in range(num_tokens):
        window_BT = torch.tensor([[*ids, *drawn][-model.spec.context :]], device=device)
        token = _draw(model(window_BT)[0, -1].float().cpu(), temperature, generator)
        if token == eos_id:
            break
        drawn.append(token)
    return drawn


def _draw(logits_V: Tensor, temperature: float, generator: torch.Generator) -> int:
    if temperature == 0:
        return int(logits_V.argmax())
    probabilities_V = torch.softmax(logits_V / temperature, dim=-1)
    return int(torch.multinomial(probabilities_V, 1, generator=generator))
