"""Trains a small language model on a text file: `python train.py`. It knows nothing of any search."""

import math
import pathlib
import pydoc_data.topics

import numpy as np
import torch
from model import GPT, GPTConfig

# ----------------------------------------------------------------------------
# what is trained
out_dir = pathlib.Path("out")
init_from = "scratch"  # or "resume"
data_file = pydoc_data.topics.__file__  # any text; this one comes with Python
seed = 1337
# evaluation and logging
eval_interval = 20
eval_iters = 8
log_interval = 10
# batches
batch_size = 8
block_size = 32
# optimizer
learning_rate = 4e-3
max_iters = 160
weight_decay = 1e-1
beta1 = 0.9
beta2 = 0.95
grad_clip = 1.0
# decay of the learning rate
warmup_iters = 8
lr_decay_iters = 160
min_lr = 4e-4
# ----------------------------------------------------------------------------

torch.set_num_threads(1)
torch.manual_seed(seed)
text = np.fromfile(data_file, dtype=np.uint8)
train_data, val_data = text[: int(0.9 * len(text))], text[int(0.9 * len(text)) :]


def get_batch(split, number):
    """Batch `number` of a split: a function of its number, so nothing about the order has to be saved."""
    data = train_data if split == "train" else val_data
    dice = np.random.default_rng([seed if split == "train" else 0, number])
    starts = dice.integers(len(data) - block_size, size=batch_size)
    rows = torch.from_numpy(np.stack([data[start : start + block_size + 1] for start in starts]).astype(np.int64))
    return rows[:, :-1], rows[:, 1:]


@torch.no_grad()
def estimate_loss():
    """Mean loss on the first batches of the validation text."""
    model.eval()
    losses = [model(*get_batch("val", number)).item() for number in range(eval_iters)]
    model.train()
    return sum(losses) / len(losses)


def get_lr(it):
    """Linear warm-up, then half a cosine."""
    if it < warmup_iters:
        return learning_rate * (it + 1) / (warmup_iters + 1)
    ratio = min(1.0, (it - warmup_iters) / (lr_decay_iters - warmup_iters))
    return min_lr + 0.5 * (1.0 + math.cos(math.pi * ratio)) * (learning_rate - min_lr)


def save_checkpoint(folder):
    """Write all that the training goes on from; the new file replaces the old one at once."""
    folder.mkdir(exist_ok=True)
    checkpoint = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "iter_num": iter_num}
    torch.save(checkpoint, folder / "ckpt.part")
    (folder / "ckpt.part").replace(folder / "ckpt.pt")


iter_num = 0
model = GPT(GPTConfig(block_size=block_size))
optimizer = model.configure_optimizers(weight_decay, learning_rate, (beta1, beta2))
if init_from == "resume":
    checkpoint = torch.load(out_dir / "ckpt.pt")
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    iter_num = checkpoint["iter_num"]

while True:
    if iter_num % eval_interval == 0 or iter_num == max_iters:
        val_loss = estimate_loss()
        print(f"step {iter_num}: val loss {val_loss:.4f}")
        save_checkpoint(out_dir)
    if iter_num == max_iters:
        break
    for group in optimizer.param_groups:
        group["lr"] = get_lr(iter_num)
    loss = model(*get_batch("train", iter_num))
    loss.backward()
    if grad_clip != 0.0:
        torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    iter_num += 1
    if iter_num % log_interval == 0:
        print(f"iter {iter_num}: loss {loss.item():.4f}")
