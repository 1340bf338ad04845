import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari.components import ViewerModel

from napari_icmoe.planes import (
    Plane,
    box_corners,
    box_from_corners,
    displayed_plane,
    plane_through,
)


def test_plane_cuts_rows_and_columns_in_ascending_order():
    data = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    plane = Plane((1, None, 2, None))
    assert plane.axes == (1, 3)
    np.testing.assert_array_equal(data[plane.index], data[1, :, 2, :])


@given(
    fixed=st.permutations([7, 2, None, None]),
    points=st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10)), min_size=1),
)
def test_lifting_points_and_reading_them_back(fixed, points):
    plane = Plane(tuple(fixed))
    for point, lifted in zip(points, plane.to_data(np.array(points)), strict=True):
        assert plane.from_data(lifted) == pytest.approx(point)
        assert [lifted[axis] for axis, cut in enumerate(fixed) if cut is not None] == [
            cut for cut in fixed if cut is not None
        ]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ((0, 1, 2), (3, None, None)),
        ((1, 0, 2), (None, 4, None)),
        ((2, 0, 1), (None, None, 5)),
        ((2, 1, 0), (None, None, 5)),  # transposed on the screen, the same pixels
    ],
)
def test_displayed_plane_of_a_scaled_volume(order, expected):
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((10, 11, 12)), scale=(3, 0.5, 2), translate=(-40, 10, 7))
    viewer.dims.order = order
    for axis, index in enumerate((3, 4, 5)):
        viewer.dims.set_point(axis, layer.data_to_world((3, 4, 5))[axis])
        assert index == (3, 4, 5)[axis]
    assert displayed_plane(viewer, layer) == Plane(expected)


def test_a_layer_with_fewer_axes_than_the_viewer():
    viewer = ViewerModel()
    viewer.add_image(np.zeros((5, 10, 11, 12)))
    volume = viewer.add_image(np.zeros((10, 11, 12)))
    viewer.dims.set_point(0, 4)
    viewer.dims.set_point(1, 6)
    assert displayed_plane(viewer, volume) == Plane((6, None, None))


def test_no_plane_in_3d_or_beside_the_layer():
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((4, 8, 8)))
    viewer.add_image(np.zeros((20, 8, 8)))
    viewer.dims.set_point(0, 12)
    assert displayed_plane(viewer, layer) is None
    viewer.dims.set_point(0, 1)
    viewer.dims.ndisplay = 3
    assert displayed_plane(viewer, layer) is None


@given(
    first=st.tuples(st.floats(-5, 25), st.floats(-5, 35)),
    second=st.tuples(st.floats(-5, 25), st.floats(-5, 35)),
)
def test_a_dragged_box_is_ordered_and_inside_the_slice(first, second):
    r0, c0, r1, c1 = box_from_corners(first, second, (20, 30))
    assert 0 <= r0 <= r1 <= 20
    assert 0 <= c0 <= c1 <= 30


def test_a_box_over_whole_pixels_is_drawn_around_them():
    # from the outer edge of pixel (3, 4) to that of pixel (5, 8)
    box = box_from_corners((2.5, 3.5), (5.5, 8.5), (20, 30))
    assert box == (3, 4, 6, 9)
    corners = box_corners(box)
    assert corners.min(axis=0).tolist() == [2.5, 3.5]
    assert corners.max(axis=0).tolist() == [5.5, 8.5]


SHAPE = (10, 11, 12)


def flat(*voxels):
    return np.ravel_multi_index(np.array(voxels, int).reshape(-1, 3).T, SHAPE)


def test_a_change_is_shown_where_it_is():
    stroke = flat((4, 5, 6), (4, 5, 7), (4, 6, 7))
    axial, coronal = Plane((4, None, None)), Plane((None, 3, None))
    assert plane_through(stroke, SHAPE, axial) == axial
    assert plane_through(stroke, SHAPE, Plane((9, None, None))) == axial
    assert plane_through(stroke, SHAPE, coronal) == axial
    assert plane_through(stroke, SHAPE) == axial
    row = flat((4, 5, 6), (4, 5, 7))  # lies in a coronal slice too
    assert plane_through(row, SHAPE, coronal) == Plane((None, 5, None))


def test_a_change_in_space_is_shown_on_the_displayed_slice_if_it_reaches_it():
    ball = flat(*[(z, y, x) for z in (3, 4, 5) for y in (5, 6) for x in (7, 8)])
    assert plane_through(ball, SHAPE, Plane((5, None, None))) == Plane((5, None, None))
    assert plane_through(ball, SHAPE, Plane((9, None, None))) is not None
    assert plane_through(flat(), SHAPE) is None
