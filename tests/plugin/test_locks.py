"""Locks: approved slices hold against whatever crosses them."""

import numpy as np

from napari_icmoe.merging import Overlap, merge
from napari_icmoe.planes import Plane
from napari_icmoe.review.locks import locked_pixels, touches

SHAPE = (4, 5, 6)
AXIAL = Plane((2, None, None))


def test_a_plane_that_crosses_an_approved_slice_is_locked_along_one_line():
    coronal = Plane((None, 3, None))  # rows run along axis 0
    locked = locked_pixels(coronal, (4, 6), [AXIAL])
    expected = np.zeros((4, 6), bool)
    expected[2] = True
    np.testing.assert_array_equal(locked, expected)
    sagittal_lock = Plane((None, None, 5))
    locked = locked_pixels(coronal, (4, 6), [AXIAL, sagittal_lock])
    expected[:, 5] = True
    np.testing.assert_array_equal(locked, expected)


def test_parallel_slices_do_not_lock_one_another():
    assert not locked_pixels(Plane((1, None, None)), (5, 6), [AXIAL]).any()
    assert locked_pixels(AXIAL, (5, 6), [AXIAL]).all()


def test_another_time_point_is_not_locked():
    approved = Plane((0, 2, None, None))
    assert not locked_pixels(Plane((1, 2, None, None)), (5, 6), [approved]).any()
    assert not locked_pixels(Plane((1, None, 3, None)), (4, 6), [approved]).any()
    assert locked_pixels(Plane((0, None, 3, None)), (4, 6), [approved])[2].all()


def test_a_stroke_on_an_approved_slice_is_found():
    on_it = np.ravel_multi_index(([2, 1], [0, 4], [0, 5]), SHAPE)
    beside = np.ravel_multi_index(([1, 3], [0, 4], [0, 5]), SHAPE)
    assert touches(on_it, SHAPE, [AXIAL]) == AXIAL
    assert touches(beside, SHAPE, [AXIAL]) is None
    assert touches(np.empty(0, np.int64), SHAPE, [AXIAL]) is None


def test_barred_pixels_are_never_written():
    current = np.zeros((2, 3), int)
    barred = np.array([[True, False, False], [False, False, False]])
    merged = merge(current, np.ones((2, 3), bool), 1, overlap=Overlap.REPLACE, barred=barred)
    np.testing.assert_array_equal(merged.write, ~barred)
