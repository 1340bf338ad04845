"""Class tables as files: ours (JSON), ITK-SNAP's label descriptions, 3D Slicer's colour tables.

Only JSON keeps which classes are locked. Slicer's names have underscores for spaces, both ways.
"""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

from icmoe_core.classes import ClassTable, ClassTableError, LabelClass
from icmoe_core.errors import InputFileError, OutputFileError
from icmoe_core.io.atomic import atomic_path, check_place
from icmoe_core.io.faults import require_input, unopenable
from icmoe_core.io.suffixes import in_words, suffix_of

CLASS_SUFFIXES = (".json", ".txt", ".label", ".ctbl")
"""JSON of ours, ITK-SNAP (``.txt``, ``.label``) and 3D Slicer (``.ctbl``; ``.txt`` is read too)."""

_FORMAT = "icmoe-classes"
_VERSION = 1
_SNAP_COLUMNS = 8
_SLICER_COLUMNS = 6
_SNAP_HEADER = """\
################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
# Fields:
#    IDX:   Zero-based index
#    -R-:   Red color component (0..255)
#    -G-:   Green color component (0..255)
#    -B-:   Blue color component (0..255)
#    -A-:   Label transparency (0.00 .. 1.00)
#    VIS:   Label visibility (0 or 1)
#    IDX:   Label mesh visibility (0 or 1)
#  LABEL:   Label description
################################################
"""


def load_classes(path: str | os.PathLike[str]) -> ClassTable:
    """Read a class table; the background, number 0, is passed over.

    Parameters
    ----------
    path : path-like
        JSON as :func:`save_classes` writes it, an ITK-SNAP label description, or a 3D Slicer
        colour table. The last two are told apart by what is in them.

    Raises
    ------
    InputFileError
        Missing, or not such a file; the sentence names the line.
    """
    path = Path(path)
    require_input(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputFileError(
            f"{path.name} is not a text file: choose a class table that ends in "
            f"{in_words(CLASS_SUFFIXES)}."
        ) from error
    except OSError as error:
        raise unopenable(path, error) from error
    classes = _from_json(text, path) if suffix_of(path) == ".json" else _from_lines(text, path)
    try:
        return ClassTable(tuple(classes))
    except ClassTableError as error:
        raise InputFileError(f"{path.name}: {error}") from error


def save_classes(path: str | os.PathLike[str], table: ClassTable) -> Path:
    """Write a class table, whole or not at all.

    Parameters
    ----------
    path : path-like
        Ends in ``.json`` (ours), ``.txt`` or ``.label`` (ITK-SNAP), or ``.ctbl`` (3D Slicer).
    table : ClassTable

    Returns
    -------
    Path
        Where the file is.

    Raises
    ------
    OutputFileError
        Unknown suffix, or a folder that is missing or read-only.
    """
    path = Path(path)
    writers = {".json": _as_json, ".txt": _as_snap, ".label": _as_snap, ".ctbl": _as_slicer}
    if suffix_of(path) not in writers:
        raise OutputFileError(
            f"Classes cannot be written as {suffix_of(path) or path.name}: give a name that ends "
            f"in {in_words(CLASS_SUFFIXES)}."
        )
    check_place(path)
    with atomic_path(path) as temporary:
        temporary.write_text(writers[suffix_of(path)](table), encoding="utf-8")
    return path


def _as_json(table: ClassTable) -> str:
    classes = [
        {"id": entry.id, "name": entry.name, "color": list(entry.color), "locked": entry.locked}
        for entry in table
    ]
    content = {"format": _FORMAT, "version": _VERSION, "classes": classes}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _as_snap(table: ClassTable) -> str:
    lines = ['    0     0    0    0        0  0  0    "Clear Label"']
    for entry in table:
        red, green, blue = entry.color
        name = entry.name.replace('"', "'")  # ITK-SNAP cannot escape a quote
        lines.append(f'{entry.id:5d} {red:5d} {green:4d} {blue:4d}        1  1  1    "{name}"')
    return _SNAP_HEADER + "\n".join(lines) + "\n"


def _as_slicer(table: ClassTable) -> str:
    lines = [f"# {len(table) + 1} values", "0 Background 0 0 0 0"]
    for entry in table:
        red, green, blue = entry.color
        name = "_".join(entry.name.split())
        lines.append(f"{entry.id} {name} {red} {green} {blue} 255")
    return "\n".join(lines) + "\n"


def _from_lines(text: str, path: Path) -> list[LabelClass]:
    classes, columns = [], 0
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        parts = _split(line)
        columns = columns or len(parts)
        if columns not in (_SNAP_COLUMNS, _SLICER_COLUMNS) or len(parts) != columns:
            raise _wrong_line(path, number, f"has {len(parts)} columns")
        try:
            id, name, color = _snap_line(parts) if columns == _SNAP_COLUMNS else _slicer_line(parts)
            if id != 0:
                classes.append(LabelClass(id, name, color))
        except ClassTableError as error:
            raise InputFileError(f"{path.name}, line {number}: {error}") from error
        except ValueError as error:
            raise _wrong_line(path, number, "has text in place of a number") from error
    if not columns:
        raise InputFileError(
            f"{path.name} lists no class: choose an ITK-SNAP label description, a 3D Slicer colour "
            "table or a class table in JSON."
        )
    return classes


def _split(line: str) -> list[str]:
    """Split at spaces; double quotes keep a name together, single ones mean nothing."""
    words = shlex.shlex(line, posix=True)
    words.whitespace_split = True
    words.commenters, words.quotes, words.escape = "", '"', ""
    try:
        return list(words)
    except ValueError:  # a quote that is never closed
        return line.split()


def _snap_line(parts: list[str]) -> tuple[int, str, tuple[int, int, int]]:
    id, red, green, blue = (int(part) for part in parts[:4])
    float(parts[4]), int(parts[5]), int(parts[6])  # opacity and visibility: checked, not kept
    return id, parts[7], (red, green, blue)


def _slicer_line(parts: list[str]) -> tuple[int, str, tuple[int, int, int]]:
    red, green, blue, _ = (int(part) for part in parts[2:])
    return int(parts[0]), parts[1].replace("_", " "), (red, green, blue)


def _wrong_line(path: Path, number: int, what: str) -> InputFileError:
    return InputFileError(
        f"{path.name}, line {number} {what}: each line must be 'id r g b opacity visible mesh "
        "\"name\"' as in ITK-SNAP, or 'id name r g b opacity' as in 3D Slicer."
    )


def _from_json(text: str, path: Path) -> list[LabelClass]:
    try:
        content: Any = json.loads(text)
    except ValueError as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise InputFileError(
            f"{path.name}, line {line} is not valid JSON: choose a file that was saved as a class "
            "table."
        ) from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise InputFileError(
            f"{path.name} is JSON but no class table: choose a file whose first entry is "
            f'"format": "{_FORMAT}".'
        )
    if content.get("version") != _VERSION:
        raise InputFileError(
            f"{path.name} is a class table of version {content.get('version')}, but only version "
            f"{_VERSION} is known: update this program."
        )
    entries = content.get("classes")
    if not isinstance(entries, list):
        raise InputFileError(f'{path.name} has no list "classes": save the class table again.')
    return [_json_class(entry, index, path) for index, entry in enumerate(entries, start=1)]


def _json_class(entry: Any, index: int, path: Path) -> LabelClass:
    try:
        locked = entry.get("locked", False)
        if not isinstance(locked, bool):
            raise TypeError("locked")
        return LabelClass(entry["id"], entry["name"], tuple(entry["color"]), locked)
    except ClassTableError as error:
        raise InputFileError(f"{path.name}, class {index} of the list: {error}") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise InputFileError(
            f'{path.name}, class {index} of the list must have "id", "name", "color" and maybe '
            '"locked" (true or false).'
        ) from error
