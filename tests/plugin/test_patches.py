"""Outlines of many slices are written, taken back and listed as rectangles."""

import numpy as np
import pytest
from napari.layers import Labels

from napari_icmoe.patches import StackEdit, merge_outlines
from napari_icmoe.planes import Plane

SHAPE = (6, 20, 30)


def outline(axis, *box):
    rows, columns = (size for number, size in enumerate(SHAPE) if number != axis)
    mask = np.zeros((rows, columns), bool)
    top, bottom, left, right = box
    mask[top:bottom, left:right] = True
    return mask


def plane_of(axis, index):
    return Plane(tuple(index if number == axis else None for number in range(3)))


@pytest.fixture
def layer():
    labels = np.zeros(SHAPE, np.uint16)
    labels[2, 4:6, 4:6] = 9
    return Labels(labels)


def edit_of(layer, axis, indices):
    patches = []
    for index in indices:
        masks = [(1, outline(axis, 1, 5, 3, 9)), (2, outline(axis, 3, 6, 5, 12))]
        patch, _ = merge_outlines(layer.data, plane_of(axis, index), masks)
        patches.append(patch)
    return StackEdit(layer, patches)


def test_outlines_are_merged_one_after_the_other_and_others_are_kept(layer):
    masks = [(1, outline(0, 3, 8, 3, 8)), (2, outline(0, 7, 12, 7, 12))]
    patch, kept = merge_outlines(layer.data, plane_of(0, 2), masks)
    assert kept == 4 + 1, "four pixels of another class, and one of the outline before"
    wanted = layer.data[2].copy()
    wanted[7:12, 7:12] = 2
    wanted[3:8, 3:8] = 1
    wanted[4:6, 4:6] = 9
    assert layer.data[2].max() == 9, "nothing has been written"
    patch.put(layer.data, back=False)
    np.testing.assert_array_equal(layer.data[2], wanted)


def test_nothing_is_written_to_barred_pixels(layer):
    barred = np.zeros(SHAPE[1:], bool)
    barred[:4] = True
    mask = outline(0, 2, 6, 10, 12)
    patch, kept = merge_outlines(layer.data, plane_of(0, 0), [(1, mask)], barred)
    patch.put(layer.data, back=False)
    np.testing.assert_array_equal(layer.data[0] == 1, mask & ~barred)
    assert kept == 0


def test_an_outline_that_changes_nothing_is_no_patch(layer):
    layer.data[1, 2:4, 2:4] = 3
    for mask in (outline(0, 2, 4, 2, 4), outline(0, 0, 0, 0, 0)):
        assert merge_outlines(layer.data, plane_of(0, 1), [(3, mask)]) == (None, 0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_undo_takes_back_what_was_written_and_nothing_else(layer, axis):
    before = layer.data.copy()
    edit = edit_of(layer, axis, [1, 2, 4])
    edit.redo()
    after = layer.data.copy()
    where = plane_of(axis, 1).index
    assert set(np.unique(after[where])) >= {1, 2}
    layer.data[5, 0, 0] = 7  # by somebody else
    edit.undo()
    before[5, 0, 0] = after[5, 0, 0] = 7
    np.testing.assert_array_equal(layer.data, before)
    edit.redo()
    np.testing.assert_array_equal(layer.data, after)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_voxels_are_listed_in_ascending_order(layer, axis):
    edit = edit_of(layer, axis, [1, 2, 4])
    before = layer.data.copy()
    edit.redo()
    indices, old, new = edit.list_voxels()
    assert (np.diff(indices) > 0).all()
    np.testing.assert_array_equal(np.flatnonzero(before != layer.data), indices)
    np.testing.assert_array_equal(before.reshape(-1)[indices], old)
    np.testing.assert_array_equal(layer.data.reshape(-1)[indices], new)
    for other in range(3):
        touched = set(np.unique(np.unravel_index(indices, SHAPE)[other]).tolist())
        assert touched <= edit.slices(other)
    assert edit.slices(axis) == {1, 2, 4}


def test_an_edit_of_an_array_that_was_replaced_changes_nothing(layer):
    edit = edit_of(layer, 0, [1])
    layer.data = np.zeros(SHAPE, np.uint16)
    edit.redo()
    assert not layer.data.any()
