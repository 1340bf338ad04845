"""The demo: napari with the sample brain scan and the Annotate widget docked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icmoe_core.io import read_labels, read_volume, to_display
from icmoe_core.samples import SAMPLES

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtWidgets import QWidget

SAMPLE = "brain1"


def open_demo() -> None:
    """Open the window and run until it is closed."""
    import napari

    viewer = napari.Viewer(title="napari-icmoe demo")
    prepare_demo(viewer)
    napari.run()


def prepare_demo(viewer: Viewer) -> QWidget:
    """Open the sample at the slice with most of the tumour, and dock the widget.

    Returns
    -------
    QWidget
        The Annotate widget.
    """
    viewer.open_sample("napari-icmoe", "brain")
    _, widget = viewer.window.add_plugin_dock_widget("napari-icmoe", "Annotate")
    viewer.dims.set_current_step(0, tumour_slice())
    return widget


def tumour_slice() -> int:
    """Return the axial slice of the sample, as it is displayed, that shows most of the tumour."""
    sample = SAMPLES[SAMPLE]
    grid = read_volume(sample.image).grid
    tumour = to_display(read_labels(sample.labels, grid) == sample.label, grid.affine)
    return int(tumour.sum(axis=(1, 2)).argmax())
