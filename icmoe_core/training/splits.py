"""Splits: which labelled slices a fine-tune learns from, and on which it is measured."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from icmoe_core.errors import DatasetError
from icmoe_core.training.datasets import LabelledSlice
from icmoe_core.training.listing import natural_order

VALIDATION = 0.2
"""Share of the patients, or of the slices of a single one, that is held out."""

_ENOUGH_FOR_A_GAP = 5
_NAMED = 5

Slices = tuple[LabelledSlice, ...]


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled slices in two parts.

    Attributes
    ----------
    train, validation : tuple of LabelledSlice
        In order of case, axis and index. `validation` may be empty: `rule` then says why.
    held_out : tuple of str
        The patients that are held out as a whole, or else the names of the held-out slices.
    rule : str
        How it was divided, one sentence, to be shown to the user.
    notices : tuple of str
        What else the user should know, one sentence each.
    """

    train: Slices = field(repr=False)
    validation: Slices = field(repr=False)
    held_out: tuple[str, ...]
    rule: str
    notices: tuple[str, ...] = ()


def split_by_patient(
    slices: Iterable[LabelledSlice],
    validation: float = VALIDATION,
    seed: int = 0,
    held_out: Sequence[str] = (),
    names: Mapping[int, str] | None = None,
) -> Split:
    """Hold out whole patients; of a single patient, the end block of the slices.

    A block is the same places in all cases of the patient, since the series of one examination,
    and the time points of one series, show the same there. Every class stays in the training part.
    Where no patient can be held out without losing a class, the end block of each patient's slices
    is; and where no slice can, none is held out.

    Parameters
    ----------
    slices : iterable of LabelledSlice
    validation : float, 0 … 1, exclusive of 1
        Share of the patients to hold out, or of the slices of each patient; at least one, unless
        it is 0.
    seed : int
        Decides which patients; slices are never drawn at random.
    held_out : sequence of str
        Patients to hold out, in the place of `validation` and `seed`.
    names : mapping of int to str, optional
        What to call classes in a sentence; the others are called by their number.

    Returns
    -------
    Split
        A slice directly beside a held-out block, which shows nearly the same, is in neither part
        where there are five slices or more.

    Raises
    ------
    DatasetError
        No labelled slice, labels that cover all of every slice, or a share out of range. Patients
        to hold out that are not there, or without whom nothing, or not every class, is left.
    """
    ordered = sorted(slices, key=_order)
    _check(ordered, validation)
    names = {} if names is None else names
    notices = _rare_classes(ordered, names)
    patients = sorted({part.patient for part in ordered}, key=natural_order)
    if held_out:
        held = _check_held(ordered, patients, held_out, names)
    elif validation == 0:
        return Split(tuple(ordered), (), (), "Nothing was held out, as was asked.", notices)
    else:
        held = _patients_to_hold(ordered, patients, validation, seed) if len(patients) > 1 else []
    if held:
        train = tuple(part for part in ordered if part.patient not in held)
        measured = tuple(part for part in ordered if part.patient in held)
        rule = (
            f"{_list(held, 'patient')} of {len(patients)}, with {_count(measured)}, "
            f"{'was' if len(held) == 1 else 'were'} held out as a whole."
        )
        return Split(train, measured, tuple(held), rule, notices)
    return _split_by_blocks(ordered, patients, validation, notices)


def _check(slices: Sequence[LabelledSlice], validation: float) -> None:
    if not 0 <= validation < 1:
        raise DatasetError(
            f"The share to hold out must be at least 0 and less than 1, but is {validation:g}."
        )
    if not slices:
        raise DatasetError(
            "There is no labelled slice: label some objects first, of at least 30 pixels each."
        )
    if all((part.labels == part.labels.flat[0]).all() for part in slices):
        raise DatasetError(
            "On every slice one label covers the whole picture, so that there is nothing to tell "
            "apart: give labels that are 0 where the object is not."
        )


def _rare_classes(slices: Sequence[LabelledSlice], names: Mapping[int, str]) -> tuple[str, ...]:
    rare = sorted(label for label, count in _classes(slices).items() if count == 1)
    if not rare:
        return ()
    verb, pronoun = ("is", "it is") if len(rare) == 1 else ("are", "they are")
    rule = f"{verb} labelled on one slice only: {pronoun} learnt, but not measured."
    return (f"{_named(rare, names)} {rule}",)


def _check_held(
    slices: Sequence[LabelledSlice],
    patients: list[str],
    held_out: Sequence[str],
    names: Mapping[int, str],
) -> list[str]:
    """Return the patients that are to be held out, if enough is left to learn from."""
    unknown = [name for name in held_out if name not in patients]
    if unknown:
        raise DatasetError(
            f"{_list(unknown, 'patient')} cannot be held out, as there are no labelled slices of "
            f"theirs: choose among {', '.join(patients[:_NAMED])}."
        )
    held = sorted(set(held_out), key=natural_order)
    left = _classes(part for part in slices if part.patient not in held)
    missing = sorted(set(_classes(slices)) - set(left))
    if missing:
        lost = _named(missing, names).replace("Class", "class", 1)
        raise DatasetError(
            f"{_list(held, 'patient')} cannot be held out, as no other slice shows "
            f"{lost}: hold out somebody else, or choose other classes."
        )
    return held


def _patients_to_hold(
    slices: Sequence[LabelledSlice], patients: list[str], validation: float, seed: int
) -> list[str]:
    """Draw patients whose absence loses no class; as many as `validation` says, or fewer."""
    count = min(max(1, round(validation * len(patients))), len(patients) - 1)
    remaining = _classes(slices)
    held: list[str] = []
    for place in np.random.default_rng(seed).permutation(len(patients)):
        lost = _classes(part for part in slices if part.patient == patients[place])
        if len(held) < count and all(remaining[label] > lost[label] for label in lost):
            remaining -= lost
            held.append(patients[place])
    return sorted(held, key=natural_order)


def _split_by_blocks(
    slices: list[LabelledSlice],
    patients: list[str],
    validation: float,
    notices: tuple[str, ...],
) -> Split:
    """Hold out a block of each patient's slices, as long as every class stays."""
    remaining = _classes(slices)
    measured: list[LabelledSlice] = []
    for patient in patients:
        block = _block([part for part in slices if part.patient == patient], validation, remaining)
        remaining -= _classes(block)
        measured += sorted(block, key=_order)
    if not measured:
        reason = (
            "the only slice has to be learnt from"
            if len(slices) == 1
            else "all slices lie at the same place"
            if len(_places(slices)) == 1
            else "each slice is the only one of some class"
        )
        rule = f"Nothing was held out, since {reason}: label more slices to measure the result."
        return Split(tuple(slices), (), (), rule, notices)
    beside = _beside(slices, measured, remaining)
    taken = {id(part) for part in (*measured, *beside)}
    train = tuple(part for part in slices if id(part) not in taken)
    names = tuple(part.name for part in measured)
    whose = (
        f"All slices are of a single patient, {patients[0]}, so that"
        if len(patients) == 1
        else "No patient can be held out without losing a class, so that of each"
    )
    rule = f"{whose} a block of neighbouring slices was held out, {len(measured)} of "
    rule += f"{_count(slices)} in all"
    if beside:
        verb = "is" if len(beside) == 1 else "are"
        rule += f"; {_count(beside)} beside it {verb} in neither part"
    rule += "."
    return Split(train, tuple(measured), names, rule, notices)


def _block(
    slices: list[LabelledSlice], validation: float, remaining: Counter[int]
) -> list[LabelledSlice]:
    """Return the longest block of places, at the end if possible, whose absence loses no class."""
    places = _places(slices)
    wanted = min(max(1, round(validation * len(places))), len(places) - 1)
    for length in range(wanted, 0, -1):
        last = len(places) - length
        for start in (last, *range(last)):  # the end, the beginning, then what lies between
            block = [part for place in places[start : start + length] for part in place]
            lost = _classes(block)
            if all(remaining[label] > lost[label] for label in lost):
                return block
    return []


def _beside(
    slices: list[LabelledSlice], measured: list[LabelledSlice], remaining: Counter[int]
) -> list[LabelledSlice]:
    """Return the neighbours of held-out slices that the training part can spare."""
    if len(slices) < _ENOUGH_FOR_A_GAP:
        return []
    held = {_place(part) for part in measured}
    left = Counter(remaining)
    spared = []
    for part in slices:
        stack, index = _place(part)
        near = (stack, index - 1) in held or (stack, index + 1) in held
        if (stack, index) in held or not near or any(left[c] < 2 for c in part.classes):
            continue
        left -= Counter(part.classes)
        spared.append(part)
    return spared


def _places(slices: Iterable[LabelledSlice]) -> list[list[LabelledSlice]]:
    """Put together what lies at the same place, in the order of the places."""
    found: dict[tuple[tuple[str, str], int], list[LabelledSlice]] = {}
    for part in slices:
        found.setdefault(_place(part), []).append(part)
    order = sorted(found, key=lambda place: (natural_order(place[0][1]), place[1]))
    return [found[place] for place in order]


def _place(part: LabelledSlice) -> tuple[tuple[str, str], int]:
    """Return a patient's stack of slices, and the place in it.

    All volumes of a patient that are cut along one axis are one stack. Pictures are stacked by
    their numbers.
    """
    if part.axis is not None:
        return (part.patient, f"axis {part.axis}"), part.index
    front, _, number = part.case.rpartition("_")
    numbered = re.fullmatch(r"[0-9]+", number) is not None
    return (part.patient, front if numbered else part.case), int(number) if numbered else 0


def _classes(slices: Iterable[LabelledSlice]) -> Counter[int]:
    """Count the slices of each class."""
    return Counter(label for part in slices for label in part.classes)


def _order(part: LabelledSlice) -> tuple[object, ...]:
    axis = -1 if part.axis is None else part.axis
    return (natural_order(part.patient), natural_order(part.case), axis, part.index)


def _named(labels: Iterable[int], names: Mapping[int, str]) -> str:
    """Return ``"Class 'tumour'"``, or ``"Classes 'tumour', 4"`` where a class has no name."""
    words = [repr(names[label]) if label in names else str(label) for label in labels]
    return _list(words, "class", "classes")


def _count(slices: Sequence[LabelledSlice]) -> str:
    return f"{len(slices)} slice" + ("s" if len(slices) != 1 else "")


def _list(names: list[str], noun: str, plural: str = "") -> str:
    """Return ``"Patient p01"`` or ``"Patients p01, p02 and 7 more"``."""
    word = noun if len(names) == 1 else plural or f"{noun}s"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{word.capitalize()} {', '.join(names[:_NAMED])}{more}"
