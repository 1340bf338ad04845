"""Strokes: what napari's two kinds of paint events cover."""

import numpy as np

from napari_icmoe.strokes import stroke_slices, stroke_voxels

SHAPE = (9, 4, 6)


class Atom:
    """A dab of the brush, as newer versions of napari tell it."""

    slice_key = (slice(2, 4), slice(0, 3), slice(None))
    mask = None
    old_values = np.full((2, 3, 6), 1)
    new_value = 5


def test_the_slices_of_a_stroke():
    indices = (np.array([0, 0, 7]), np.array([1, 2, 2]), np.array([5, 5, 5]))
    assert stroke_slices([Atom(), (indices, 0, 1)], 0, 9) == {0, 2, 3, 7}
    assert stroke_slices([Atom()], 2, 6) == {0, 1, 2, 3, 4, 5}


def test_of_several_dabs_the_first_tells_what_was_and_the_last_what_is():
    twice = (np.array([2, 0]), np.array([0, 1]), np.array([0, 1]))
    voxels, before, after = stroke_voxels([Atom(), (twice, np.array([5, 0]), 3)], SHAPE, np.uint8)
    assert voxels.tolist() == sorted(voxels.tolist())
    where = np.unravel_index(voxels, SHAPE)
    labels = np.zeros(SHAPE, np.uint8)
    labels[where] = before
    assert (labels[2:4, 0:3] == 1).all()
    assert labels.sum() == 36, "nothing else held anything"
    labels[where] = after
    assert labels[2, 0, 0] == labels[0, 1, 1] == 3
    assert (labels == 5).sum() == 35
