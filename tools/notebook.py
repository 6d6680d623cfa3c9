"""Execute the example notebook, and with `--write` keep what it shows.

It runs in a folder of its own that is removed afterwards. Messages on stderr are not kept: they hold paths of the
machine. Times and losses differ between machines in their last digits, so the kept outputs are those of one run.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

__all__ = ["execute"]

NOTEBOOK = Path(__file__).resolve().parents[1] / "examples" / "notebook.ipynb"


def execute(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Run all cells in a folder, and return the notebook with what they show.

    Args:
        notebook: The notebook; its outputs are replaced.
        folder: The current folder of its kernel.

    Raises:
        CellExecutionError: If a cell fails.
    """
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        executed = execute(nbformat.read(NOTEBOOK, as_version=4), Path(scratch))
    if "--write" in sys.argv:
        nbformat.write(executed, NOTEBOOK)
        print(f"wrote {NOTEBOOK.name}")
