"""The training loop."""

from __future__ import annotations

import argparse
import hashlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.optim import Optimizer

from mbo_search.export.python.pieces.model import first_model
from mbo_search.export.python.pieces.parts import (
    build_optimizers,
    hand_over,
    keep_average,
)
from mbo_search.export.python.pieces.rates import learning_rate
from mbo_search.export.python.pieces.regularizing import (
    FoldedAverage,
    average_share,
    begin_average,
    change_gradients,
    set_dropout,
    shrink,
)
from mbo_search.export.python.pieces.settings import (
    BATCH_TOKENS,
    CONTEXT,
    DATA,
    DEVICE,
    MICRO_BATCH,
    SEED,
    STAGES,
    THREADS,
    TOKEN_TYPE,
    TOTAL_STEPS,
    Stage,
)
from mbo_search.export.python.pieces.text import (
    evaluate,
    read_batch,
)


def training_loss(logits: Tensor, targets: Tensor, stage: Stage) -> Tensor:
    """Mean of what is minimized, over all places."""
    if "z_loss" not in stage and "label_smoothing" not in stage:  # only: plain
        return F.cross_entropy(logits, targets, reduction="sum") / len(targets)
    log_z = logits.logsumexp(dim=-1)
    objective = log_z - logits.gather(1, targets[:, None]).squeeze(1)
    if "label_smoothing" in stage:  # only: label_smoothing
        share, uniform = stage["label_smoothing"], log_z - logits.mean(dim=-1)
        objective = (1 - share) * objective + share * uniform
    if "z_loss" in stage:  # only: z_loss
        objective = objective + stage["z_loss"] * log_z.square()
    return objective.mean()


def seed_dropout(step: int, number: int) -> None:
    """Seed the dropout of a forward pass, so that it follows from the step alone."""
    text = f"dropout {SEED} {step} {number}".encode()
    seed = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1
    torch.cuda.manual_seed(seed)  # only: cuda
    torch.default_generator.manual_seed(seed)  # only: not cuda


def gradients(model: nn.Module, tokens: np.ndarray, stage: Stage, step: int) -> float:
    """Add up the gradients of a step, micro-batch by micro-batch; return the loss."""
    inputs, targets = read_batch(tokens, step)
    total = 0.0
    for first in range(0, len(inputs), MICRO_BATCH):
        if "dropout" in stage:  # only: dropout
            seed_dropout(step, first // MICRO_BATCH)
        rows = slice(first, first + MICRO_BATCH)
        logits, asked = model(inputs[rows]), targets[rows].flatten()
        share = len(asked) / BATCH_TOKENS
        loss = training_loss(logits, asked, stage) * share  # only: terms
        # only: not terms
        loss = F.cross_entropy(logits, asked, reduction="sum") / len(asked) * share
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total


@torch.no_grad()
def update(optimizers: list[Optimizer], lr: float) -> None:
    """Shrink the weights by their decay, then step."""
    for optimizer in optimizers:
        (group,) = optimizer.param_groups
        group["lr"] = lr
        group["lr"] = lr * group.get("ratio", 1.0)  # only: ratios
        for p in group["params"] if group["decay"] else ():  # only: decay
            p.mul_(1.0 - group["lr"] * group["decay"])
        optimizer.step()


def train(model: nn.Module) -> None:
    """Train all stages."""
    tokens = np.memmap(DATA / "train.tokens", dtype=TOKEN_TYPE, mode="r")
    first = {}  # only: changed and not l2_sp
    first = {p: p.detach().clone() for p in model.parameters()}  # only: l2_sp
    average: FoldedAverage | None = None  # only: ema_fold or average
    optimizers: list[Optimizer] = []
    before, done = STAGES[0], 0  # only: handed
    done = 0  # only: not handed
    for stage in STAGES:
        # only: handed
        state = hand_over(optimizers, before, stage) if "hand_over" in stage else {}
        optimizers = build_optimizers(model, stage, state)  # only: handed
        optimizers = build_optimizers(model, stage, {})  # only: not handed
        keep_average(model, before, stage, state)  # only: sf_to_sf
        set_dropout(model, stage.get("dropout", 0.0))  # only: dropout
        average = begin_average(model, stage, average)  # only: ema_fold or average
        for step in range(stage["steps"]):
            lr = learning_rate(stage, step)
            loss = gradients(model, tokens, stage, done)
            change_gradients(model, stage, done, first)  # only: changed
            if stage["clip_norm"] is not None:  # only: clip_norm and unclipped
                nn.utils.clip_grad_norm_(model.parameters(), stage["clip_norm"])
            # only: not unclipped
            nn.utils.clip_grad_norm_(model.parameters(), stage["clip_norm"])
            update(optimizers, lr)
            if "l1" in stage:  # only: l1
                shrink(optimizers, lr * stage["l1"])
            if average is not None:  # only: ema_fold or average
                average.follow(model, average_share(stage, step))
            model.zero_grad()
            done += 1
            if done % max(1, TOTAL_STEPS // 20) == 0:
                print(f"step {done}/{TOTAL_STEPS}: {stage['name']}, loss {loss:.4f}")
        if average is not None:  # only: ema_fold or average
            average.fold(model, optimizers)
        before = stage  # only: handed
    for optimizer in optimizers:  # only: sf_adamw
        if hasattr(optimizer, "eval"):  # puts the average of the weights in their place
            optimizer.eval()


@torch.no_grad()
def continue_text(model: nn.Module, text: str) -> str:
    """Continue a text by 50 tokens, always the likeliest."""
    tokenizer = Tokenizer.from_file(str(DATA / "tokenizer" / "tokenizer.json"))
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    for _ in range(50):
        ids.append(int(model(torch.tensor([ids[-CONTEXT:]]).to(DEVICE))[-1].argmax()))
    return str(tokenizer.decode(ids))


def main() -> float:
    """Train, and measure the loss that the search measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--save", metavar="FILE", help="write the weights here")
    parser.add_argument("--prompt", help="a text to continue after training")
    asked = parser.parse_args()
    torch.set_num_threads(THREADS)
    model = first_model()
    train(model)
    loss = evaluate(model)
    if asked.save:
        save_file(dict(model.named_parameters()), asked.save)
    if asked.prompt:
        print(continue_text(model, asked.prompt))
    print(f"val_loss {loss:.6f}")
    return loss


if __name__ == "__main__":
    main()
