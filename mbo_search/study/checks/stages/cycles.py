"""Rules for blocks in turn: every block is one that the stage trains, and has its turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mbo_search.errors import Problem
from mbo_search.study.checks.choices import block_rule
from mbo_search.study.checks.written import shown
from mbo_search.study.space.defaults import stage_with_defaults
from mbo_search.study.spec.budget import coarsest_budget
from mbo_search.study.spec.dimensions.block_sets import meet
from mbo_search.study.spec.dimensions.cycle import in_order
from mbo_search.study.spec.dimensions.cycle_choices import CycleChoice, Off
from mbo_search.study.spec.schedule import LORA
from mbo_search.study.spec.sections.stages import StageSpace
from mbo_search.study.spec.sections.values import numbers_of
from mbo_search.study.spec.study import StudySpec

_ALL_RULE = "is no block: what the stage trains is divided into blocks here"


def check_cycles(study: StudySpec) -> Iterator[Problem]:
    """Blocks in turn are known, different, trained by their stage, and each has its turn within the stage."""
    yield from _check_choices("stage_defaults.cycle", study.stage_defaults.cycle or (), study)
    for index, written in enumerate(study.stages):
        yield from _check_choices(f"stages.{index}.cycle", written.cycle or (), study)
        stage = stage_with_defaults(study, index)
        at = "stage_defaults.cycle" if written.cycle is None else f"stages.{index}.cycle"
        for position, choice in enumerate(stage.cycle or ()):
            if isinstance(choice, CycleChoice):
                yield from _check_in_stage(f"{at}.{position}", choice, stage, study)


def _check_choices(at: str, choices: Sequence[CycleChoice | Off], study: StudySpec) -> Iterator[Problem]:
    labels: list[str] = []
    for position, choice in enumerate(choices):
        label = choice.label if isinstance(choice, CycleChoice) else choice
        if label in labels:
            hint = "list its turns inside, as in {blocks: [attention, mlp], tokens: [10k, 20k]}"
            yield Problem(key=f"{at}.{position}", value=label, rule="appears twice among the choices", hint=hint)
        labels.append(label)
        if isinstance(choice, CycleChoice):
            yield from _check_blocks(f"{at}.{position}.blocks", choice.blocks, study)
            yield from _check_turns(f"{at}.{position}.tokens", choice.tokens, study)


def _check_blocks(at: str, blocks: Sequence[str], study: StudySpec) -> Iterator[Problem]:
    if len(blocks) < 2:
        hint = "to train only some blocks, write them as `trainable`"
        yield Problem(key=at, value=shown(blocks), rule="must name at least two blocks", hint=hint)
    found: list[str] = []
    for index, block in enumerate(blocks):
        wrong = _ALL_RULE if block.strip() == "all" else _rule(block, study)
        if wrong:
            yield Problem(key=f"{at}.{index}", value=block, rule=wrong)
        elif in_order(block) in found:
            yield Problem(key=f"{at}.{index}", value=block, rule="has a turn already")
        found.append(in_order(block))


def _rule(block: str, study: StudySpec) -> str:
    """What is wrong with the first wrong part of a block; empty if nothing is."""
    return next((rule for part in block.split("+") if (rule := block_rule(part.strip(), study.model))), "")


def _check_turns(at: str, lengths: Sequence[int], study: StudySpec) -> Iterator[Problem]:
    step = coarsest_budget(study, study.stage_defaults, *study.stages).batch_tokens
    for tokens in lengths:
        if tokens < step:
            yield Problem(key=at, value=str(tokens), rule=f"must be at least a step, which may be {step} tokens")
    if len(set(lengths)) < len(lengths):
        yield Problem(key=at, value=shown(lengths), rule="names a length twice")


def _check_in_stage(at: str, choice: CycleChoice, stage: StageSpace, study: StudySpec) -> Iterator[Problem]:
    """Opponents train all weights, or the adapters where a model has some: the blocks are theirs as well."""
    trained = [*(stage.trainable or ("all",)), *([] if study.model.lora is None else [LORA])]
    for index, block in enumerate(choice.blocks):
        missed = next((expression for expression in trained if not meet(block, expression)), None)
        if missed is not None:
            rule = f"holds nothing that stage {stage.name} trains where `trainable` is {missed}"
            yield Problem(key=f"{at}.blocks.{index}", value=block, rule=rule)
    longest = 1.0 if stage.share == "rest" else max(numbers_of(stage.share))
    tokens = round(longest * study.budget.tokens)
    for turn in choice.tokens:
        if turn * (len(choice.blocks) - 1) >= tokens:
            rule = f"leaves the last block without a turn: stage {stage.name} has at most {tokens} tokens"
            yield Problem(key=f"{at}.tokens", value=str(turn), rule=rule)
