"""A training script for several processes that a search calls.

    torchrun --nproc-per-node 2 train_ddp.py

Every process opens the call; process 0 alone reports, saves and answers.
"""

import pydoc_data.topics

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from mbo_search.integrations.script import answer, open_call

CONTEXT, SAVE_EVERY = 8, 20

torch.set_num_threads(1)
dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()
call = open_call(rank=rank)
ask = call.request

text = np.fromfile(pydoc_data.topics.__file__, dtype=np.uint8)  # any text; this one comes with Python
train_text, val_text = text[: int(0.9 * len(text))], text[int(0.9 * len(text)) :]


def batch(data, numbers, rows):
    """Some places of a text: the bytes before each, and the byte there."""
    starts = np.random.default_rng(numbers).integers(len(data) - CONTEXT, size=rows)
    windows = torch.from_numpy(np.stack([data[start : start + CONTEXT + 1] for start in starts]).astype(np.int64))
    return windows[:, :-1], windows[:, -1]


def loss_of(network, rows):
    """Mean cross-entropy, nats per byte."""
    return F.cross_entropy(network(rows[0]), rows[1])


def all_are_asked_to_stop():
    """Whether any process was: the signal reaches them one after the other, and all must leave at one step."""
    asked = torch.tensor(float(call.should_stop()))
    dist.all_reduce(asked, op=dist.ReduceOp.MAX)
    return bool(asked)


def new_optimizer(strategy):
    """The optimizer that a stage asks for."""
    settings = {"lr": 0.0, "weight_decay": strategy.weight_decay or 0.0}
    if strategy.optimizer == "adamw":
        betas = strategy.hparams["beta1"], strategy.hparams["beta2"]
        return torch.optim.AdamW(model.parameters(), betas=betas, **settings)
    return torch.optim.SGD(model.parameters(), momentum=strategy.hparams["momentum"], nesterov=True, **settings)


def save(folder):
    """Write a state; the new file replaces an old one at once."""
    if rank == 0:
        state = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict()["state"],
            "step": step,
            "name": name,
        }
        torch.save(state, folder / "state.part")
        (folder / "state.part").replace(folder / "state.pt")
    dist.barrier()


torch.manual_seed(ask.seed)
model = nn.Sequential(
    nn.Embedding(256, 16), nn.Flatten(), nn.Linear(16 * CONTEXT, 64), nn.Tanh(), nn.Linear(64, 256)
)
team = nn.parallel.DistributedDataParallel(model)
step, name, left = 0, "", None
is_repeated = (call.partial / "state.pt").exists()
if is_repeated or call.state_in:
    found = torch.load((call.partial if is_repeated else call.state_in) / "state.pt")
    model.load_state_dict(found["model"])
    step, name, left = found["step"], found["name"], found["optimizer"]

for part in ask.parts:
    if step >= part.last_step:
        continue
    strategy = part.strategy
    optimizer = new_optimizer(strategy)
    is_on_the_way = step > part.first_step
    if left is not None and name == strategy.optimizer and (is_on_the_way or part.hand_over != "reset"):
        settings = optimizer.state_dict()["param_groups"]  # those that are asked for
        optimizer.load_state_dict({"state": left, "param_groups": settings})
    name = strategy.optimizer
    while step < part.last_step and not all_are_asked_to_stop():
        rows = batch(train_text, [ask.seed, step, rank], ask.batch_tokens // size)
        loss = loss_of(team, rows)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), strategy.clip_norm or float("inf"))
        for group in optimizer.param_groups:
            group["lr"] = part.lr(step)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        if step % 5 == 0:
            call.report(step, train_loss=loss.item())
        if step % SAVE_EVERY == 0:
            save(call.partial)
    if step < part.last_step:
        break
    with torch.no_grad():
        val_loss = loss_of(model, batch(val_text, 0, 2048)).item()
    call.report(step, val_loss=val_loss)
    left = optimizer.state_dict()["state"]

if step == ask.last_step:
    save(call.state_out)
    if rank == 0:
        answer(val_loss)
else:
    save(call.partial)
dist.destroy_process_group()
