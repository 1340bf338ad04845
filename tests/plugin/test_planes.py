import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image

from napari_icmoe.planes import Plane, box_corners, box_from_corners, displayed_plane, read_plane


def test_plane_cuts_rows_and_columns_in_ascending_order():
    data = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    plane = Plane((1, None, 2, None))
    assert plane.axes == (1, 3)
    np.testing.assert_array_equal(data[plane.index], data[1, :, 2, :])
    np.testing.assert_array_equal(
        data[plane.region(slice(0, 2), slice(1, 3))], data[1, 0:2, 2, 1:3]
    )


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


def test_colour_images_keep_their_channels():
    layer = Image(np.arange(4 * 6 * 7 * 3, dtype=np.uint8).reshape(4, 6, 7, 3), rgb=True)
    assert read_plane(layer, Plane((2, None, None))).shape == (6, 7, 3)


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
