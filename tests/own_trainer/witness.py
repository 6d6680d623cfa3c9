"""Run a script as a study's command, and note outside of the run which spans it began and which it finished.

python witness.py SCRIPT
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path

WITNESS = "MBO_TEST_WITNESS"
"""Names in the environment the file that takes the notes."""


def main() -> None:
    """Run the script; of several processes the first one notes."""
    script = Path(sys.argv[1]).resolve()
    sys.argv[:] = [str(script), *sys.argv[2:]]
    sys.path[0] = str(script.parent)
    _note("began")
    runpy.run_path(str(script), run_name="__main__")
    if Path(os.environ["MBO_RESULT"]).exists():
        _note("finished")


def _note(event: str) -> None:
    if os.environ.get("RANK", "0") != "0":
        return
    ask = json.loads(Path(os.environ["MBO_STAGE"]).read_text(encoding="utf-8"))
    saved = sorted(path.name for path in Path(os.environ["MBO_PARTIAL"]).iterdir())
    line = {
        "event": event,
        "key": ask["key"],
        "step": ask["parts"][-1]["last_step"],
        "saved": saved,
        "pid": os.getpid(),
    }
    with Path(os.environ[WITNESS]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
