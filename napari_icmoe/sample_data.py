"""Sample data: two small public scans that come with the package."""

from __future__ import annotations

from icmoe_core.io import read_volume
from icmoe_core.samples import SAMPLES
from napari_icmoe.readers import LayerData, volume_as_layer


def brain() -> list[LayerData]:
    """Open the brain MR with a tumour."""
    return _sample("brain1")


def abdomen() -> list[LayerData]:
    """Open the abdominal MR."""
    return _sample("mr_abdomen")


def _sample(name: str) -> list[LayerData]:
    sample = SAMPLES[name]
    return [volume_as_layer(read_volume(sample.image), name=sample.name)]
