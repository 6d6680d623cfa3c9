"""Origin of the numbers: the data, the environment, and the commands that reproduce them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from mbo_search.data.metadata import DataMetadata
from mbo_search.report.source import ReportSource
from mbo_search.report.style.i18n import Strings
from mbo_search.units import format_bytes, format_count

Facts = list[tuple[str, str]]

_SHOWN = frozenset({"micro_batch", "precision", "device", "threads"})
"""Numerics that stand among the environment's facts under their own names."""


def data_facts(source: ReportSource, text: Strings) -> Facts:
    """Data that the models were trained and measured on, as (name, value) pairs."""
    words, spec, setup = text["data"], source.study.data, source.setup
    facts = [
        (words["source"], ", ".join(spec.source)),
        (words["tokenizer"], words["tokenizer_value"].format(kind=spec.tokenizer.kind, size=setup.vocab_size)),
        (words["dedup"], spec.dedup),
        (words["bytes_per_token"], f"{setup.bytes_per_token:.3g}"),
        (words["evaluation"], format_count(setup.evaluation_tokens)),
        (words["epochs"], _epochs(source)),
        (words["fingerprint"], setup.data_fingerprint[:16]),
    ]
    if source.metadata is not None:
        facts += _splits(source.metadata, words)
    return [(name, value) for name, value in facts if value]


def _epochs(source: ReportSource) -> str:
    if source.metadata is None or "train" not in source.metadata.splits:
        return ""
    num_tokens = source.metadata.splits["train"].num_tokens
    return f"{source.budget.total_tokens / num_tokens:.3g}" if num_tokens else ""


def _splits(metadata: DataMetadata, words: Mapping[str, str]) -> Facts:
    splits = [
        (
            words[f"split_{name}"],
            words["split_value"].format(
                documents=f"{split.num_documents:,}",
                tokens=format_count(split.num_tokens),
                size=format_bytes(split.num_bytes),
            ),
        )
        for name in ("train", "validation", "test")
        if (split := metadata.splits.get(name)) is not None
    ]
    dropped = metadata.dedup
    return [
        *splits,
        (words["dropped"], words["dropped_value"].format(exact=dropped.exact, near=dropped.near)),
        *((name, version) for name, version in sorted(metadata.versions.items())),
    ]


def environment_facts(source: ReportSource, text: Strings) -> Facts:
    """Environment of training, as (name, value) pairs."""
    words, setup, model = text["environment"], source.setup, source.setup.model
    shape = words["model_value"].format(layers=model.layers, width=model.width, heads=model.heads)
    return [
        (words["model"], shape),
        (words["parameters"], format_count(source.num_parameters)),
        (words["context"], str(model.context)),
        (words["budget"], format_count(source.budget.total_tokens)),
        (words["steps"], words["steps_value"].format(steps=source.budget.total_steps, tokens=setup.batch_tokens)),
        (words["micro_batch"], str(setup.micro_batch)),
        (words["precision"], setup.precision),
        (words["device"], setup.device),
        (words["threads"], str(setup.threads)),
        (words["seed"], str(source.study.seed)),
        *((name, value) for name, value in sorted(setup.numerics.items()) if name not in _SHOWN),
    ]


def commands(source: ReportSource) -> list[tuple[str, str]]:
    """The commands that give the results again, as (key of the words, command) pairs."""
    folder = shlex.quote(str(source.path))
    best = shlex.quote(str(source.path / "best.yaml"))
    study = shlex.quote(str(source.path / "study.yaml"))
    again = shlex.quote(f"{source.path}-again")
    found = [("run", f"mbo-search run {study} --out {again}")]
    if source.ranked:
        found += [
            ("replay", f"mbo-search replay {best}"),
            ("train", f"mbo-search train {best} --out final-model"),
        ]
    if source.ranked and not source.ranking.counts.confirm_runs:
        found.append(("confirm", f"mbo-search confirm {folder}"))
    return found
