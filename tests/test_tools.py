"""Proves that the picture of the rooms and the line counts follow the code, sub-folders of a room included."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def tool(name):
    """A script of tools/, which is a folder and not a package."""
    spec = importlib.util.spec_from_file_location(f"tools_{name}", ROOT / "tools" / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


architecture, lines = tool("architecture"), tool("lines")
LAYERS = """
[tool.importlinter]
root_packages = ["house"]
[[tool.importlinter.contracts]]
type = "layers"
layers = ["house.roof", "house.floor | house.cellar"]
"""
FILES = {
    "__init__.py": '"""A house."""\n',
    "roof/__init__.py": '"""Cover: tiles & beams.\n\nMore about it.\n"""\n',
    "roof/tiles/__init__.py": "",
    "roof/tiles/red.py": "from house.floor import plank\nfrom ...floor import nail\nimport house.cellar\n",
    "roof/beam.py": "def build():\n    from house import cellar, floor\n",
    "floor/__init__.py": '"""Carry."""\n',
    "floor/plank.py": "import os\nfrom house.floor import nail\n",
    "floor/nail.py": "",
    "cellar.py": '"""Store."""\n',
}


@pytest.fixture
def house(tmp_path):
    (tmp_path / "pyproject.toml").write_text(LAYERS, encoding="utf-8")
    for name, text in FILES.items():
        path = tmp_path / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def names(rooms):
    return [room.name for room in rooms]


def test_rooms_stand_in_the_order_of_the_layers_with_their_parts(house):
    rooms = architecture.read_rooms(house / "house", ["roof", "floor", "cellar"])
    assert names(rooms) == ["roof", "floor", "cellar"]
    assert rooms[0].summary == "Cover: tiles & beams"
    assert rooms[0].parts == ("tiles",)


def test_a_room_that_no_layer_names_stands_on_top(house):
    assert names(architecture.read_rooms(house / "house", ["roof", "cellar"])) == ["floor", "roof", "cellar"]


def test_imports_are_counted_from_sub_folders_functions_and_relative_ones(house):
    counts = architecture.import_counts(house / "house", ["roof", "floor", "cellar"])
    assert counts == {("roof", "floor"): 3, ("roof", "cellar"): 2}


def test_an_import_against_the_order_is_drawn_as_one(house):
    assert 'class="up"' not in architecture.architecture_svg(house)
    (house / "house" / "cellar.py").write_text("from house.roof import beam\n", encoding="utf-8")
    picture = architecture.architecture_svg(house)
    assert 'class="up"' in picture
    assert "5 imports go down, 1 up" in picture


def test_the_picture_is_well_formed_and_tells_its_counts(house):
    picture = architecture.architecture_svg(house)
    assert "tiles &amp; beams" in picture
    assert "<title>roof imports floor: 3</title>" in picture


def test_lines_are_code_documentation_or_blank():
    text = '"""Doc.\n\nMore.\n"""\n\n# why\nx = """\n"""\n\n\ndef f():\n    "Doc."\n    return x  # here\n'
    assert lines.count_lines(text) == {"doc": 6, "blank": 3, "code": 4}


def test_every_line_of_the_package_is_counted_in_one_room():
    rooms = lines.count_rooms(ROOT / "mbo_search")
    counted = sum(count[kind] for count in rooms.values() for kind in lines.KINDS)
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "mbo_search").rglob("*.py")]
    assert counted == sum(len(text.splitlines()) for text in texts)
