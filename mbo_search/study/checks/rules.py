"""The rules that types cannot say, each with the settings that it reads.

All rules are checked at once. A rule is skipped where one of its settings is already known to be wrong, so that
one mistake is reported once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from mbo_search.errors import Problem
from mbo_search.study.checks import choices as check_choices
from mbo_search.study.checks import custom as check_own
from mbo_search.study.checks import limits as check_limits
from mbo_search.study.checks import metrics as check_metrics
from mbo_search.study.checks import objectives as check_objectives
from mbo_search.study.checks import places as check_places
from mbo_search.study.checks import runners as check_runners
from mbo_search.study.checks import sections as check_sections
from mbo_search.study.checks import shares as check_shares
from mbo_search.study.checks import tasks as check_tasks
from mbo_search.study.checks.enough_steps import check_enough_steps
from mbo_search.study.checks.stages import averages as check_means
from mbo_search.study.checks.stages import batches as check_batches
from mbo_search.study.checks.stages import cycles as check_cycles
from mbo_search.study.checks.stages import mixtures as check_mixing
from mbo_search.study.checks.stages import reading_orders as check_reading
from mbo_search.study.checks.stages import shapes as check_within
from mbo_search.study.checks.stages import timescales as check_decay
from mbo_search.study.spec.study import StudySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule between settings.

    Attributes:
        check: Yields the problems of a study; keys are dotted key paths of the long form.
        reads: Key paths that it looks at; `*` is any piece.
    """

    check: Callable[[StudySpec], Iterator[Problem]]
    reads: tuple[str, ...]


_GRID = ("budget.grid",)
_BATCHES = ("stage_defaults.batch_tokens", "stages.*.batch_tokens")
_BUDGET = (*_GRID, "budget.tokens", "train.batch_tokens", *_BATCHES)
_SHARES = (*_GRID, "stages.*.share", "at_most.stages")
_STRATEGIES = (
    "stage_defaults",
    *(f"stages.*.{setting}" for setting in ("share", "optimizer", "lr_shape", "warmup", "hand_over", "rewarm")),
)

RULES: tuple[Rule, ...] = (
    Rule(check=check_sections.check_name, reads=("study",)),
    Rule(check=check_runners.check_runner, reads=("runner", "data", "model")),
    Rule(check=check_runners.check_reuse, reads=("runner", "search.searcher", "search.pruner")),
    Rule(check=check_sections.check_words, reads=("data",)),
    Rule(check=check_sections.check_tokenizer, reads=("data.tokenizer",)),
    Rule(check=check_tasks.check_task, reads=("data.task", "data.text_field")),
    Rule(check=check_tasks.check_corpora_of_task, reads=("data.task", "data.source", "data.validation")),
    Rule(check=check_mixing.check_source_names, reads=("data",)),
    Rule(check=check_reading.check_scores, reads=("data",)),
    Rule(check=check_sections.check_attention, reads=("model.width", "model.heads")),
    Rule(check=check_metrics.check_metrics, reads=("evaluation.metrics", "data.task")),
    Rule(check=check_metrics.check_generate, reads=("evaluation.metrics", "evaluation.generate", "model.context")),
    Rule(check=check_shares.check_grid, reads=_GRID),
    Rule(check=check_sections.check_batch, reads=("train.batch_tokens", "model.context")),
    Rule(
        check=check_sections.check_micro_batch,
        reads=("train.batch_tokens", "train.micro_batch", "model.context"),
    ),
    Rule(check=check_sections.check_reference_lrs, reads=()),
    Rule(check=check_sections.check_stage_names, reads=("stages.*.name",)),
    Rule(check=check_choices.check_choices, reads=("model.layers", "model.adapters")),
    Rule(
        check=check_mixing.check_mixtures,
        reads=("data.source", "data.source_names", "stage_defaults.mixture", "stages.*.mixture"),
    ),
    Rule(check=check_reading.check_orders, reads=("stage_defaults.order", "stages.*.order", "data")),
    Rule(
        check=check_within.check_shapes,
        reads=("stage_defaults", *(f"stages.*.{name}" for name in ("optimizer", "regularizers", "weight_decay"))),
    ),
    Rule(
        check=check_decay.check_timescales,
        reads=("stage_defaults", *(f"stages.*.{name}" for name in ("optimizer", "weight_decay", "groups"))),
    ),
    Rule(check=check_own.check_custom, reads=()),
    Rule(check=check_own.check_custom_stages, reads=("custom", "stage_defaults.custom", "stages.*.custom")),
    Rule(check=check_sections.check_optimizers_named, reads=("stages.*.optimizer", "stage_defaults.optimizer")),
    Rule(check=check_sections.check_baselines, reads=()),
    Rule(
        check=check_objectives.check_objectives,
        reads=("search.objectives", "search.searcher", "search.pruner"),
    ),
    Rule(
        check=check_objectives.check_metric_objective,
        reads=("search.objectives", "search.stop", "search.repeats", "evaluation.metrics", "data.task"),
    ),
    Rule(check=check_sections.check_resources, reads=()),
    Rule(
        check=check_sections.check_ranks,
        reads=("train.batch_tokens", "model.context", "resources.workers_per_trial", "resources.gpus_per_trial"),
    ),
    Rule(
        check=check_batches.check_batches,
        reads=("train.batch_tokens", "model.context", "data.task", "resources.workers_per_trial", *_BATCHES),
    ),
    Rule(check=check_batches.check_lr_with_batch, reads=_BATCHES),
    Rule(check=check_places.check_places, reads=("resources.store.url", "search.storage")),
    Rule(check=check_shares.check_budget, reads=_BUDGET),
    Rule(check=check_shares.check_shares, reads=_SHARES),
    Rule(check=check_means.check_averages, reads=(*_GRID, *_STRATEGIES, "stages.*.regularizers")),
    Rule(
        check=check_enough_steps,
        reads=(*_BUDGET, *_SHARES, *_STRATEGIES),
    ),
    Rule(
        check=check_shares.check_warmups,
        reads=(*_BUDGET, *_SHARES, "stages.*.warmup", "stages.*.rewarm", "stage_defaults"),
    ),
    Rule(
        check=check_shares.check_annealed,
        reads=(*_BUDGET, *_STRATEGIES),
    ),
    Rule(
        check=check_cycles.check_cycles,
        reads=(
            *_BUDGET,
            *_SHARES,
            "model.layers",
            "model.adapters",
            *(
                f"{at}.{name}"
                for at in ("stage_defaults", "stages.*")
                for name in ("cycle", "trainable", "batch_tokens", "optimizer", "regularizers")
            ),
        ),
    ),
    Rule(check=check_limits.check_limits, reads=("at_most", *_BUDGET, *_SHARES, *_STRATEGIES)),
    Rule(check=check_sections.check_control, reads=("control", "at_most", *_STRATEGIES)),
)
"""In the order of a study file, rules that build on others after them."""


def check_study(study: StudySpec, already_wrong: Collection[str] = ()) -> tuple[Problem, ...]:
    """Check all rules."""
    problems: list[Problem] = []
    wrong = set(already_wrong)
    for rule in RULES:
        if not any(_overlap(path, pattern) for path in wrong for pattern in rule.reads):
            found = tuple(rule.check(study))
            problems += found
            wrong |= {problem.key for problem in found}
    return tuple(problems)


def _overlap(path: str, pattern: str) -> bool:
    """Tell whether one of two key paths lies within the other."""
    pairs = zip(path.split("."), pattern.split("."), strict=False)
    return all(piece in (wanted, "*") or wanted == "*" for piece, wanted in pairs)
