"""Records: what happened to a session, one scan at a time, as values that JSON can hold.

A record names no image: a journal is about one scan, and a slice is told by where its plane cuts
the array as it is displayed. What a step changed is kept as the values afterwards, so that records
that are made again on what they have been made on already change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icmoe_core.classes import ClassTable, LabelClass
from icmoe_core.propagation.limits import Change
from icmoe_core.propagation.proposals import Proposal
from napari_icmoe.journal.packing import pack_mask, pack_values, pack_voxels, unpack_mask
from napari_icmoe.label_edits import LayerEdit
from napari_icmoe.planes import Plane
from napari_icmoe.regions import Region
from napari_icmoe.review.marks import UNMARKED, Mark, Origin
from napari_icmoe.review.rejections import Rejection
from napari_icmoe.state import Box, Click, Place, Prompt, SessionState

Record = dict[str, Any]


def images_touched(before: SessionState, after: SessionState) -> set[str]:
    """Return the unique ids of the images on whose slices something changed."""
    pairs = (
        (before.prompts, after.prompts),
        (before.proposals, after.proposals),
        (before.marks, after.marks),
        (before.rejections, after.rejections),
    )
    return {place.image for old, new in pairs for place in _changed(old, new)}


def describe_change(before: SessionState, after: SessionState, image: str) -> Record:
    """Return what differs in `after`, of the classes and of one image.

    Parameters
    ----------
    before, after : SessionState
    image : str
        The image layer's unique id.
    """
    change: Record = {}
    if after.classes != before.classes:
        change["classes"] = [
            {"id": one.id, "name": one.name, "color": list(one.color), "locked": one.locked}
            for one in after.classes
        ]
    if after.active_class != before.active_class:
        change["active_class"] = after.active_class
    parts: tuple[tuple[str, Mapping, Mapping, Callable[[Any], Any], Any], ...] = (
        ("prompts", before.prompts, after.prompts, _all(_from_prompt), ()),
        ("proposals", before.proposals, after.proposals, _all(_from_proposal), ()),
        ("marks", before.marks, after.marks, _from_mark, UNMARKED),
        ("rejections", before.rejections, after.rejections, _all(asdict), ()),
    )
    for name, old, new, encode, nothing in parts:
        places = [place for place in _changed(old, new) if place.image == image]
        if places:
            change[name] = [[_cuts(one.plane), encode(new.get(one, nothing))] for one in places]
    return change


def apply_change(state: SessionState, change: Record, image: str) -> SessionState:
    """Return `state` with what :func:`describe_change` has told.

    Raises
    ------
    KeyError, TypeError, ValueError, zlib.error
        Not such a change, or a damaged one.
    """

    def places(name: str, decode: Callable[[Any], Any]) -> dict[Place, Any]:
        return {Place(image, _plane(fixed)): decode(value) for fixed, value in change.get(name, ())}

    if "classes" in change:
        state = replace(state, classes=ClassTable(tuple(_class(one) for one in change["classes"])))
    if "active_class" in change:
        state = replace(state, active_class=int(change["active_class"]))
    for place, prompts in places("prompts", _all(_to_prompt)).items():
        state = state.with_prompts(place, prompts)
    proposals, marks = places("proposals", _all(_to_proposal)), places("marks", _to_mark)
    state = state.with_proposals(proposals) if proposals else state
    state = state.with_marks(marks) if marks else state
    rejections = places("rejections", _all(lambda record: Rejection(**record)))
    return state.with_rejections(rejections) if rejections else state


def describe_edit(edit: LayerEdit, mask: int) -> Record:
    """Return a change of voxels, of the mask that has the number `mask` in the journal."""
    voxels, before, after = edit.list_voxels()
    return {
        "mask": mask,
        "plane": None if edit.plane is None else _cuts(edit.plane),
        "voxels": pack_voxels(voxels),
        "before": pack_values(before),
        "after": pack_values(after),
        "painted": edit.noted is not None,
    }


def describe_voxels(
    mask: int, voxels: NDArray[np.int64], values: NDArray, painted: NDArray | None
) -> Record:
    """Return values that voxels have from now on, without those that they had.

    Parameters
    ----------
    mask : int
        Number of the mask in the journal.
    voxels : ndarray of int64, (n,)
        Flat indices, ascending.
    values : ndarray of int, (n,)
    painted : ndarray of int, (n,), optional
        What is known to be painted there.
    """
    noted = None if painted is None else pack_values(painted)
    return {
        "mask": mask,
        "voxels": pack_voxels(voxels),
        "values": pack_values(values),
        "noted": noted,
    }


def describe_travel(edit: LayerEdit, mask: int, *, back: bool) -> Record:
    """Return what an edit leaves behind that was undone, or redone where `back` is false.

    Parameters
    ----------
    edit : LayerEdit
        Nothing is read from its mask, which may have been changed again by now.
    mask : int
        Number of the mask in the journal.
    back : bool
    """
    voxels, before, after = edit.list_voxels()
    painted = None
    if edit.noted is not None:
        painted = edit.noted if back else after
    return describe_voxels(mask, voxels, before if back else after, painted)


def plane_of(edit: Record) -> Plane | None:
    """Return the slice that shows an edit, from what :func:`describe_edit` has told."""
    return None if edit["plane"] is None else _plane(edit["plane"])


def _changed(old: Mapping[Place, Any], new: Mapping[Place, Any]) -> list[Place]:
    if old is new:
        return []
    both = dict.fromkeys([*old, *new])
    return [
        one for one in both if old.get(one) is not new.get(one) and old.get(one) != new.get(one)
    ]


def _all(function: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    return lambda values: tuple(function(value) for value in values)


def _cuts(plane: Plane) -> list[int | None]:
    return [None if index is None else int(index) for index in plane.fixed]


def _plane(fixed: list[int | None]) -> Plane:
    return Plane(tuple(fixed))


def _class(entry: Record) -> LabelClass:
    return LabelClass(entry["id"], entry["name"], tuple(entry["color"]), entry["locked"])


def _from_prompt(prompt: Prompt) -> Record:
    region = (
        {} if prompt.region is None else {"region": [int(one) for one in astuple(prompt.region)]}
    )
    if isinstance(prompt, Box):
        return {"box": [float(value) for value in prompt.as_tuple()]} | region
    click = {"click": [float(prompt.row), float(prompt.column)], "positive": bool(prompt.positive)}
    return click | region


def _to_prompt(record: Record) -> Prompt:
    region = Region(*record["region"]) if "region" in record else None
    if "box" in record:
        row_min, col_min, row_max, col_max = record["box"]
        return Box(row_min, col_min, row_max, col_max, region)
    row, column = record["click"]
    return Click(row, column, record["positive"], region)


def _from_proposal(proposal: Proposal) -> Record:
    change = {name: _plain(value) for name, value in asdict(proposal.change).items()}
    return {
        "index": int(proposal.index),
        "label": int(proposal.label),
        "source": int(proposal.source),
        "seed": proposal.seed,
        "mask": pack_mask(proposal.mask),
        "change": change,
        "cautions": list(proposal.cautions),
    }


def _to_proposal(record: Record) -> Proposal:
    return Proposal(
        index=record["index"],
        label=record["label"],
        source=record["source"],
        seed=record["seed"],
        mask=unpack_mask(record["mask"]),
        change=Change(**record["change"]),
        cautions=tuple(record["cautions"]),
    )


def _from_mark(mark: Mark) -> Record:
    origins = {str(label): list(origins) for label, origins in mark.origins.items()}
    return {"origins": origins, "doubt": float(mark.doubt), "approved": bool(mark.approved)}


def _to_mark(record: Record) -> Mark:
    mark = Mark(doubt=record["doubt"], approved=record["approved"])
    for label, origins in record["origins"].items():
        for origin in origins:
            mark = mark.with_origin([int(label)], Origin(origin))
    return mark


def _plain(value: Any) -> int | float:
    """Return a number of numpy's as Python's."""
    return value.item() if isinstance(value, np.generic) else value
