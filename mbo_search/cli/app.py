"""The commands and their options. Each parses, calls one function, and has its answer delivered."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from mbo_search import __version__
from mbo_search.api.options import Options
from mbo_search.cli.asked.arguments import compared_runs, output_file, output_folder, output_place, run_folders
from mbo_search.cli.asked.usage import epilog
from mbo_search.cli.console import deliver, interrupt_once, interrupted, run_app
from mbo_search.cli.options import (
    Address,
    AllowCode,
    AsJson,
    Backend,
    Example,
    Figures,
    Follow,
    InsecureCluster,
    Kind,
    Language,
    Live,
    Log,
    ModelSource,
    Overrides,
    Port,
    Quiet,
    RunFolder,
    ScheduleArgument,
    StudyFile,
    TableFile,
    WarmStart,
)
from mbo_search.system.any_text import accept_any_text
from mbo_search.system.same_code import forget_current_folder
from mbo_search.system.streams import lasting, open_standard_files

app = typer.Typer(
    name="mbo-search",
    help="Find out in which stages, and with which optimizer, learning rate and regularizer in each, to train a "
    "language model.",
    epilog="Exit codes: 0 ok, 1 failed, 2 invalid input, 130 interrupted.",
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> NoReturn:
    """Run the command line and leave the process with its exit code."""
    open_standard_files()
    accept_any_text()
    sys.stderr = lasting(sys.stderr)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt_once)
    forget_current_folder(sys.path, os.environ.get("PYTHONPATH", ""))
    try:
        code = run_app(app, sys.argv[1:])
    except KeyboardInterrupt as error:  # a third one, in the middle of what answers the second
        code = interrupted(error)
    sys.exit(code)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"mbo-search {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(epilog=epilog("init"))
def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.", callback=output_file)] = Path(
        "study.yaml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a commented study file to start from."""
    from mbo_search.cli.init import write_starter

    deliver(lambda: write_starter(file, force=force), as_json=as_json, quiet=quiet)


@app.command(epilog=epilog("validate"))
def validate(
    study: StudyFile = None,
    example: Example = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check a study file and report all mistakes at once."""
    from mbo_search.cli.validate import validate_study

    deliver(lambda: validate_study(study, example, overrides or []), as_json=as_json, quiet=quiet)


@app.command(epilog=epilog("data"))
def data(
    study: StudyFile = None,
    example: Example = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Prepare the text of a study, and show what became of it.

    Files read and passed over, documents dropped and why, the splits, and some documents of each as the model sees
    them. Nothing is trained.
    """
    from mbo_search.cli.data import show_data

    deliver(lambda: show_data(study, example, overrides or [], quiet=quiet), as_json=as_json, quiet=quiet)


@app.command(epilog=epilog("plan"))
def plan(
    study: StudyFile = None,
    example: Example = None,
    overrides: Overrides = None,
    _allow_code: AllowCode = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show what `run` would do, and what it would cost.

    The resolved study with the origin of each value, learning rates, the size of the space, tokens, disk space, and
    an estimate of the time from a short measurement.
    """
    from mbo_search.cli.plan import plan_study

    deliver(lambda: plan_study(study, example, overrides or [], quiet=quiet), as_json=as_json, quiet=quiet)


@app.command(epilog=epilog("run"))
def run(
    study: StudyFile = None,
    example: Example = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="The run directory.  [default: reports/NAME]", callback=output_folder
        ),
    ] = None,
    overrides: Overrides = None,
    warm_start: WarmStart = None,
    follow: Follow = None,
    backend: Backend = "auto",
    address: Address = None,
    insecure_cluster: InsecureCluster = False,
    live: Live = False,
    log: Log = None,
    _allow_code: AllowCode = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Search for the best schedule; rank, report and export it.

    An existing run directory of the same study is resumed; one of another study is refused.
    """
    from mbo_search.cli.run import AskedStudy, run_search

    options = Options(
        backend=backend,
        address=address,
        insecure_cluster=insecure_cluster,
        warm_start=(*([] if follow is None else [follow]), *(warm_start or ())),
        quiet=quiet,
        loggers=tuple(log or ()),
    )
    asked = AskedStudy(file=study, example=example, overrides=tuple(overrides or ()), follow=follow)
    deliver(
        lambda: run_search(asked, out=out, options=options, is_live=live),
        as_json=as_json,
        quiet=quiet,
    )


@app.command(epilog=epilog("resume"))
def resume(
    folder: RunFolder,
    overrides: Overrides = None,
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", help="Train again what an exception, a hang or a lost worker had ended."),
    ] = False,
    backend: Backend = "auto",
    address: Address = None,
    insecure_cluster: InsecureCluster = False,
    live: Live = False,
    log: Log = None,
    _allow_code: AllowCode = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Continue an interrupted or extended search.

    --set may change limits of the search, confirm and resources only. Limits are totals, not extras.
    """
    from mbo_search.cli.run import resume_search

    options = Options(
        backend=backend,
        address=address,
        insecure_cluster=insecure_cluster,
        quiet=quiet,
        loggers=tuple(log or ()),
    )
    deliver(
        lambda: resume_search(folder, overrides or [], retry_failed=retry_failed, options=options, is_live=live),
        as_json=as_json,
        quiet=quiet,
    )


@app.command(epilog=epilog("fork"))
def fork(
    folder: RunFolder,
    out: Annotated[
        Path,
        typer.Argument(metavar="NEWDIR", help="The new run directory.", show_default=False, callback=output_folder),
    ],
    overrides: Overrides = None,
    _allow_code: AllowCode = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Start a new study that reuses compatible trials of this one.

    Says what differs, and takes over the trials and trained states that the new study would train to the same bits.
    `resume NEWDIR` continues from there.
    """
    from mbo_search.cli.fork import fork_run

    deliver(lambda: fork_run(folder, out, overrides or []), as_json=as_json, quiet=quiet)


@app.command(epilog=epilog("confirm"))
def confirm(
    folder: RunFolder,
    top: Annotated[
        int | None,
        typer.Option(
            "--top", metavar="K", help="Schedules of each rung.  [default: the study's, else 1]", min=1, max=1000
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds", metavar="N", help="Fresh seeds of each.  [default: the study's, else 6]", min=1, max=999
        ),
    ] = None,
    equivalent_tokens: Annotated[
        bool | None,
        typer.Option(
            "--equivalent-tokens/--no-equivalent-tokens",
            help="Also say how much text the gain is worth.  [default: the study's, else yes]",
        ),
    ] = None,
    attribution: Annotated[
        bool | None,
        typer.Option(
            "--attribution/--no-attribution",
            help="Also say what each part of the question's champion is worth.  [default: the study's, else no]",
        ),
    ] = None,
    backend: Backend = "auto",
    address: Address = None,
    insecure_cluster: InsecureCluster = False,
    live: Live = False,
    log: Log = None,
    _allow_code: AllowCode = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train the champion of each rung again on fresh seeds, and decide.

    A search that was interrupted is finished first. Seeds may be added as often as one likes: the intervals hold
    however often they are looked at. Champions that only a longer search has found start a new round, which has
    less of the error to spend.
    """
    from mbo_search.cli.run import ConfirmOptions, confirm_winners

    options = Options(
        backend=backend,
        address=address,
        insecure_cluster=insecure_cluster,
        quiet=quiet,
        loggers=tuple(log or ()),
    )
    wanted = ConfirmOptions(top=top, seeds=seeds, equivalent_tokens=equivalent_tokens, attribution=attribution)
    deliver(lambda: confirm_winners(folder, wanted, options=options, is_live=live), as_json=as_json, quiet=quiet)


@app.command(epilog=epilog("rank"))
def rank(
    folder: RunFolder,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the whole ranking as CSV.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Rank the schedules of a run, and say how sure that is."""
    from mbo_search.cli.rank_report import rank_run

    deliver(lambda: rank_run(folder, as_csv=as_csv), as_json=as_json, quiet=quiet)


@app.command(epilog=epilog("report"))
def report(
    folder: RunFolder,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="The page.  [default: DIR/report.html]", callback=output_file
        ),
    ] = None,
    figures: Figures = None,
    language: Language = "en",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write the report of a run: one page, no network needed.

    All trials and curves lie beside it as Parquet tables. Figures as files need an installed Chrome or Chromium.
    """
    from mbo_search.cli.rank_report import report_run

    deliver(lambda: report_run(folder, out, language, figures), as_json=as_json, quiet=quiet)


@app.command(epilog=epilog("serve"))
def serve(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="DIR...",
            help="Run directories, or folders that hold some.  [default: reports]",
            show_default=False,
        ),
    ] = None,
    port: Port = 0,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on: others can reach any but this.")
    ] = "127.0.0.1",
    language: Language = "en",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show runs as live pages, which follow a search while it runs.

    Nothing is written, and a search is never disturbed. The address holds a token, without which nobody gets in.
    Ctrl-C ends it.
    """
    from mbo_search.cli.live.serve import serve_runs

    named = folders or [Path("reports")]
    serve_runs(named, host=host, port=port, language=language, as_json=as_json, quiet=quiet)


@app.command(epilog=epilog("dashboard"))
def dashboard(
    folder: RunFolder,
    start: Annotated[bool, typer.Option("--start/--no-start", help="Start it, or only write the file.")] = True,
    port: Port = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show a run in optuna-dashboard.

    Writes DIR/dashboard.db, a view of the records: all searches in one study, with settings named by stage and the
    trial numbers that every other command shows. Then starts optuna-dashboard here, where it is installed.
    """
    from mbo_search.cli.live.dashboard import show_dashboard

    show_dashboard(folder, port=port, start=start, as_json=as_json, quiet=quiet)


@app.command(name="log", epilog=epilog("log"))
def log_run(
    folder: RunFolder,
    log: Log = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Send a run to a tool where runs are looked at: TensorBoard, MLflow, Weights & Biases, trackio.

    What is there already is not sent again. `run`, `resume` and `confirm` do it while they train, with the same
    option.
    """
    from mbo_search.cli.live.log import send_run

    deliver(lambda: send_run(folder, log or []), as_json=as_json, quiet=quiet)


@app.command(epilog=epilog("advise"))
def advise(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="Run directories of the same text.", callback=run_folders),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write the next study there.", callback=output_file),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Say what the trials of a run say about the next study.

    Which settings mattered, which choices were behind beyond noise and luck, which ranges should go on, whether
    more would help. The next study follows the last run; each line that changes has its reason above it.
    """
    from mbo_search.cli.advising.advise import advise_next

    deliver(lambda: advise_next(folders, out), as_json=as_json, quiet=quiet)


@app.command(epilog=epilog("compare"))
def compare(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR...", help="Run directories, or single schedules as DIR:TRIAL.", callback=compared_runs
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The page.", callback=output_file)
    ] = Path("comparison.html"),
    figures: Figures = None,
    language: Language = "en",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compare runs or single schedules on one page, and say what cannot be compared."""
    from mbo_search.cli.rank_report import compare_runs

    deliver(lambda: compare_runs(names, out, language, figures), as_json=as_json, quiet=quiet)


@app.command(epilog=epilog("judge"))
def judge(
    baseline: Annotated[
        str,
        typer.Option(
            "--baseline",
            metavar="CMD|FILE|DIR",
            help="A command, run without a shell; a schedule file; or a folder of results by seed.",
            show_default=False,
        ),
    ],
    candidate: Annotated[
        str | None, typer.Option("--candidate", metavar="CMD|FILE|DIR", help="The same for what is to be judged.")
    ] = None,
    own_noise: Annotated[
        bool, typer.Option("--aa", help="Run the baseline against itself: how noisy is it?")
    ] = False,
    metric: Annotated[
        str, typer.Option("--metric", metavar="NAME", help="The number of result.json that decides.")
    ] = "val_loss",
    maximize: Annotated[bool, typer.Option("--maximize", help="Larger is better.")] = False,
    max_seeds: Annotated[
        int,
        typer.Option(
            "--max-seeds", metavar="N", help="Most pairs; from the 6th on there are decisions.", min=6, max=1000
        ),
    ] = 12,
    first_seed: Annotated[
        int, typer.Option("--first-seed", metavar="N", help="The first seed; the others follow.", min=0, max=2**30)
    ] = 1,
    worthwhile: Annotated[
        str, typer.Option("--worthwhile", metavar="PERCENT", help="Smallest gain worth having, of the metric.")
    ] = "0.5%",
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="TIME", help="Stop after this time, such as 2h or 90min.")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="TIME", help="A run that takes longer has failed.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", metavar="N", help="Runs at once.", min=1, max=1000)] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder of the runs; those that it holds are not made again.  [default: reports/judge-HASH]",
            callback=output_folder,
        ),
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Make failed runs again.")] = False,
    backend: Annotated[Literal["local", "ray"], typer.Option("--backend", help="Where runs are made.")] = "local",
    gpus_per_run: Annotated[
        float, typer.Option("--gpus-per-run", metavar="N", help="GPUs of a run with Ray.", min=0, max=64)
    ] = 0.0,
    address: Address = None,
    insecure_cluster: InsecureCluster = False,
    _allow_code: AllowCode = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Decide whether a change of a training is real: run both sides seed by seed until it is clear.

    Each run has a folder of its own, gets its seed in MBO_SEED, and leaves result.json there or prints one line of
    JSON last. Exit codes: 0 keep, 3 discard, 4 undecided. Ctrl-C keeps finished runs; the same command continues.
    """
    from mbo_search.cli.judging.judge import JudgeRequest, judge_sides

    asked = JudgeRequest(
        baseline=baseline,
        candidate=candidate,
        is_own_noise=own_noise,
        metric=metric,
        maximize=maximize,
        max_seeds=max_seeds,
        first_seed=first_seed,
        worthwhile=worthwhile,
        budget=budget,
        timeout=timeout,
        retry_failed=retry_failed,
        workers=workers,
        gpus_per_run=gpus_per_run,
        out=out,
    )
    options = Options(backend=backend, address=address, insecure_cluster=insecure_cluster, quiet=quiet)
    deliver(lambda: judge_sides(asked, options), as_json=as_json, quiet=quiet)


@app.command(epilog=epilog("export"))
def export(
    folder: RunFolder,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="PATH", help="The file or folder to write.", callback=output_place),
    ],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="Its format; `mbo-search list exporters` names them.  [default: by the file's suffix, else yaml]",
        ),
    ] = None,
    trial: Annotated[
        int | None, typer.Option("--trial", metavar="N", help="A trial.  [default: the best]", min=0)
    ] = None,
    top: Annotated[
        int | None,
        typer.Option("--top", metavar="N", help="The N best, each to a path with a number of its own.", min=1),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a schedule of a run to a file.

    `replay` and `train` read yaml and json. What a format cannot express is said here and in the file.
    """
    from mbo_search.cli.export import export_schedules

    deliver(lambda: export_schedules(folder, out, form=to, trial=trial, top=top), as_json=as_json, quiet=quiet)


@app.command(epilog=epilog("replay"))
def replay(
    file: ScheduleArgument, _allow_code: AllowCode = False, as_json: AsJson = False, quiet: Quiet = False
) -> None:
    """Train an exported schedule again and compare the loss.

    With the seed of its search trial. Where the numerics match, the losses are equal bit for bit; elsewhere they
    must agree within a tolerance. The answer says which.
    """
    from mbo_search.cli.export import replay_schedule

    deliver(lambda: replay_schedule(file, quiet=quiet), as_json=as_json, quiet=quiet)


@app.command(epilog=epilog("train"))
def train(
    file: ScheduleArgument,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The model folder to write.", callback=output_folder)
    ],
    overrides: Overrides = None,
    _allow_code: AllowCode = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train the final model from an exported schedule.

    `transformers` loads the folder. Budget and size may be changed, such as --set budget.tokens=10M
    --set model.width=256.
    """
    from mbo_search.cli.export import train_model

    deliver(lambda: train_model(file, out, overrides or [], quiet=quiet), as_json=as_json, quiet=quiet)


@app.command(epilog=epilog("sample"))
def sample(
    source: ModelSource,
    prompt: Annotated[str, typer.Option("--prompt", help="Text to continue.")],
    num_tokens: Annotated[int, typer.Option("--tokens", help="Tokens to add.", min=1)] = 100,
    temperature: Annotated[float, typer.Option("--temperature", help="0: always the likeliest.", min=0)] = 0.8,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the draws.", min=0, max=2**63 - 1)] = 0,
    _allow_code: AllowCode = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Let a trained model continue a text."""
    from mbo_search.cli.export import Continuation, continue_text

    wanted = Continuation(prompt=prompt, num_tokens=num_tokens, temperature=temperature, seed=seed)
    deliver(lambda: continue_text(source, wanted), as_json=as_json, quiet=quiet)


@app.command(epilog=epilog("note"))
def note(
    folder: RunFolder,
    trial: Annotated[
        int | None, typer.Argument(metavar="[TRIAL]", help="A schedule.  [default: show all notes]", min=0)
    ] = None,
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="What to write down, in place of what was.")
    ] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="A word to find it by. Repeatable.")
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take away the named tags, or without any the whole note.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write down something about a schedule, for rank, report and everybody who reads them.

    A search may be running meanwhile.
    """
    from mbo_search.cli.note import note_schedule

    deliver(lambda: note_schedule(folder, trial, text, tags or [], remove=remove), as_json=as_json, quiet=quiet)


@app.command(name="list", epilog=epilog("list"))
def list_names(
    kind: Annotated[
        Kind,
        typer.Argument(
            metavar="KIND",
            help="optimizers, lr_shapes, regularizers, searchers, corpora, metrics, readers, exporters, figures or "
            "loggers.",
        ),
    ],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """List what a study may name, and where it comes from.

    With ranges, reference learning rates and papers.
    """
    from mbo_search.cli.catalogue import list_catalogue

    deliver(lambda: list_catalogue(kind), as_json=as_json, quiet=quiet)


@app.command(epilog=epilog("doctor"))
def doctor(
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where runs would be written.")] = Path(
        "reports"
    ),
    start_ray: Annotated[bool, typer.Option("--ray", help="Also start and stop a local Ray.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Say what this machine has, and what is missing.

    Versions, CPU cores, memory, GPUs and disk.
    """
    from mbo_search.cli.doctor import examine

    deliver(lambda: examine(folder, start_ray=start_ray), as_json=as_json, quiet=quiet)


@app.command(epilog=epilog("simulate"))
def simulate(
    table: TableFile,
    searchers: Annotated[
        list[str] | None,
        typer.Option("--searcher", metavar="NAME", help="A searcher to compare. Repeatable.  [default: tree, tpe]"),
    ] = None,
    budget: Annotated[int, typer.Option("--budget", help="Stage runs of each search.", min=1, max=1_000_000)] = 90,
    slots: Annotated[int, typer.Option("--slots", help="Trials at once.", min=1, max=10_000)] = 1,
    seeds: Annotated[int, typer.Option("--seeds", help="Searches of each searcher.", min=1, max=10_000)] = 5,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compare searchers on a table of schedules that were all trained.

    Nothing is trained: losses are looked up, time is simulated.
    """
    from mbo_search.cli.simulate import simulate_search

    names = searchers or ["tree", "tpe"]
    deliver(
        lambda: simulate_search(table, names, budget=budget, slots=slots, seeds=seeds), as_json=as_json, quiet=quiet
    )


@app.command(epilog=epilog("tree"))
def tree(folder: RunFolder, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Print the stage tree of a run: what was trained once, and how many trials used it."""
    from mbo_search.cli.simulate import show_tree

    deliver(lambda: show_tree(folder), as_json=as_json, quiet=quiet)
