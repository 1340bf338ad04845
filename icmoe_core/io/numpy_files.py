"""NPY: a numpy array and nothing else, neither spacing nor orientation nor colour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icmoe_core.errors import InputFileError
from icmoe_core.io.faults import empty, unopenable, unreadable
from icmoe_core.io.grid import Grid, Unplaced
from icmoe_core.io.volume import Volume, taken_for_labels

_CHANNELS = (3, 4)
_DAMAGED = (ValueError, EOFError, SyntaxError, TypeError, OverflowError)


@dataclass(frozen=True)
class NpyHeader(Unplaced):
    """Marks a grid that came from a NPY file; its spacing of 1 is a stand-in."""


def read_npy(path: Path, *, as_labels: bool = False, colour: bool | None = None) -> Volume:
    """Read a NPY file of numbers; files with pickled objects are refused.

    Parameters
    ----------
    path : Path
    as_labels : bool
        Give 0 and 1 for False and True, in place of black and white, and never colour.
    colour : bool, optional
        Whether three axes, the last of 3 or 4 entries, are the channels of a colour picture and
        not slices; the file cannot tell. Left out, they are if the numbers are uint8.

    Returns
    -------
    Volume
        ``(rows, cols)``, ``(rows, cols, 3)`` for colour, or ``(i, j, k)``, in the order of the
        file. Transparency is dropped. Floats become float32, integers keep their dtype.

    Raises
    ------
    InputFileError
        Not a NPY file, truncated, empty, with objects, texts or complex numbers in it, or with
        fewer than two or more than three axes.
    """
    array = _load(path)
    if np.iscomplexobj(array):
        raise InputFileError(
            f"{path.name} holds complex numbers: save its magnitude or phase and open that."
        )
    if array.dtype.kind not in "biuf":
        raise InputFileError(
            f"{path.name} holds {array.dtype} values, but an image holds numbers: save it anew as "
            "an array of integers or floats."
        )
    if array.ndim not in (2, 3):
        raise InputFileError(
            f"{path.name} has {array.ndim} axes, but an image has two, or three for a volume or "
            "colour: save one part of it and open that."
        )
    if 0 in array.shape:
        raise empty(path, array.shape)
    array = _plain(array, as_labels)
    if colour is None:
        colour = array.dtype == np.uint8
    rgb = bool(colour) and not as_labels and array.ndim == 3 and array.shape[2] in _CHANNELS
    array = array[..., :3] if rgb else array
    grid = Grid(array.shape[: array.ndim - rgb], np.eye(4), NpyHeader())
    is_labels = not rgb and taken_for_labels(array, path)
    return Volume(array, grid, rgb, path, is_labels)


def npy_shape(path: Path) -> tuple[int, ...]:
    """Return the shape that the head of a NPY file promises, without reading its values.

    Raises
    ------
    InputFileError
        Not a NPY file, or one that must not be opened.
    """
    try:
        return tuple(np.load(path, mmap_mode="r", allow_pickle=False).shape)
    except (*_DAMAGED, AttributeError, OSError) as error:
        raise unreadable(path, "NPY") from error


def _load(path: Path) -> NDArray:
    try:
        with path.open("rb") as file:
            array: NDArray = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, MemoryError) as error:
        raise unopenable(path, error) from error
    except _DAMAGED as error:
        raise unreadable(path, "NPY") from error
    return array


def _plain(array: NDArray, as_labels: bool) -> NDArray:
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(1 if as_labels else 255)
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return array.astype(np.float32, copy=False)
    return array.astype(array.dtype.newbyteorder("="), copy=False)
