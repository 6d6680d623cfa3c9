"""What stands behind the numbers: the data, the environment, and the commands that give them again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from mbo_search.report.source import ReportSource
from mbo_search.report.strings import Strings
from mbo_search.units import format_count

__all__ = ["commands", "data_facts", "environment_facts"]


def data_facts(source: ReportSource, text: Strings) -> list[tuple[str, str]]:
    """What the models were trained and measured on, as (name, value) pairs."""
    study = source.study
    spec = study.data
    tokenizer = spec.tokenizer
    facts = [
        ("source", ", ".join(spec.source)),
        (
            "tokenizer",
            " ".join(str(part) for part in (tokenizer.kind, tokenizer.path, tokenizer.vocab_size) if part),
        ),
        ("deduplication", spec.dedup),
        ("evaluation windows", f"{format_count(study.evaluation.tokens)} {text['names']['tokens']}"),
        ("budget of one schedule", f"{format_count(source.budget.total_tokens)} {text['names']['tokens']}"),
    ]
    return facts


def environment_facts(source: ReportSource) -> list[tuple[str, str]]:
    """What was resolved once for the study, flat, as (name, value) pairs."""
    return list(_flat("", source.setup))


def _flat(prefix: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), value[key])
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield prefix, ", ".join(str(item) for item in value)
    elif value is not None and value != "":
        yield prefix, str(value)


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
            ("confirm", f"mbo-search resume {folder} --set confirm.seeds=6"),
        ]
    return found
