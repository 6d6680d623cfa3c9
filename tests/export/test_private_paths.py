"""Files for others name texts as far as they must: relative to the file, or by their bare names."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbo_search.export.private_paths import beside, without_folders
from mbo_search.study.files.schedule_file import ScheduleFile, dump_schedule_file, load_schedule_file


@pytest.fixture(scope="module")
def file(run):
    return load_schedule_file(run.best_yaml)


def with_source(file: ScheduleFile, *sources: str) -> ScheduleFile:
    data = file.study.data.model_copy(update={"source": sources})
    return file.model_copy(update={"study": file.study.model_copy(update={"data": data})})


def test_a_file_beside_its_texts_can_move_with_them(file, tmp_path):
    folder = tmp_path / "project" / "runs" / "one"
    folder.mkdir(parents=True)
    given = with_source(file, str(tmp_path / "project" / "texts"), "docs")
    seen = beside(given, folder)
    assert seen.study.data.source == ("../../texts", "docs")
    (folder / "best.yaml").write_text(dump_schedule_file(seen))
    assert load_schedule_file(folder / "best.yaml") == given
    (tmp_path / "project").rename(tmp_path / "moved")
    read = load_schedule_file(tmp_path / "moved" / "runs" / "one" / "best.yaml")
    assert read.study.data.source == (str(tmp_path / "moved" / "texts"), "docs")


def test_a_text_with_nothing_in_common_keeps_its_path(file, tmp_path):
    given = with_source(file, "/nowhere/else/text.txt")
    assert beside(given, tmp_path) == given


def test_a_folder_for_others_names_no_folder(file):
    given = with_source(file, "/home/somebody/secret/letters.txt", "qa:chinese")
    assert without_folders(given).study.data.source == ("letters.txt", "qa:chinese")
    assert "somebody" not in dump_schedule_file(without_folders(given))
    assert Path(file.study.data.source[0]).is_absolute()
