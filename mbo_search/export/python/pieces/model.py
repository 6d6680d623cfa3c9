"""The decoder, and its first weights."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mbo_search.export.python.pieces.settings import (
    CONTEXT,
    DEVICE,
    HEADS,
    LAYERS,
    MLP_WIDTH,
    SEED,
    VOCABULARY,
    WIDTH,
)


class LlamaLayer(nn.Module):
    """Causal attention and SwiGLU, each after a norm and added to its input."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn, self.mlp = nn.ModuleDict(), nn.ModuleDict()
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            self.self_attn[name] = nn.Linear(WIDTH, WIDTH, bias=False)
        for name in ("gate_proj", "up_proj"):
            self.mlp[name] = nn.Linear(WIDTH, MLP_WIDTH, bias=False)
        self.mlp["down_proj"] = nn.Linear(MLP_WIDTH, WIDTH, bias=False)
        self.input_layernorm = nn.RMSNorm(WIDTH, eps=1e-6)
        self.post_attention_layernorm = nn.RMSNorm(WIDTH, eps=1e-6)
        self.dropout = nn.Dropout(0.0)  # only: dropout

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Transform the residual stream, [batch, position, width]."""
        attention, mlp, normed = self.self_attn, self.mlp, self.input_layernorm(x)
        projected = (attention[name](normed) for name in ("q_proj", "k_proj", "v_proj"))
        q, k, v = (y.unflatten(-1, (HEADS, -1)).transpose(1, 2) for y in projected)
        cos, sin = cos.bfloat16(), sin.bfloat16()  # only: bfloat16
        # Each head's first half is rotated against its second half.
        q, k = (x * cos + x.roll(x.shape[-1] // 2, dims=-1) * sin for x in (q, k))
        p = self.dropout.p if self.training else 0.0  # only: dropout
        # only: dropout
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)
        # only: not dropout
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        mixed = mixed.transpose(1, 2).reshape(x.shape)
        x = x + self.dropout(attention["o_proj"](mixed))  # only: dropout
        x = x + attention["o_proj"](mixed)  # only: not dropout
        normed = self.post_attention_layernorm(x)
        gated = F.silu(mlp["gate_proj"](normed)) * mlp["up_proj"](normed)
        change: Tensor = mlp["down_proj"](gated)
        change = self.dropout(change)  # only: dropout
        return x + change


class SmallLlama(nn.Module):
    """A decoder whose weights have the names of `transformers.LlamaForCausalLM`."""

    def __init__(self) -> None:
        super().__init__()
        embedding = nn.Embedding(VOCABULARY, WIDTH)
        layers = nn.ModuleList(LlamaLayer() for _ in range(LAYERS))
        self.model = nn.ModuleDict({"embed_tokens": embedding, "layers": layers})
        self.model["norm"] = nn.RMSNorm(WIDTH, eps=1e-6)
        self.lm_head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.lm_head.weight = embedding.weight  # only: tied
        self.dropout = nn.Dropout(0.0)  # only: dropout
        head_width = WIDTH // HEADS
        frequencies = 1.0 / 10_000.0 ** (torch.arange(0, head_width, 2) / head_width)
        angles = torch.outer(torch.arange(CONTEXT).float(), frequencies)
        self.cos = torch.cat((angles, angles), dim=-1).cos().to(DEVICE)
        self.sin = torch.cat((-angles, angles), dim=-1).sin().to(DEVICE)

    @torch.autocast(DEVICE, dtype=torch.bfloat16)  # only: bfloat16
    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next token at all places, [place, vocabulary], in float32."""
        cos, sin = self.cos[: tokens.shape[1]], self.sin[: tokens.shape[1]]
        x = self.model["embed_tokens"](tokens)
        x = self.dropout(x)  # only: dropout
        for layer in self.model["layers"]:  # type: ignore[attr-defined]
            x = layer(x, cos, sin)
        logits: Tensor = self.lm_head(self.model["norm"](x))
        return logits.flatten(0, 1).float()


def first_model() -> SmallLlama:
    """Build the model with its first weights, which follow from the seed alone."""
    model, generator = SmallLlama(), torch.Generator().manual_seed(SEED)
    for name, weight in model.named_parameters():
        deviation = math.sqrt(2 / (5 * WIDTH))
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            deviation /= math.sqrt(2 * LAYERS)  # so that depth adds no variance
        if weight.ndim >= 2:
            nn.init.normal_(weight, std=deviation, generator=generator)
    return model.to(DEVICE)
