"""What exported scripts have in common: the text, the optimizers, the hand-over, the loss. It is copied into them.

Everything below the mark is copied as it stands, so it imports nothing of this package.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

# --- copied from here on ---

ADAM_LIKE = ("adam", "adamw", "nadamw")
CARRIED = (*ADAM_LIKE, "sgd_nesterov", "lion", "muon")
"""Optimizers between which a stage carries what it remembers; the others carry to themselves alone."""

DROPOUT_MODULES = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
DROPOUT_NAMES = ("dropout", "attention_dropout", "attn_dropout", "resid_dropout", "hidden_dropout", "dropout_p")


class Rows(Dataset[dict[str, Tensor]]):
    """Rows of the training text in the order of the search: blocks, shuffled anew in every epoch."""

    def __init__(self, folder: Path, order: Mapping[str, int], first: int, count: int) -> None:
        self.tokens = np.load(folder / "train.npy", mmap_mode="r")
        self.context, self.block, self.seed = order["context"], order["block"], order["seed"]
        self.num_blocks = (len(self.tokens) - 1) // self.block
        self.first, self.count = first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        first = (self.first + index) * self.context
        slots, offsets = np.divmod(np.arange(first, first + self.context), self.block)
        epochs, numbers = np.divmod(slots, self.num_blocks)
        order = functools.partial(block_order, self.num_blocks, self.seed)
        blocks = [order(int(epoch))[number] for epoch, number in zip(epochs, numbers, strict=True)]
        places = np.array(blocks) * self.block + offsets
        inputs, targets = (self.tokens[places + shift].astype(np.int64) for shift in (0, 1))
        return {"input_ids": torch.from_numpy(inputs), "labels": torch.from_numpy(targets)}


@functools.lru_cache(maxsize=2)
def block_order(num_blocks: int, seed: int, epoch: int) -> Any:
    """The order of the blocks in an epoch."""
    numbers = np.random.Philox(np.random.SeedSequence([seed, epoch])).random_raw(num_blocks)
    return np.argsort(numbers, kind="stable")


class ScriptOptimizer(torch.optim.Optimizer):
    """The optimizer of one stage, in as many parts as it needs; its learning rate is that of the stage.

    Args:
        model: The model; exactly the stage's parameters learn from now on.
        stage: Optimizer, settings, and for each parameter that learns: which optimizer moves it, its learning rate
            over the stage's, and its weight decay.
        previous: The optimizer of the stage before, whose state is carried if the stage says so.
    """

    def __init__(self, model: nn.Module, stage: Mapping[str, Any], previous: ScriptOptimizer | None) -> None:
        self.stage, self.step_number = stage, stage["first_step"]
        self.named = {name: one for name, one in model.named_parameters() if name in stage["parameters"]}
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in self.named)
        self.first_weights = {name: one.detach().clone() for name, one in self.named.items() if stage["keep_first"]}
        super().__init__(list(self.named.values()), {"lr": 1.0})
        self.parts = [self._part(key) for key in dict.fromkeys(map(tuple, stage["parameters"].values()))]
        if previous is not None:
            self.first_weights |= {name: one for name, one in previous.first_weights.items() if name in self.named}
        if previous is not None and stage["hand_over"] != "reset":
            carry(previous, self)

    def _part(self, key: tuple[str, float, float]) -> tuple[str, float, float, torch.optim.Optimizer]:
        kind, ratio, decay = key
        members = [self.named[name] for name, own in self.stage["parameters"].items() if tuple(own) == key]
        own_decay = decay if kind == "sf_adamw" else 0.0
        groups = [
            {
                "params": [one for one in members if (one.ndim >= 2) is wide],
                "lr": 1.0,
                "weight_decay": own_decay * wide,
            }
            for wide in (True, False)
        ]
        return kind, ratio, decay, build(kind, [group for group in groups if group["params"]], self.stage)

    def kind_of(self, name: str) -> str:
        """The optimizer that moves a parameter."""
        return str(self.stage["parameters"][name][0])

    def part_of(self, name: str) -> torch.optim.Optimizer:
        """The part that holds a parameter."""
        return next(
            part
            for *_, part in self.parts
            if any(self.named[name] is one for group in part.param_groups for one in group["params"])
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Clip, shrink the weights, and move them."""
        with torch.enable_grad():
            found = None if closure is None else closure()
        lr = self.param_groups[0]["lr"]
        self._change_gradients()
        for kind, ratio, decay, part in self.parts:
            for group in part.param_groups:
                group["lr"] = lr * ratio
                for parameter in group["params"]:
                    if parameter.ndim >= 2 and decay and kind != "sf_adamw":
                        parameter.mul_(1.0 - lr * ratio * decay)
            part.step()
        strength = self.stage["regularizers"].get("l1")
        for parameter in self.named.values():
            if strength and parameter.ndim >= 2:
                parameter.copy_(F.softshrink(parameter, lr * strength))
        self.step_number += 1
        return found

    def _change_gradients(self) -> None:
        regularizers = self.stage["regularizers"]
        for name, parameter in self.named.items():
            if parameter.grad is None:
                continue
            if "l2" in regularizers and parameter.ndim >= 2:
                parameter.grad.add_(parameter, alpha=regularizers["l2"])
            if "l2_sp" in regularizers:
                parameter.grad.add_(parameter - self.first_weights[name].to(parameter), alpha=regularizers["l2_sp"])
            if "gradient_noise" in regularizers:
                deviation = (regularizers["gradient_noise"] / (1 + self.step_number) ** 0.55) ** 0.5
                parameter.grad.add_(torch.randn_like(parameter), alpha=deviation)
            if "clip_value" in regularizers:
                parameter.grad.clamp_(-regularizers["clip_value"], regularizers["clip_value"])
        if self.stage["clip_norm"] is not None:
            nn.utils.clip_grad_norm_(list(self.named.values()), self.stage["clip_norm"])

    def show_evaluated(self) -> None:
        """Put the weights in place that are evaluated: schedule-free optimizers train others."""
        for kind, _, _, part in self.parts:
            if kind == "sf_adamw":
                part.eval()  # type: ignore[attr-defined]


def build(kind: str, groups: list[dict[str, Any]], stage: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Build one part of an optimizer; the weights are shrunk outside of it."""
    hparams = stage["hparams"]
    betas = (hparams.get("beta1", 0.9), hparams.get("beta2", 0.95))
    if kind in ("adam", "adamw"):
        return torch.optim.AdamW(groups, betas=betas, fused=True)
    if kind == "nadamw":
        return torch.optim.NAdam(groups, betas=betas, momentum_decay=hparams["momentum_decay"], foreach=True)
    if kind == "sgd_nesterov":
        return torch.optim.SGD(groups, momentum=hparams["momentum"], nesterov=True, foreach=True)
    if kind == "muon":
        return torch.optim.Muon(groups, momentum=hparams["momentum"], adjust_lr_fn="match_rms_adamw")
    import pytorch_optimizer

    if kind == "lion":
        return pytorch_optimizer.Lion(groups, betas=betas, weight_decouple=True, foreach=True)
    if kind == "soap":
        frequency = int(hparams["precondition_frequency"])
        return pytorch_optimizer.SOAP(
            groups, betas=betas, shampoo_beta=hparams["shampoo_beta"], precondition_frequency=frequency
        )
    if kind == "ademamix":
        return pytorch_optimizer.AdEMAMix(
            groups, betas=(*betas, hparams["beta3"]), alpha=hparams["alpha"], t_alpha_beta3=stage["total_steps"]
        )
    if kind == "sf_adamw":
        return pytorch_optimizer.ScheduleFreeAdamW(groups, betas=betas)
    raise ValueError(f"this script knows no optimizer {kind}")


def carry(old: ScriptOptimizer, new: ScriptOptimizer) -> None:
    """Give each parameter what its new optimizer can use of what the old one remembers of it."""
    for name in new.named.keys() & old.named.keys():
        source, target = old.kind_of(name), new.kind_of(name)
        before, after, parameter = old.part_of(name), new.part_of(name), new.named[name]
        state = before.state.get(parameter, {})
        if source == target:
            after.state[parameter] = state
            copy_counts(before, after)
        elif state and source in CARRIED and target in CARRIED:
            after.state[parameter] = carried(source, target, state, old.stage["hparams"], new.stage["hparams"])


def copy_counts(before: torch.optim.Optimizer, after: torch.optim.Optimizer) -> None:
    """Take over what an optimizer counts for a whole group."""
    known = before.param_groups[0]
    counts: dict[str, Any] = {name: known[name] for name in ("step", "weight_sum", "lr_max") if name in known}
    for group in after.param_groups:
        group.update(counts)


def carried(
    source: str, target: str, state: Mapping[str, Any], old: Mapping[str, float], new: Mapping[str, float]
) -> dict[str, Any]:
    """What is remembered of one parameter, in the words of another optimizer."""
    first = state["exp_avg"] if "exp_avg" in state else state["momentum_buffer"]
    if source == "sgd_nesterov":
        first = first * (1 - old["momentum"])  # a running sum becomes a mean
    if target == "lion":
        return {"exp_avg": first.clone()}
    if target in ("muon", "sgd_nesterov"):
        return {"momentum_buffer": first / (1 - new["momentum"]) if target == "sgd_nesterov" else first.clone()}
    if source in ADAM_LIKE:
        moments, steps = {"exp_avg": first.clone(), "exp_avg_sq": state["exp_avg_sq"].clone()}, int(state["step"])
    else:  # a mean without squares counts as the first gradient that is seen
        squares = first.square() * (1 - new["beta2"])
        moments, steps = {"exp_avg": first * (1 - new["beta1"]), "exp_avg_sq": squares}, 1
    device = torch.device("cpu") if target == "nadamw" else first.device
    moments["step"] = torch.tensor(float(steps), device=device)
    if target == "nadamw":
        decay, beta1 = new["momentum_decay"], new["beta1"]
        product = math.prod(beta1 * (1 - 0.5 * 0.96 ** (step * decay)) for step in range(1, steps + 1))
        moments["mu_product"] = torch.tensor(product)
    return moments


def objective(logits: Tensor, targets: Tensor, regularizers: Mapping[str, float]) -> Tensor:
    """What is minimized: cross entropy, with the terms that a stage adds to it."""
    rows, flat = logits.flatten(0, -2).float(), targets.flatten()
    log_z = rows.logsumexp(dim=-1)
    losses = log_z - rows.gather(1, flat[:, None]).squeeze(1)
    share = regularizers.get("label_smoothing", 0.0)
    terms = (1 - share) * losses + share * (log_z - rows.mean(dim=-1))
    return (terms + regularizers.get("z_loss", 0.0) * log_z.square()).mean()


def set_padding_row(model: Any, row: int | None) -> None:
    """Let all rows of the embedding learn but one: the token that pads may be one that the text has."""
    model.get_input_embeddings().padding_idx = row


def set_dropout(model: nn.Module, probability: float) -> None:
    """Set every dropout that the model has."""
    for module in model.modules():
        if isinstance(module, DROPOUT_MODULES):
            module.p = probability
        for name in DROPOUT_NAMES:
            if isinstance(vars(module).get(name), float):
                setattr(module, name, probability)


@torch.no_grad()
def validation_loss(model: nn.Module, folder: Path, rows: int) -> float:
    """Mean cross entropy of the validation windows of the search, nats per token."""
    inputs, targets = np.load(folder / "validation.npy")
    device = next(model.parameters()).device
    model.eval()
    total = 0.0
    for first in range(0, len(inputs), rows):
        ids, wanted = (
            torch.from_numpy(part[first : first + rows].astype(np.int64)).to(device) for part in (inputs, targets)
        )
        total += F.cross_entropy(
            model(input_ids=ids).logits.flatten(0, 1).float(), wanted.flatten(), reduction="sum"
        ).item()
    model.train()
    return total / int(inputs.size)


def read_stages(folder: Path, stages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Complete the stages by what is too long to be read: learning rates of all steps, and parameters by name."""
    more = json.loads((folder / "stages.json").read_text(encoding="utf-8"))
    return [{**stage, **rest} for stage, rest in zip(stages, more, strict=True)]
