"""`init`: a commented study file to start from."""

from __future__ import annotations

import re
from pathlib import Path

from mbo_search.cli.console import CommandResult
from mbo_search.errors import Problem, UserError, command_line
from mbo_search.system.files import write_atomic

STARTER = """\
# A study: which stages, and which optimizer, learning rate and regularizer in each?
#
# A list is a set of choices, {low: ..., high: ...} a range, anything else is fixed.
# Counts may be written 400k, 2M or 1B. `mbo-search plan FILE` shows what this file means, `run FILE` runs it.

study: NAME                     # the run directory will be reports/NAME
seed: 0

# Where the text comes from: built-in corpora (mbo-search list corpora), files, folders or globs of your own.
data:
  source: [docs, ref]           # for your own text: source: [texts/]
  tokenizer: {kind: bpe, vocab_size: 1024}
  dedup: near                   # none, exact or near; done before the split into training, validation and test

# A small Llama-style decoder; {size: tiny}, {size: small} and {size: base} are presets.
model: {layers: 4, width: 128, heads: 4, context: 128, tie_embeddings: true}

# What one full schedule may cost. Lengths of stages are multiples of the grid.
budget: {tokens: 400k, grid: 0.05}
train: {batch_tokens: 1024, micro_batch: auto, precision: auto, threads: auto}
evaluation: {tokens: 20k, points: 10}

# Settings of every stage that does not set its own.
stage_defaults: {clip_norm: 1.0, weight_decay: 0.1}

stages:
  - name: warm
    share: 0.3                  # of the budget
    optimizer: [adamw, lion, muon]
    lr: {relative: {low: 0.125, high: 2.0}}   # times the optimizer's reference learning rate
    lr_shape: [constant]
    warmup: 0.02                # of the whole budget
    regularizers: [[], [{z_loss: 1.0e-4}]]    # sets; one set is chosen
  - name: cool
    share: rest
    optimizer: [adamw, muon]
    lr: {relative: {low: 0.125, high: 2.0}}
    lr_shape: [linear, {wsd: {decay: 0.5, kind: sqrt}}]   # the last stage must end with a decay
    hand_over: [carry, reset]   # keep or forget the optimizer's state; see mbo-search list optimizers
    rewarm: auto                # warm up again where second moments are lost
    weight_decay: {low: 0.02, high: 0.3}

search: {searcher: auto, pruner: off, trials: 32}   # and/or budget: 8M (tokens), hours: 6; whichever comes first
# The question is the highest freedom of the stages above: here, whether the optimizer should change. Its opponents
# are searched too, with half of the tokens between them: one strategy (tuned), its learning rate in any shape
# (shape), settings that change between stages (settings). A yes has to beat the champion of each.
control: {question: auto, share: 0.5}   # question: tuned, shape, settings or switch
baselines: [adamw_cosine, muon_wsd]   # untuned; trained first
confirm: null                   # or {top: 1, seeds: 6}: train every champion again on fresh seeds
resources: {workers: auto, gpus_per_trial: auto, store: {limit: auto}}
"""
"""Every section of a study file with a word on each; NAME stands for the study's name."""


def write_starter(file: Path, *, force: bool) -> CommandResult:
    """Write a commented study file named after itself.

    Raises:
        UserError: If the file exists, or cannot be written.
    """
    if file.exists() and not force:
        raise UserError([Problem(key="", rule="exists already", hint="--force replaces it", where=str(file))])
    try:
        write_atomic(file, STARTER.replace("NAME", _study_name(file)))
    except OSError as error:
        rule = f"cannot be written: {error.strerror}"
        raise UserError([Problem(key="", rule=rule, hint="choose another path", where=str(file))]) from error
    return CommandResult(
        schema="mbo-search/init/1",
        document={"file": str(file)},
        text=[f"Wrote {file}. Name your own text in it under data.source."],
        next=f"see what it would do and cost: {command_line('plan', file)}",
        brief=str(file),
    )


def _study_name(file: Path) -> str:
    """The file's stem with everything but ASCII letters, digits, dots, dashes and underscores replaced."""
    kept = re.sub(r"[^A-Za-z0-9._-]", "-", file.stem)
    return kept.strip(".-_") or "study"
