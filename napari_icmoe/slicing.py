"""Slicing: which slice of a layer napari cuts, and where on the screen it draws its pixels.

napari cuts along a layer's own axes, and of a layer that is rotated or sheared out of its slices it
shows them as if it were not: what carries the displayed axes over into the others, and back, is
left out. So this is not what the layer's own coordinates say, unless nothing is carried over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_icmoe.planes import Plane


def world_matrix(layer: Layer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the matrix ``(ndim, ndim)`` and the shift ``(ndim,)`` from data to a layer's world."""
    whole = getattr(getattr(layer, "_data_to_world", None), "affine_matrix", None)
    if whole is not None:  # napari's own, which is quicker: it is asked for with each move
        matrix = np.asarray(whole, np.float64)
        return matrix[:-1, :-1], matrix[:-1, -1]
    shift = np.asarray(layer.data_to_world(np.zeros(layer.ndim)), np.float64)
    ends = [np.asarray(layer.data_to_world(axis), np.float64) for axis in np.eye(layer.ndim)]
    return np.array(ends).T - shift[:, None], shift


def cut_positions(viewer: ViewerModel, layer: Layer, cut: Sequence[int]) -> NDArray[np.float64]:
    """Return where, in data coordinates, the slider stands along some axes of a layer.

    Parameters
    ----------
    viewer : ViewerModel
    layer : Layer
    cut : sequence of int
        All axes of the layer that are not displayed.
    """
    inward, shift = _from_world(layer, cut)
    point = _in_layer(viewer, layer, viewer.dims.point)
    return np.asarray(inward @ point[list(cut)] + shift, np.float64)


def cut_points(viewer: ViewerModel, layer: Layer, plane: Plane) -> tuple[list[int], list[float]]:
    """Return along which axes of the layer, and where in the world, the slider shows a plane."""
    cut = [axis for axis, index in enumerate(plane.fixed) if index is not None]
    inward, shift = _from_world(layer, cut)
    wanted = np.array([plane.fixed[axis] for axis in cut], np.float64)
    point = np.linalg.solve(inward, wanted - shift) / _units(viewer, layer)[cut]
    return cut, point.tolist()


def pixel_at(
    viewer: ViewerModel, layer: Layer, plane: Plane, position: Sequence[float] | NDArray
) -> tuple[float, float]:
    """Return the ``(row, column)`` of a displayed plane that is drawn at a place in the world."""
    axes = list(plane.axes)
    matrix, shift = world_matrix(layer)
    world = _in_layer(viewer, layer, position)
    # of a layer that is turned by 90 degrees nothing but a line is drawn
    row, column = np.linalg.pinv(matrix[np.ix_(axes, axes)]) @ (world - shift)[axes]
    return float(row), float(column)


def drawn_at(
    viewer: ViewerModel, layer: Layer, plane: Plane, pixel: tuple[float, float]
) -> NDArray[np.float64]:
    """Return where a pixel ``(row, column)`` is drawn: two positions, in order of the axes."""
    axes = list(plane.axes)
    matrix, shift = world_matrix(layer)
    place = matrix[np.ix_(axes, axes)] @ np.asarray(pixel, np.float64) + shift[axes]
    return np.asarray(place / _units(viewer, layer)[axes], np.float64)


def plane_shift(layer: Layer, plane: Plane, corner: tuple[float, float]) -> NDArray[np.float64]:
    """Return how far in the layer's world a layer is moved that holds only a plane, or a part.

    Such a layer has one voxel along each cut axis. It is cut with the plane, and drawn upon it.

    Parameters
    ----------
    layer : Layer
    plane : Plane
    corner : (float, float)
        Where on the plane its first pixel lies.
    """
    axes = list(plane.axes)
    cut = [axis for axis, index in enumerate(plane.fixed) if index is not None]
    matrix, _ = world_matrix(layer)
    moved = np.zeros(layer.ndim)
    moved[axes] = matrix[np.ix_(axes, axes)] @ np.asarray(corner, np.float64)
    if cut:
        inverse = np.linalg.inv(matrix)
        wanted = np.array([plane.fixed[axis] for axis in cut], np.float64)
        carried = inverse[np.ix_(cut, axes)] @ moved[axes]
        moved[cut] = np.linalg.solve(inverse[np.ix_(cut, cut)], wanted - carried)
    return moved


def _from_world(
    layer: Layer, cut: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the matrix and the shift from world to data among the axes that are not displayed."""
    matrix, shift = world_matrix(layer)
    inverse = np.linalg.inv(matrix).astype(np.float64, copy=False)
    return inverse[np.ix_(list(cut), list(cut))], -(inverse @ shift)[list(cut)]


def _in_layer(
    viewer: ViewerModel, layer: Layer, position: Sequence[float] | NDArray
) -> NDArray[np.float64]:
    """Return a position in the viewer's world in the layer's, which has fewer axes, or others.

    While napari adds and removes layers the viewer may have fewer axes than the layer.
    """
    known = np.asarray(position, np.float64)[-layer.ndim :]
    world = np.zeros(layer.ndim)
    world[layer.ndim - len(known) :] = known
    return world * _units(viewer, layer)


def _units(viewer: ViewerModel, layer: Layer) -> NDArray[np.float64]:
    """Return what a position in the viewer's world is multiplied by, to be in the layer's units."""
    units = viewer.dims.units
    if units is None or len(units) < layer.ndim:
        return np.ones(layer.ndim)
    pairs = zip(units[-layer.ndim :], layer.units, strict=True)
    return np.array([1.0 if one == own else _ratio(one, own) for one, own in pairs])


def _ratio(unit: Any, own: Any) -> float:
    """Return how many of a layer's own units a unit of the viewer's is.

    They have nothing in common while the layer is being removed: then it is 1.
    """
    return float((1.0 * unit).to(own).magnitude) if unit.is_compatible_with(own) else 1.0
