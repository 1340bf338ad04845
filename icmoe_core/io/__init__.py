"""Scans in, label maps out: file formats, grids and orientation. Needs no torch."""

from icmoe_core.io.formats import read_volume
from icmoe_core.io.grid import Grid, check_same_grid, same_grid
from icmoe_core.io.label_files import add_to_labels, existing_labels, merge_labels, write_labels
from icmoe_core.io.labels import read_label_volume, read_labels
from icmoe_core.io.orientation import (
    DisplayOrientation,
    display_orientation,
    from_display,
    to_display,
)
from icmoe_core.io.outputs import check_output
from icmoe_core.io.suffixes import READABLE, WRITABLE
from icmoe_core.io.volume import Volume

__all__ = [
    "READABLE",
    "WRITABLE",
    "DisplayOrientation",
    "Grid",
    "Volume",
    "add_to_labels",
    "check_output",
    "check_same_grid",
    "display_orientation",
    "existing_labels",
    "from_display",
    "merge_labels",
    "read_label_volume",
    "read_labels",
    "read_volume",
    "same_grid",
    "to_display",
    "write_labels",
]
