"""An open scan with approved slices."""

import numpy as np

from icmoe_core.io import read_labels, read_volume, to_display
from icmoe_core.samples import SAMPLES
from napari_icmoe.planes import Plane
from napari_icmoe.readers import volume_as_layer
from napari_icmoe.state import Place


def open_lesion(viewer, controller, count=8):
    """Open the brain sample with the lesion's slices outlined and approved; returns the image."""
    sample = SAMPLES["brain1"]
    volume = read_volume(sample.image)
    data, arguments, _ = volume_as_layer(volume, "brain1")
    labels = read_labels(sample.labels, volume.grid) == sample.label
    shown = to_display(labels, volume.grid.affine)
    image = viewer.add_image(data, **arguments)
    mask = viewer.add_labels(
        shown.astype(np.uint16),
        name="outlines",
        **{k: arguments[k] for k in ("scale", "translate", "units")},
    )
    controller.set_image(image)
    controller.set_target(mask)
    areas = shown.sum(axis=(1, 2))
    for index in np.sort(np.argsort(areas)[-count:]).tolist():
        plane = Plane((index, None, None))
        controller.session.approve(Place(str(image.unique_id), plane))
    controller.changed.emit()
    return image
