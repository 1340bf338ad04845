import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icmoe_core.classes import (
    PALETTE,
    ClassTable,
    ClassTableError,
    LabelClass,
    default_classes,
    default_color,
)
from icmoe_core.errors import InputFileError, OutputFileError
from icmoe_core.io.atomic import atomic_path
from icmoe_core.io.class_files import load_classes, save_classes

NAMES = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters='"_\\#'), min_size=1
)
CLASSES = st.builds(
    LabelClass,
    st.integers(1, 65535),
    st.lists(NAMES, min_size=1, max_size=3).map(" ".join),
    st.tuples(*[st.integers(0, 255)] * 3),
    st.booleans(),
)
TABLES = st.lists(CLASSES, max_size=6, unique_by=lambda entry: entry.id).map(
    lambda classes: ClassTable(tuple(classes))
)


@given(table=TABLES, suffix=st.sampled_from([".json", ".txt", ".label", ".ctbl"]))
def test_tables_come_back(tmp_path_factory, table, suffix):
    path = save_classes(tmp_path_factory.mktemp("classes") / f"classes{suffix}", table)
    if suffix != ".json":
        for id in table.locked_ids:
            table = table.lock(id, False)
    assert load_classes(path) == table


def test_an_itk_snap_file_as_it_writes_it(tmp_path):
    path = tmp_path / "snap.txt"
    path.write_text(
        "################################################\n# ITK-SnAP Label Description File\n"
        '    0     0    0    0        0  0  0    "Clear Label"\n'
        '    1   255    0    0        1  1  1    "Left lung\'s tip"\n'
        '    7     0  255    0     0.35  0  1    "Label 7"\n'
    )
    table = load_classes(path)
    assert [(entry.id, entry.name, entry.color) for entry in table] == [
        (1, "Left lung's tip", (255, 0, 0)),
        (7, "Label 7", (0, 255, 0)),
    ]


@pytest.mark.parametrize("suffix", [".ctbl", ".txt"])
def test_a_slicer_file_as_it_writes_it(tmp_path, suffix):
    path = tmp_path / f"slicer{suffix}"
    path.write_text(
        "# Color table file Abdomen.ctbl\n# 3 values\n0 Background 0 0 0 0\n"
        "1 right_kidney 185 102 83 255\n65535 12 1 2 3 255\n"
    )
    table = load_classes(path)
    assert [(entry.id, entry.name) for entry in table] == [(1, "right kidney"), (65535, "12")]
    assert table[1].color == (185, 102, 83)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", '1 255 0 0 1 1 1 "ok"\n2 255 0 0 "short"', "line 2 has 5 columns"),
        ("a.txt", '\n# c\n1 999 0 0 1 1 1 "bright"', "line 3: The colour of class 1"),
        ("a.txt", '1 r 0 0 1 1 1 "text"', "line 1 has text in place of a number"),
        ("a.txt", '70000 1 0 0 1 1 1 "large"', "line 1: A class's number must be from 1 to 65535"),
        ("a.label", '1 1 1 1 1 1 1 "a"\n1 1 1 1 1 1 1 "b"', "The number 1 stands for two classes"),
        ("a.ctbl", "1 liver 1 2 3 255\n2 left kidney 1 2 3 255", "line 2 has 7 columns"),
        ("a.ctbl", "# nothing\n", "lists no class"),
        ("a.json", '{"format": "icmoe-classes",\n "version": 1,,', "line 2 is not valid JSON"),
        ("a.json", "[1, 2]", "no class table"),
        ("a.json", '{"format": "icmoe-classes", "version": 9}', "version 9"),
        ("a.json", '{"format": "icmoe-classes", "version": 1}', 'no list "classes"'),
        (
            "a.json",
            '{"format": "icmoe-classes", "version": 1, "classes": [{"id": 1, "name": "x"}]}',
            'class 1 of the list must have "id"',
        ),
        (
            "a.json",
            '{"format": "icmoe-classes", "version": 1, "classes": '
            '[{"id": 0, "name": "x", "color": [1, 2, 3]}]}',
            "class 1 of the list: A class's number",
        ),
    ],
)
def test_wrong_files_are_one_clear_sentence(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputFileError, match=message) as caught:
        load_classes(tmp_path / name)
    assert str(caught.value).startswith(name)
    assert "\n" not in str(caught.value)


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(InputFileError, match="There is no file"):
        load_classes(tmp_path / "missing.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x81" * 9)
    with pytest.raises(InputFileError, match="not a text file"):
        load_classes(tmp_path / "binary.txt")


def test_saving_is_refused_clearly(tmp_path):
    with pytest.raises(OutputFileError, match=r"as \.xml"):
        save_classes(tmp_path / "classes.xml", ClassTable())
    with pytest.raises(OutputFileError, match="does not exist"):
        save_classes(tmp_path / "missing" / "classes.json", ClassTable())


def test_a_write_protected_file_is_named_and_not_replaced(tmp_path, monkeypatch):
    path = save_classes(tmp_path / "classes.json", ClassTable().add("liver"))
    path.chmod(0o444)
    before = path.read_bytes()
    whole = os.access  # which says that root may write anywhere
    monkeypatch.setattr(
        os, "access", lambda file, *mode: file.name != path.name and whole(file, *mode)
    )
    for refused in (lambda: save_classes(path, ClassTable()), atomic_path(path).__enter__):
        with pytest.raises(OutputFileError, match=r"classes\.json is write-protected: unlock it"):
            refused()
    assert path.read_bytes() == before
    path.chmod(0o644)  # or Windows cannot remove it


def test_quotes_cannot_break_the_file(tmp_path):
    table = ClassTable().add('the "big" one')
    assert load_classes(save_classes(tmp_path / "c.txt", table))[1].name == "the 'big' one"
    assert load_classes(save_classes(tmp_path / "c.json", table)) == table
    assert load_classes(save_classes(tmp_path / "c.ctbl", table))[1].color == table[1].color


def test_a_table_is_changed_by_making_another():
    start = ClassTable().add("liver").add("spleen", id=5)
    changed = start.rename(1, "hepar").lock(5).recolor(5, (1, 2, 3))
    assert [entry.name for entry in start] == ["liver", "spleen"]
    assert [entry.name for entry in changed] == ["hepar", "spleen"]
    assert changed.locked_ids == (5,)
    assert changed[5].color == (1, 2, 3)
    assert changed.lock(5, False).locked_ids == ()
    assert start.next_id() == 2
    assert start.remove(1).ids == (5,)
    assert 5 in start
    assert 2 not in start
    assert start.with_ids(np.array([0, 1, 9])).ids == (1, 5, 9)
    assert start.with_ids([9])[9].name == "Label 9"


@pytest.mark.parametrize(
    "make",
    [
        lambda: LabelClass(0, "x", (1, 2, 3)),
        lambda: LabelClass(65536, "x", (1, 2, 3)),
        lambda: LabelClass(1, "  ", (1, 2, 3)),
        lambda: LabelClass(1, "two\nlines", (1, 2, 3)),
        lambda: LabelClass(1, "x", (1, 2, 256)),
        lambda: LabelClass(1, "x", (1, 2)),
        lambda: LabelClass(1, "x", (0.5, 0, 0)),
        lambda: ClassTable((LabelClass(1, "a", (1, 2, 3)), LabelClass(1, "b", (1, 2, 3)))),
        lambda: ClassTable().rename(3, "x"),
        lambda: ClassTable().remove(3),
    ],
)
def test_rules_of_a_table(make):
    with pytest.raises(ClassTableError) as caught:
        make()
    assert str(caught.value).endswith(".")


def test_the_palette_is_given_out_in_order_and_again():
    table = default_classes(len(PALETTE) + 1)
    assert tuple(entry.color for entry in table)[: len(PALETTE)] == PALETTE
    assert default_color(len(PALETTE) + 1) == PALETTE[0]
    assert len(set(PALETTE)) == len(PALETTE)
    assert len(default_classes()) == 1


def _as_seen(colors: np.ndarray, kind: str) -> np.ndarray:
    """Linear RGB as seen with a missing cone (Viénot, Brettel and Mollon 1999)."""
    to_lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714],
                       [0.0299566, 0.184309, 1.46709]])  # fmt: skip
    missing = {
        "protan": [[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]],
        "deutan": [[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]],
    }[kind]
    linear = (colors / 255) ** 2.2
    seen = np.linalg.inv(to_lms) @ np.array(missing) @ to_lms @ linear.T
    return np.clip(seen, 0, 1).T ** (1 / 2.2) * 255


@pytest.mark.parametrize("kind", ["protan", "deutan"])
def test_the_first_colours_stay_apart_for_the_colour_blind(kind):
    seen = _as_seen(np.array(PALETTE[:7], float), kind)
    distance = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
    assert distance[~np.eye(7, dtype=bool)].min() > 20
