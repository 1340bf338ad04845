"""Pictures: PNG, JPEG and TIFF, which know no millimetres.

A single picture stays ``(rows, cols)``. The pages of a TIFF become a volume, x first, with one
unit between pixels and between pages.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageSequence, UnidentifiedImageError

from icmoe_core.errors import InputFileError
from icmoe_core.io.faults import empty, unopenable, unreadable
from icmoe_core.io.grid import Grid, Unplaced
from icmoe_core.io.suffixes import TIFF, suffix_of
from icmoe_core.io.volume import Volume, taken_for_labels

PAGES_AFFINE = np.diag([-1.0, -1.0, -1.0, 1.0])
"""Columns run to the left, rows to the back, pages to the feet: shown as it was drawn."""

_COLOUR_MODES = {"RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
_DAMAGED = (
    UnidentifiedImageError,
    tifffile.TiffFileError,
    SyntaxError,  # what Pillow raises for a broken PNG chunk
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    RuntimeError,
)


@dataclass(frozen=True)
class PictureHeader(Unplaced):
    """Marks a grid that came from a picture; `pages` are those of a TIFF stack, else 1."""

    pages: int = 1


def read_picture(path: Path, *, as_labels: bool = False) -> Volume:
    """Read a PNG, JPEG or TIFF file.

    Parameters
    ----------
    path : Path
    as_labels : bool
        Give a palette's indices in place of its colours, and 0 and 1 for black and white.

    Returns
    -------
    Volume
        ``(rows, cols)`` or ``(rows, cols, 3)``; ``(i, j, k)`` or ``(i, j, k, 3)`` for several
        pages: columns, rows, pages. Transparency is dropped. Pixels are not turned by what a
        camera noted about how it was held.

    Raises
    ------
    InputFileError
        Not a picture, truncated, empty, too large for Pillow, or with more than one axis besides
        rows and columns.
    """
    tiff = suffix_of(path) in TIFF
    kind = "a TIFF picture" if tiff else "a PNG or JPEG picture"
    try:
        with warnings.catch_warnings():
            # Of large pictures, which may be attacks; but a person has named this one.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            array, rgb = _read_tiff(path, as_labels) if tiff else _read_pillow(path, as_labels)
    except InputFileError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(path) from error
    except (*_DAMAGED, OSError, MemoryError) as error:
        if isinstance(error, MemoryError | PermissionError | IsADirectoryError):
            raise unopenable(path, error) from error
        raise unreadable(path, kind) from error
    if 0 in array.shape:
        raise empty(path, array.shape)
    if np.iscomplexobj(array):
        raise InputFileError(
            f"{path.name} holds complex numbers: save its magnitude or phase and open that."
        )
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) if as_labels else array.astype(np.uint8) * np.uint8(255)
    if np.issubdtype(array.dtype, np.floating):
        with np.errstate(over="ignore"):
            array = array.astype(np.float32, copy=False)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    is_labels = not rgb and taken_for_labels(array, path)
    if array.ndim - rgb == 2:
        return Volume(
            array, Grid(array.shape[:2], np.eye(4), PictureHeader()), rgb, path, is_labels
        )
    array = np.moveaxis(array, (0, 1, 2), (2, 1, 0))  # pages, rows, cols -> x first
    grid = Grid(array.shape[:3], PAGES_AFFINE, PictureHeader(array.shape[2]))
    return Volume(array, grid, rgb, path, is_labels)


def write_png(path: Path, labels: NDArray, grid: Grid) -> None:
    """Write a label map ``(rows, cols)`` of uint8 or uint16 as a grey PNG."""
    Image.fromarray(np.ascontiguousarray(labels)).save(path, format="PNG")


def write_tiff(path: Path, labels: NDArray, grid: Grid) -> None:
    """Write a label map as a TIFF: ``(rows, cols)``, or ``(i, j, k)`` page by page."""
    pages = labels if grid.is_picture else labels.T
    tifffile.imwrite(
        path,
        np.ascontiguousarray(pages),
        photometric="minisblack",
        compression="zlib",
        metadata={"axes": "YX" if grid.is_picture else "ZYX"},
    )


def _read_pillow(path: Path, as_labels: bool) -> tuple[NDArray, bool]:
    with Image.open(path) as image:
        if image.format not in ("PNG", "JPEG", "MPO"):
            raise unreadable(path, "a PNG or JPEG picture")
        image.load()
        return _pillow_array(image, as_labels)


def _pillow_array(image: Image.Image, as_labels: bool) -> tuple[NDArray, bool]:
    # np.array and not np.asarray: Pillow lends its own memory, which is read-only
    mode = image.mode
    if mode in ("P", "PA"):
        if as_labels:
            return np.array(image)[..., 0] if mode == "PA" else np.array(image), False
        return np.array(image.convert("RGB")), True
    if mode in _COLOUR_MODES:
        return np.array(image if mode == "RGB" else image.convert("RGB")), True
    if mode in ("LA", "La"):
        return np.array(image)[..., 0], False
    return np.array(image), False


def _read_tiff(path: Path, as_labels: bool) -> tuple[NDArray, bool]:
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        page: Any = series.keyframe
        try:
            array, axes = series.asarray(), series.axes
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            return _read_compressed_tiff(path, as_labels)
    for axis in reversed(range(array.ndim)):
        if array.shape[axis] == 1 and axes[axis] not in "YX":
            array, axes = array.squeeze(axis), axes[:axis] + axes[axis + 1 :]
    rgb = False
    if "S" in axes:
        array = np.moveaxis(array, axes.index("S"), -1)
        axes = axes.replace("S", "")
        rgb = array.shape[-1] >= 3
        array = array[..., :3] if rgb else array[..., 0]
    elif page.photometric == tifffile.PHOTOMETRIC.PALETTE and not as_labels:
        colours = (np.asarray(page.colormap) >> 8).astype(np.uint8)  # (3, entries)
        array, rgb = np.moveaxis(colours[:, array], 0, -1), True
    if not axes.endswith("YX") or len(axes) > 3:
        raise InputFileError(
            f"{path.name} has the axes {axes or 'none'}, but a picture has rows and columns, and "
            "pages at most: save one channel or one time step of it and open that."
        )
    return array, rgb


def _too_large(path: Path) -> InputFileError:
    most = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6  # beyond it Pillow takes a file for an attack
    return InputFileError(
        f"{path.name} has more than {most:.0f} million pixels, which are not read of such a file: "
        "save it as a TIFF picture without compression, or a part of it, and open that."
    )


def _read_compressed_tiff(path: Path, as_labels: bool) -> tuple[NDArray, bool]:
    """Read with Pillow what tifffile needs a further package for, such as LZW."""
    with Image.open(path) as image:
        pages = [_pillow_array(page, as_labels) for page in ImageSequence.Iterator(image)]
    if len({(page.shape, rgb) for page, rgb in pages}) > 1:
        raise InputFileError(
            f"{path.name} has pages of different sizes or kinds: save one of them and open that."
        )
    arrays, rgb = [page for page, _ in pages], pages[0][1]
    return (arrays[0] if len(arrays) == 1 else np.stack(arrays)), rgb
