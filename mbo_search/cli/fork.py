"""`fork`: another study with what an old run directory can give it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mbo_search.cli.console import CommandResult
from mbo_search.errors import command_line
from mbo_search.units import format_bytes


def fork_run(folder: Path, out: Path, overrides: Sequence[str]) -> CommandResult:
    """Start a new study.

    Raises:
        UserError: If either directory or the new study is wrong.
    """
    from mbo_search.api.searches import fork

    forked = fork(folder, out, overrides=overrides)
    changes = [f"  {key}: {old} -> {new}" for key, old, new in forked.changes]
    reasons = [f"  {count} not: {reason}" for reason, count in Counter(forked.left.values()).most_common()]
    text = [
        "Changed:" if changes else "Nothing is changed.",
        *changes,
        f"Taken over: {len(forked.reused)} of {len(forked.reused) + len(forked.left)} trials, "
        f"{forked.num_nodes} trained states ({format_bytes(forked.node_bytes)})",
        *([f"  {len(forked.again)} of them had failed and will be trained again"] if forked.again else []),
        *reasons,
    ]
    document = {
        "folder": str(forked.run),
        "changes": [{"key": key, "old": old, "new": new} for key, old, new in forked.changes],
        "reused": list(forked.reused),
        "again": list(forked.again),
        "left": {str(trial): reason for trial, reason in forked.left.items()},
        "num_nodes": forked.num_nodes,
        "node_bytes": forked.node_bytes,
    }
    return CommandResult(
        schema="mbo-search/fork/1",
        document=document,
        text=text,
        next=f"search on: {command_line('resume', forked.run)}",
        brief=str(forked.run),
    )
