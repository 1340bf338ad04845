"""Places: showing the slice on which something happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_icmoe.history import Step
from napari_icmoe.label_edits import LayerEdit
from napari_icmoe.planes import Plane, spatial_shape
from napari_icmoe.slicing import cut_points
from napari_icmoe.state import Place, SessionState

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer


def place_of(viewer: ViewerModel, step: Step[SessionState]) -> tuple[Layer, Plane] | None:
    """Return the layer and the slice on which a step shows; None if it shows on no single one."""
    place = changed_place(step)
    if place is not None:
        layers = [layer for layer in viewer.layers if str(layer.unique_id) == place.image]
        return (layers[0], place.plane) if layers else None
    edit = step.edit
    if isinstance(edit, LayerEdit) and edit.plane is not None and edit.target in viewer.layers:
        return edit.target, edit.plane
    return None


def changed_place(step: Step[SessionState]) -> Place | None:
    """Return where a step changed prompts, proposals or marks, if it did so in one place."""
    pairs = (
        (step.before.prompts, step.after.prompts),
        (step.before.proposals, step.after.proposals),
        (step.before.marks, step.after.marks),
    )
    places = {place for before, after in pairs for place in _differing(before, after)}
    return places.pop() if len(places) == 1 else None


def prompted_places(step: Step[SessionState]) -> set[Place]:
    """Return where a step changed prompts."""
    return _differing(step.before.prompts, step.after.prompts)


def _differing(before: Mapping[Place, Any], after: Mapping[Place, Any]) -> set[Place]:
    return {place for place in {*before, *after} if before.get(place) != after.get(place)}


def show_plane(viewer: ViewerModel, layer: Layer, plane: Plane) -> None:
    """Show `plane` of `layer`: in 2D, cut along the right axis, at the right slice."""
    if len(plane.fixed) != layer.ndim:
        return
    dims = viewer.dims
    offset = dims.ndim - layer.ndim
    if dims.ndisplay != 2:
        dims.ndisplay = 2
    shown = [axis + offset for axis in plane.axes]
    if set(dims.displayed) != set(shown):
        dims.order = (*(axis for axis in range(dims.ndim) if axis not in shown), *shown)
        viewer.reset_view()
    cut, points = cut_points(viewer, layer, plane)
    if cut:
        dims.set_point([axis + offset for axis in cut], points)


def show_middle(viewer: ViewerModel, layer: Layer) -> None:
    """Show the middle of `layer`, cut as it is now, and all of it."""
    middle = [(size - 1) // 2 for size in spatial_shape(layer)]
    world = [float(value) for value in layer.data_to_world(middle)]
    viewer.dims.set_point(range(viewer.dims.ndim - layer.ndim, viewer.dims.ndim), world)
    shown = {axis - (viewer.dims.ndim - layer.ndim) for axis in viewer.dims.displayed}
    if len(shown) == 2 and min(shown) >= 0:  # an oblique layer is not cut where its middle lies
        plane = Plane(tuple(None if axis in shown else at for axis, at in enumerate(middle)))
        show_plane(viewer, layer, plane)
    viewer.reset_view()
