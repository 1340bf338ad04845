import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icmoe_core.cli.plane import take_plane
from icmoe_core.errors import ImageError
from icmoe_core.io import Grid, Volume


def volume(shape, spatial=None, rgb=False):
    array = np.arange(np.prod(shape)).reshape(shape)
    spatial = shape if spatial is None else shape[:spatial]
    return Volume(array, Grid(spatial, np.eye(4)), rgb=rgb)


@given(st.tuples(*[st.integers(1, 5)] * 3), st.data())
def test_a_slice_is_numpys_take_and_goes_back_where_it_was(shape, data):
    scan = volume(shape)
    axis = data.draw(st.integers(0, 2))
    index = data.draw(st.integers(0, shape[axis] - 1))
    plane = take_plane(scan, axis, index)
    np.testing.assert_array_equal(plane.image, np.take(scan.array, index, axis))
    chosen = plane.image % 2 == 0
    placed = plane.place(chosen, shape)
    np.testing.assert_array_equal(np.take(placed, index, axis), chosen)
    assert placed.sum() == chosen.sum()


def test_a_picture_needs_no_slice():
    picture = volume((4, 5, 3), spatial=2, rgb=True)
    plane = take_plane(picture, None, None)
    assert plane.image.shape == (4, 5, 3)
    assert plane.place(np.ones((4, 5), bool), (4, 5)).all()


def test_time_is_the_last_axis_and_colour_comes_after_it():
    series = volume((3, 4, 5, 2), spatial=3)
    np.testing.assert_array_equal(take_plane(series, 2, 1, 1).image, series.array[:, :, 1, 1])
    colour = volume((3, 4, 5, 3), spatial=3, rgb=True)
    assert take_plane(colour, 0, 2).image.shape == (4, 5, 3)
    single = volume((3, 4, 5, 1), spatial=3)
    np.testing.assert_array_equal(take_plane(single, 0, 2).image, single.array[2, :, :, 0])


@pytest.mark.parametrize(
    ("scan", "arguments", "words"),
    [
        (volume((3, 4, 5)), (None, None), "axis 2 has slices 0 to 4"),
        (volume((3, 4, 5)), (2, None), "--slice"),
        (volume((3, 4, 5)), (3, 0), "no axis 3"),
        (volume((3, 4, 5)), (-1, 0), "no axis -1"),
        (volume((3, 4, 5)), (0, 3), "0 to 2"),
        (volume((3, 4, 5)), (0, -1), "0 to 2"),
        (volume((3, 4, 5)), (0, 0, 0), "--time"),
        (volume((3, 4, 5, 2), spatial=3), (0, 0), "from 0 to 1"),
        (volume((3, 4, 5, 2), spatial=3), (0, 0, 2), "0 to 1"),
        (volume((3, 4, 5, 2), spatial=3), (0, 0, -1), "0 to 1"),
        (volume((3, 4)), (0, 0), "leave out --axis"),
    ],
)
def test_what_cannot_be_found_is_named_with_its_range(scan, arguments, words):
    with pytest.raises(ImageError, match=words):
        take_plane(scan, *arguments)
