"""A run of an exported schedule, as a process: `python -m mbo_search.judging.train_schedule FILE`.

It is trained in the current directory with the seed of `MBO_SEED`, and judged on the text that the file names.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from mbo_search.errors import MboError
from mbo_search.judging.results import RESULT_FILE
from mbo_search.study.files.schedule_file import load_schedule_file
from mbo_search.system.cache import user_cache
from mbo_search.system.files import write_json

_STATES = Path("state")


def main(file: Path, seed: int) -> None:
    """Train a schedule and write its result."""
    from mbo_search.export.replay import restored_study
    from mbo_search.export.training import never_stop, setup_of_file, train_schedule
    from mbo_search.results.records.run_data import prepared_data

    schedule = load_schedule_file(file)
    prepared = prepared_data(schedule.study, user_cache())
    setup = setup_of_file(schedule, restored_study(schedule), prepared)
    trained = train_schedule(schedule.schedule, setup, seed, folder=_STATES, stop=never_stop, log=print)
    shutil.rmtree(_STATES, ignore_errors=True)
    last = trained.outcome.boundaries[-1]
    result = {"val_loss": trained.val_loss, "accuracy": last.accuracy, "bits_per_byte": last.bits_per_byte}
    write_json(Path(RESULT_FILE), {**result, "seconds": trained.outcome.cost.train_seconds})


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), int(os.environ["MBO_SEED"]))
    except MboError as error:
        sys.exit(str(error))
