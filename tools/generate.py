"""Files that follow from the code: written by `make docs`, and compared with what is committed by `make check`.

docs/cli.md               every command's help
docs/api.md               the public names of the package
docs/architecture.svg     the rooms of the package and the imports between them
docs/catalogue.md         what a study may name, with papers
tests/cli/surface.txt     the commands and options that the command line promises
docs/decisions/README.md  the list of decisions
studies/study.schema.json JSON Schema of study files, for editors
docs/schemas/             JSON Schemas of exported schedules, and of what a training command is asked and answers
"""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from architecture import architecture_svg
from typer.main import get_command

import mbo_search
from mbo_search.cli.app import app
from mbo_search.cli.console import run_app
from mbo_search.study.catalogue.entries import Hparam, RegularizerDefinition
from mbo_search.study.catalogue.hand_over import CarriedSlot, hand_over_table
from mbo_search.study.catalogue.lookup import CORPORA
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.metrics import METRICS, NEEDS
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.catalogue.within_stage import WEIGHT_DECAY
from mbo_search.study.files.schema import as_text, schedule_schema_text, schema_text
from mbo_search.train.foreign.schemas import report_line_schema, span_request_schema, span_result_schema

__all__ = ["GENERATED", "stale_files"]

ROOT = Path(__file__).resolve().parents[1]
_HELP_COLUMNS = "102"


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with `--check` say which ones are out of date."""
    stale = stale_files()
    if "--check" in arguments:
        for name in stale:
            print(f"{name} is out of date; `make docs` writes it again", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (ROOT / name).parent.mkdir(exist_ok=True)
        (ROOT / name).write_text(GENERATED[name](), encoding="utf-8")
        print(f"wrote {name}")
    return 0


def stale_files() -> list[str]:
    """The generated files that are missing or differ from what the code says."""
    return [name for name, write in GENERATED.items() if not _is_current(ROOT / name, write())]


def _is_current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def command_line_page() -> str:
    """`docs/cli.md`."""
    parts = [
        "# The command line",
        "<!-- Written by `make docs`. -->",
        "Every command has `--json` (one document on stdout with a versioned `schema` field; progress stays on "
        "stderr) and `--quiet`. Errors are listed on stderr, all at once; with `--json` stdout then holds a "
        "document of the schema `mbo-search/error/1`. Exit codes: 0 ok, 1 failed, 2 invalid input in what was "
        "asked, 130 interrupted.",
        f"```text\n{_help([])}\n```",
    ]
    for name in _command_names():
        parts += [f"## mbo-search {name}", f"```text\n{_help([name])}\n```"]
    return "\n\n".join(parts) + "\n"


def surface() -> str:
    """`tests/cli/surface.txt`: a line for each command with its arguments and options."""
    lines = []
    for name, command in sorted(get_command(app).commands.items()):
        options = sorted(" ".join(parameter.opts) for parameter in command.params)
        lines.append(f"{name}: {', '.join(options)}")
    return "\n".join(lines) + "\n"


def catalogue_page() -> str:
    """`docs/catalogue.md`."""
    parts = [
        "# What a study may name",
        "<!-- Written by `make docs`. -->",
        "## Optimizers",
        "Learning rates hold at width 256; for other widths they are multiplied by 256 / width to the power given. "
        "For `muon` and `soap` the learning rate is that of the hidden matrices; embeddings, head and norms are "
        "updated by AdamW with that rate times `aux_lr_ratio`.",
        _table(
            ["name", "what", "reference lr", "lr range", "power", "settings (default)", "implemented by", "paper"],
            [
                [
                    f"`{name}`",
                    info.summary,
                    f"{info.reference_lr:g}",
                    f"{info.lr_low:g} to {info.lr_high:g}",
                    f"{info.width_exponent:g}",
                    _settings(info.hparams),
                    f"`{info.library}`",
                    info.paper,
                ]
                for name, info in sorted(OPTIMIZERS.built_in.items())
            ],
        ),
        *(
            f"Where training starts from pretrained weights, `{name}` {info.pretrained_warning}."
            for name, info in sorted(OPTIMIZERS.built_in.items())
            if info.pretrained_warning
        ),
        "Reference learning rates of pretrained weights are others: see "
        "[start from a pretrained model](pretrained.md#learning-rates).",
        "## Learning-rate shapes",
        "Each is a pure function from the progress in a stage to a factor of the peak, behind a linear warm-up.",
        _table(
            ["name", "what", "settings (default)", "may end a schedule", "paper"],
            [
                [
                    f"`{name}`",
                    info.summary,
                    _settings(info.hparams),
                    "yes" if info.anneals else "no",
                    info.paper,
                ]
                for name, info in sorted(LR_SHAPES.built_in.items())
            ],
        ),
        "## Regularizers",
        "Each has one number. They can change from stage to stage and be combined, each at most once in a stage. "
        "Weight decay and clipping by norm are settings of every stage.",
        _table(
            ["name", "its number", "sensible", "allowed", "paper"],
            [
                [
                    f"`{name}`",
                    info.summary,
                    f"{info.search_low:g} to {info.search_high:g}",
                    f"{info.low:g} to {info.high:g}",
                    info.paper,
                ]
                for name, info in sorted(REGULARIZERS.built_in.items())
            ],
        ),
        "## Shapes within a stage",
        "Settings that a [shape](stages.md#shapes-within-a-stage) may move from step to step. Of those marked with "
        "(1) the distance from 1 is multiplied, of all others the number itself.",
        _table(["of", "settings"], _changing_rows()),
        "## Hand-over",
        "What `hand_over: carry` keeps, for the parameters that both optimizers update themselves. The parameters "
        "that `muon` and `soap` leave to AdamW follow the row of AdamW. Pairs that are not listed can only be "
        "reset. Where second moments do not arrive, `rewarm: auto` warms up again.",
        _table(["from", "to", "kept", "second moments arrive"], _hand_over_rows()),
        "## Corpora",
        "Nothing is downloaded and no text is shipped: `code`, `docs` and `ref` are read from Python's own "
        "standard library, as are the pairs of `classify` and `summarize`; small packages bring `prose`, `qa` and "
        "`translate`. Those with columns are for [tasks](tasks.md).",
        _table(
            ["name", "text", "size", "columns", "needs", "license"],
            [
                [
                    f"`{name}`",
                    info.summary,
                    f"about {info.num_bytes / 1e6:.2g} MB",
                    ", ".join(f"`{column}`" for column in info.columns) or "none",
                    f"`{info.needs}`" if info.needs else "nothing",
                    info.license,
                ]
                for name, info in sorted(CORPORA.items())
            ],
        ),
        "## Metrics",
        "Of tasks, for `evaluation: {metrics: [...]}`; see [metrics](metrics.md).",
        _table(
            ["name", "what", "range", "better", "model is asked for", "paper"],
            [
                [
                    f"`{name}`",
                    info.summary,
                    f"{info.low:g} to {info.high:g}",
                    info.direction,
                    NEEDS[info.needs],
                    info.paper,
                ]
                for name, info in sorted(METRICS.items())
            ],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def api_page() -> str:
    """`docs/api.md`: a table, and directives that the site turns into signatures and docstrings."""
    public = {name: getattr(mbo_search, name) for name in mbo_search.__all__ if not name.startswith("__")}
    parts = [
        "# Python",
        "<!-- Written by `make docs`. -->",
        "`import mbo_search as mbo` loads no heavy library; what a function needs is imported when it is called. "
        "[Examples](../examples/README.md) show the usual order of calls.",
        _table(["name", "what"], [[f"`mbo.{name}`", _first_sentence(value)] for name, value in public.items()]),
        "Everything that is not listed here is internal and may change in any release.",
        *(_directive(name, value) for name, value in public.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _first_sentence(value: object) -> str:
    return " ".join((inspect.getdoc(value) or "").partition("\n\n")[0].split())


def _directive(name: str, value: object) -> str:
    module, qualified = getattr(value, "__module__", "mbo_search"), getattr(value, "__qualname__", name)
    return f"::: {module}.{qualified}\n    options:\n      heading: {name}\n      heading_level: 2"


def decisions_page() -> str:
    """`docs/decisions/README.md`."""
    parts = [
        "# Decisions",
        "<!-- Written by `make docs`. -->",
        "What was decided, why, and what follows from it. A decision that is changed says so at its end.",
        "\n".join(
            f"- [{_title(page)}]({page.name})" for page in sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _title(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def _hand_over_rows() -> list[list[str]]:
    rows: dict[tuple[str, ...], None] = {}
    for (previous, following), row in sorted(hand_over_table(OPTIMIZERS.built_in).items()):
        kept = "everything" if row.everything else ", ".join(_slot(slot) for slot in row.carried)
        arrives = ("no", "yes")[row.second_moments] if OPTIMIZERS[following].second_moments else "it has none"
        pair = ("any", "the same") if row.everything else (_family(previous), _family(following))
        rows[(*pair, kept, "yes" if row.everything else arrives)] = None
    return [list(row) for row in rows]


def _family(name: str) -> str:
    adam_like = [known for known, info in OPTIMIZERS.built_in.items() if info.family == "adam"]
    return ", ".join(f"`{one}`" for one in (adam_like if name in adam_like else [name]))


def _slot(slot: CarriedSlot) -> str:
    how = "" if slot.conversion == "copy" else f" ({slot.conversion.replace('_', ' ')})"
    return f"`{slot.source}`{how}" if slot.source == slot.target else f"`{slot.source}` as `{slot.target}`{how}"


def _command_names() -> list[str]:
    return list(get_command(app).commands)


def _help(command: Sequence[str]) -> str:
    printed = io.StringIO()
    os.environ["COLUMNS"] = _HELP_COLUMNS
    with contextlib.redirect_stdout(printed):
        run_app(app, [*command, "--help"])
    return "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells)


def _changing_rows() -> list[list[str]]:
    """What may change within a stage: with every optimizer, with some, and of regularizers."""
    rows = [[f"`{name}`", _changing(info.hparams)] for name, info in sorted(OPTIMIZERS.built_in.items())]
    strengths = {name: info for name, info in REGULARIZERS.built_in.items() if info.within_stage != "fixed"}
    decaying = ", ".join(f"`{name}`" for name, info in sorted(OPTIMIZERS.built_in.items()) if info.decoupled_decay)
    return [
        [decaying, f"`{WEIGHT_DECAY}`"],
        *(row for row in rows if row[1]),
        ["regularizers", _changing(strengths)],
    ]


def _changing(known: Mapping[str, Hparam] | Mapping[str, RegularizerDefinition]) -> str:
    changing = {name: info.within_stage for name, info in known.items() if info.within_stage != "fixed"}
    return ", ".join(f"`{name}`{' (1)' if how == 'distance' else ''}" for name, how in sorted(changing.items()))


def _settings(hparams: Mapping[str, Hparam]) -> str:
    return ", ".join(f"`{name}` ({hparam.default})" for name, hparam in hparams.items()) or "none"


GENERATED: Mapping[str, Callable[[], str]] = {
    "docs/api.md": api_page,
    "docs/architecture.svg": architecture_svg,
    "docs/cli.md": command_line_page,
    "docs/catalogue.md": catalogue_page,
    "docs/decisions/README.md": decisions_page,
    "docs/schemas/report-line.schema.json": lambda: as_text(report_line_schema()),
    "docs/schemas/schedule.schema.json": schedule_schema_text,
    "docs/schemas/span-request.schema.json": lambda: as_text(span_request_schema()),
    "docs/schemas/span-result.schema.json": lambda: as_text(span_result_schema()),
    "studies/study.schema.json": schema_text,
    "tests/cli/surface.txt": surface,
}
"""What writes each generated file."""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
