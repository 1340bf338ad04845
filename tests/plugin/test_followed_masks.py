"""What a hand has painted stays known, whatever happens to the voxels afterwards."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_icmoe.followed_masks import FollowedMask
from napari_icmoe.label_edits import VoxelEdit
from napari_icmoe.painted_voxels import PaintedVoxels
from napari_icmoe.planes import Plane

SHAPE = (4, 5, 6)
PLANE = Plane((1, None, None))


@pytest.fixture
def mask():
    def on_stroke(mask, voxels, before, after):
        edits.append(VoxelEdit(mask.layer, voxels, before, after, None, mask.painted))

    edits = []
    mask = FollowedMask(Labels(np.zeros(SHAPE, np.uint8)), on_stroke)
    mask.edits = edits
    return mask


def paint(mask, *columns, label):
    index = np.ones(len(columns), int), np.full(len(columns), 2), np.array(columns)
    mask.layer.data_setitem(index, label)


def painted(mask):
    return np.flatnonzero(mask.painted.within(mask.layer.data, PLANE)[2]).tolist()


def test_a_stroke_is_painted_until_it_is_erased_by_hand(mask):
    paint(mask, 1, 2, 3, label=2)
    assert painted(mask) == [1, 2, 3]
    paint(mask, 2, label=0)
    assert painted(mask) == [1, 3]
    mask.write(PLANE, np.ones((5, 6), bool), 7)
    assert painted(mask) == []
    paint(mask, 2, label=0)
    mask.write(PLANE, np.ones((5, 6), bool), 2)
    assert painted(mask) == [1, 3], "an erased voxel is free"


def test_undo_and_redo_bring_the_protection_back(mask):
    paint(mask, 1, 2, label=2)
    paint(mask, 2, 3, label=5)
    mask.edits[1].undo()
    assert mask.layer.data[1, 2].tolist() == [0, 2, 2, 0, 0, 0]
    assert painted(mask) == [1, 2]
    mask.edits[1].redo()
    assert painted(mask) == [1, 2, 3]


def test_the_layers_own_undo_takes_the_protection_with_it(mask):
    paint(mask, 1, 2, label=2)
    mask.layer.undo()
    assert painted(mask) == []


def test_asking_about_a_slice_looks_at_that_slice_only():
    labels = np.zeros((300, 400, 500), np.uint8)
    known = PaintedVoxels()
    voxels = np.arange(2_000_000)
    labels.ravel()[voxels] = 1
    known.record(labels, voxels, np.ones(len(voxels), np.uint8))

    class Counting:
        shape, dtype, cells = labels.shape, labels.dtype, 0

        def __getitem__(self, index):
            part = labels[index]
            self.cells += part.size
            return part

    counting = Counting()
    assert known.within(counting, Plane((3, None, None))).all()
    assert counting.cells == 400 * 500


def test_a_change_is_not_taken_back_in_another_array(mask):
    edit = mask.write(PLANE, np.ones((5, 6), bool), 7)
    other = np.full(SHAPE, 3, np.uint8)
    mask.layer.data = other
    edit.undo()
    assert (other == 3).all()
    edit.redo()
    assert (other == 3).all()


def test_a_hidden_mask_is_written_where_the_viewer_is_now():
    """The viewer has been beyond the mask, which was hidden then and was not cut anew."""
    viewer = ViewerModel()
    layer = viewer.add_labels(np.zeros(SHAPE, np.uint8))
    viewer.add_image(np.zeros((40, 5, 6)))
    viewer.dims.set_point(0, 30)
    layer.visible = False
    viewer.dims.set_point(0, 1)
    mask = FollowedMask(layer, lambda *_: None)
    mask.write(PLANE, np.ones((5, 6), bool), 3)
    assert (layer.data[1] == 3).all()
    layer.visible = True
    assert (layer._slice.image.raw == 3).all()
