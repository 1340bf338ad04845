"""Prompt files: prompts for several objects on several slices, as JSON.

``docs/propagation.md`` describes the format.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icmoe_core.classes import LARGEST_ID
from icmoe_core.errors import InputFileError, PromptError
from icmoe_core.io.faults import require_input, unopenable
from icmoe_core.prompts import Prompts

_KEYS = {"slice", "label", "boxes", "points", "point_labels"}


@dataclass(frozen=True)
class SlicePrompts:
    """Prompts for one object on one slice.

    Attributes
    ----------
    index : int
        Of the slice, from 0.
    label : int
        Of the object, above 0.
    prompts : Prompts
    """

    index: int
    label: int
    prompts: Prompts


def read_prompts(path: Path) -> list[SlicePrompts]:
    """Read a prompt file.

    Raises
    ------
    InputFileError
        No such file, no JSON, or an entry that is not as it should be; the message names it.
    """
    require_input(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))  # as Windows' editors write
    except OSError as error:
        raise unopenable(path, error) from error
    except ValueError as error:
        raise InputFileError(f"{path} is no JSON ({error}): see docs/propagation.md.") from error
    entries = content.get("prompts") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise InputFileError(
            f'{path} must be an object with a list of prompts, {{"prompts": [...]}}, that is not '
            "empty."
        )
    found = [_entry(entry, number, path) for number, entry in enumerate(entries)]
    places = [(one.label, one.index) for one in found]
    for label, index in places:
        if places.count((label, index)) > 1:
            raise InputFileError(
                f"{path} has two entries for label {label} on slice {index}: join their boxes and "
                "points in one."
            )
    return found


def _entry(entry: Any, number: int, path: Path) -> SlicePrompts:
    def wrong(what: str) -> InputFileError:
        return InputFileError(f"Entry {number} of the prompts in {path} {what}.")

    if not isinstance(entry, dict):
        raise wrong("is no object")
    unknown = sorted(entry.keys() - _KEYS)
    if unknown:
        raise wrong(f"has an unknown key {unknown[0]!r}: use {', '.join(sorted(_KEYS))}")
    index, label = entry.get("slice", -1), entry.get("label", 1)
    if not _is_whole(index) or index < 0:
        raise wrong('needs a "slice", a whole number from 0')
    if not _is_whole(label) or not 1 <= label <= LARGEST_ID:
        raise wrong(f'has a "label" that is no whole number from 1 to {LARGEST_ID}')
    for key in ("boxes", "points", "point_labels"):
        value = entry.get(key, [])
        if not isinstance(value, list):
            raise wrong(f'needs a list as its "{key}"')
    if not all(_is_whole(value) for value in entry.get("point_labels", [])):
        raise wrong('has "point_labels" other than 0 and 1')
    try:
        prompts = Prompts(
            points=entry.get("points", ()),
            point_labels=entry.get("point_labels"),
            boxes=entry.get("boxes", ()),
        )
    except (PromptError, TypeError) as error:
        raise wrong(f"is wrong: {error}".rstrip(".")) from error
    if not prompts:
        raise wrong("has neither boxes nor points")
    return SlicePrompts(index, label, prompts)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
