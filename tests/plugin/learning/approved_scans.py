"""An open scan with approved slices, and the record of a fine-tune."""

import numpy as np

from icmoe_core.io import read_labels, read_volume, to_display
from icmoe_core.samples import SAMPLES
from napari_icmoe.planes import Plane
from napari_icmoe.readers import volume_as_layer
from napari_icmoe.state import Place

RECORD = {
    "date": "2025-01-02T03:04:05+00:00",
    "classes": {"1": 16},
    "scores": {
        "before": {"box": 0.8, "click": 0.6, "mean": 0.7},
        "after": {"box": 0.9, "click": 0.8, "mean": 0.85},
    },
    "worse": False,
    "retention": {"before": 0.98, "after": 0.979},
    "train_slices": 16,
    "held_out_slices": 4,
    "data": "not for the note",
}


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
