import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_files import ORIENTATIONS, oblique_affine, oriented_affine

from icmoe_core.errors import GridError
from icmoe_core.io import Grid, display_orientation, from_display, to_display
from icmoe_core.io.orientation import grid_of_display

SHAPE = (3, 4, 5)


@pytest.mark.parametrize("make", [oriented_affine, oblique_affine])
def test_every_orientation_is_shown_head_first_front_first_right_first(make):
    values = np.arange(60).reshape(SHAPE)
    for orientation in ORIENTATIONS:
        affine = make(orientation)
        shown = to_display(values, affine)
        assert np.shares_memory(shown, values)
        wanted = nib.orientations.axcodes2ornt("IPL")
        change = nib.orientations.ornt_transform(nib.io_orientation(affine), wanted)
        np.testing.assert_array_equal(shown, nib.apply_orientation(values, change))
        back = from_display(shown, affine)
        assert np.shares_memory(back, values)
        assert back.strides == values.strides
        np.testing.assert_array_equal(back, values)


@settings(max_examples=60, deadline=None)
@given(
    orientation=st.sampled_from(ORIENTATIONS),
    angles=st.tuples(*[st.floats(-3, 3)] * 3),
    time=st.booleans(),
    rgb=st.booleans(),
)
def test_there_and_back_again(orientation, angles, time, rgb):
    shape = (*SHAPE, *([2] if time else []), *([3] if rgb else []))
    values = np.arange(np.prod(shape)).reshape(shape)
    affine = oblique_affine(orientation, angles)
    shown = to_display(values, affine, rgb=rgb)
    place = display_orientation(Grid(SHAPE, affine))
    assert shown.shape == ((2,) if time else ()) + place.shape + ((3,) if rgb else ())
    np.testing.assert_array_equal(from_display(shown, affine, rgb=rgb), values)
    if time:
        np.testing.assert_array_equal(shown[1], to_display(values[:, :, :, 1], affine, rgb=rgb))


def test_spacing_and_place_agree_with_the_affine():
    for orientation in ORIENTATIONS:
        affine = oriented_affine(orientation)
        place = display_orientation(Grid(SHAPE, affine))
        for index in np.ndindex(place.shape):
            stored = [0, 0, 0]
            for axis in range(3):
                stored_axis, position = place.stored_index(axis, index[axis])
                assert place.display_index(stored_axis, position) == (axis, index[axis])
                stored[stored_axis] = position
            right, front, up = (affine @ [*stored, 1])[:3]
            shown = np.multiply(index, place.spacing) + place.translate
            np.testing.assert_allclose(shown, (-up, -front, -right))


def test_slices_shown_are_slices_stored():
    values = np.random.default_rng(0).random(SHAPE)
    affine = oblique_affine(ORIENTATIONS[37])
    place = display_orientation(Grid(SHAPE, affine))
    shown = to_display(values, affine)
    for axis in range(3):
        for index in range(shown.shape[axis]):
            stored = np.take(values, place.stored_index(axis, index)[1], place.order[axis])
            np.testing.assert_array_equal(
                np.sort(np.take(shown, index, axis), axis=None), np.sort(stored, axis=None)
            )


def test_pictures_are_shown_as_they_are():
    picture = np.arange(12).reshape(3, 4)
    grid = Grid((3, 4), np.eye(4))
    assert to_display(picture, grid.affine) is picture
    assert from_display(picture, grid.affine) is picture
    colour = np.zeros((3, 4, 3))
    assert to_display(colour, grid.affine, rgb=True) is colour
    place = display_orientation(grid)
    assert place.order == (0, 1)
    assert place.spacing == (1.0, 1.0)
    assert place.stored_index(1, 2) == (1, 2)


@settings(max_examples=60, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-3, 3)] * 3),
    spacing=st.tuples(*[st.sampled_from([-2.0, 0.5, 1.0, 3.0])] * 3),
    origin=st.tuples(*[st.floats(-50, 50)] * 3),
)
def test_a_volume_known_only_on_the_screen_gets_the_grid_of_its_place(angles, spacing, origin):
    affine = np.eye(4)
    affine[:3, :3] = nib.eulerangles.euler2mat(*angles) * spacing
    affine[:3, 3] = origin
    grid = grid_of_display(SHAPE, affine)
    assert grid.shape == SHAPE[::-1]
    np.testing.assert_allclose(grid.spacing, np.abs(spacing)[::-1])
    inferior, posterior, left = (affine @ [1, 2, 3, 1])[:3]
    there = (grid.affine @ [3, 2, 1, 1])[:3]
    np.testing.assert_allclose(there, (-left, -posterior, -inferior), atol=1e-9)


@pytest.mark.parametrize(
    ("column", "reason"), [((0.2, 1, 0), "sheared"), ((0, 0, 0), "zero"), ((0, np.nan, 0), "zero")]
)
def test_a_place_that_no_file_holds_is_refused(column, reason):
    affine = np.eye(4)
    affine[:3, 1] = column
    with pytest.raises(GridError, match=reason):
        grid_of_display(SHAPE, affine)
