"""Origin of the numbers: the data, the environment, and the commands that reproduce them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from mbo_search.report.data_block import DataBlock, data_block
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Strings
from mbo_search.study.spec.budget import charged_steps
from mbo_search.study.spec.foreign.runner import RunnerSpec
from mbo_search.study.spec.network_facts import NetworkFacts
from mbo_search.study.spec.pretrained import PretrainedModel
from mbo_search.study.spec.sections.model import SizedModel
from mbo_search.units import format_count

Facts = list[tuple[str, str]]

_SHOWN = frozenset({"micro_batch", "precision", "device", "threads"})
"""Numerics that stand among the environment's facts under their own names."""


def shown_data(source: ReportSource, text: Strings) -> DataBlock | None:
    """What became of the text, in words; None where nobody knows any more."""
    if source.data is None:
        return None
    return data_block(source.data, text, fields=", ".join(source.study.data.columns))


def data_facts(source: ReportSource, text: Strings) -> Facts:
    """What turned the text into tokens, as (name, value) pairs; nothing is known of a foreign trainer's text."""
    if source.setup.runner is not None:
        return []
    words, spec, setup = text["data"], source.study.data, source.setup
    versions = {} if source.metadata is None else source.metadata.versions
    return [
        (words["tokenizer"], words["tokenizer_value"].format(kind=spec.tokenizer.kind, size=setup.vocab_size)),
        (words["dedup"], words[f"dedup_{spec.dedup}"]),
        (words["bytes_per_token"], f"{setup.bytes_per_token:.3g}"),
        (words["evaluation"], format_count(setup.evaluation_tokens)),
        (words["fingerprint"], setup.data_fingerprint[:16]),
        *sorted(versions.items()),
    ]


def environment_facts(source: ReportSource, text: Strings) -> Facts:
    """Environment of training, as (name, value) pairs."""
    if source.setup.runner is not None:
        return _foreign_facts(source, source.setup.runner, text)
    words, setup, model = text["environment"], source.setup, source.setup.own_model
    return [
        (words["model"], _shape(model, words)),
        (words["parameters"], source.parameters_text(text)),
        (words["context"], str(model.context)),
        (words["budget"], format_count(source.budget.total_tokens)),
        (words["steps"], _steps(source, words)),
        (words["micro_batch"], str(setup.micro_batch)),
        (words["precision"], setup.precision),
        (words["device"], setup.device),
        (words["threads"], str(setup.threads)),
        (words["seed"], str(source.study.seed)),
        *((name, value) for name, value in sorted(setup.numerics.items()) if name not in _SHOWN),
    ]


def _foreign_facts(source: ReportSource, runner: RunnerSpec, text: Strings) -> Facts:
    """What is known of the training of a foreign trainer."""
    words, setup = text["environment"], source.setup
    return [
        (words["runner"], f"{runner.name} {runner.version}".rstrip()),
        (words["parameters"], words["untold_value"] if runner.parameters is None else source.parameters_text(text)),
        (words["budget"], format_count(source.budget.total_tokens)),
        (words["steps"], _steps(source, words)),
        (words["seed"], str(source.study.seed)),
        *((name, value) for name, value in sorted(setup.numerics.items()) if name not in _SHOWN),
    ]


def _steps(source: ReportSource, words: Mapping[str, str]) -> str:
    """Plain steps of a schedule, and how many they may be where stages choose what a step costs."""
    charged, budget = charged_steps(source.study), source.budget
    form = words["steps_value"] if len(charged) == 1 else words["steps_between_value"]
    fewest, most = (budget.total_tokens // tokens for tokens in (charged[-1], charged[0]))
    return form.format(steps=budget.total_steps, tokens=budget.batch_tokens, fewest=fewest, most=most)


def _shape(model: SizedModel, words: Mapping[str, str]) -> str:
    if isinstance(model, NetworkFacts):
        kind = "pretrained_value" if isinstance(model, PretrainedModel) else "architecture_value"
        return words[kind].format(architecture=model.architecture, layers=model.layers, width=model.width)
    return words["model_value"].format(layers=model.layers, width=model.width, heads=model.heads)


def commands(source: ReportSource) -> list[tuple[str, str]]:
    """The commands that give the results again, as (key of the words, command) pairs."""
    folder = shlex.quote(str(source.path))
    best = shlex.quote(str(source.path / "best.yaml"))
    study = shlex.quote(str(source.path / "study.yaml"))
    again = shlex.quote(f"{source.path}-again")
    allow = "" if source.study.runner is None else " --allow-code"
    found = [("run", f"mbo-search run {study} --out {again}{allow}")]
    if source.ranked:
        found += [
            ("replay", f"mbo-search replay {best}{allow}"),
            ("train", f"mbo-search train {best} --out final-model{allow}"),
        ]
    if source.ranked and not source.ranking.counts.confirm_runs:
        found.append(("confirm", f"mbo-search confirm {folder}{allow}"))
    return found
