"""What napari cuts and draws of layers that are turned or sheared is what is asked about."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image

from napari_icmoe.helper_layers import plane_transform, transform_of
from napari_icmoe.places import show_middle, show_plane
from napari_icmoe.planes import Plane, displayed_plane
from napari_icmoe.slicing import drawn_at, pixel_at, world_matrix
from napari_icmoe.writers import world_affine

SHAPE = (7, 8, 9)
VOXELS = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")


def tilted(degrees, axes=(0, 1), ndim=3):
    """An affine that turns a volume out of its slices."""
    turn, affine = np.deg2rad(degrees), np.eye(ndim + 1)
    affine[np.ix_(axes, axes)] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    return affine


def shown_by_napari(layer):
    """Which pixels napari has cut."""
    return np.asarray(layer._slice.image.raw)


@settings(max_examples=30, deadline=None)
@given(
    degrees=st.tuples(*[st.integers(-35, 35)] * 3),
    shear=st.tuples(*[st.floats(-0.3, 0.3)] * 3),
    point=st.tuples(*[st.floats(-2, 12)] * 3),
    order=st.permutations(range(3)),
)
def test_the_plane_is_the_one_that_napari_shows(degrees, shear, point, order):
    viewer = ViewerModel()
    layer = viewer.add_image(
        VOXELS, scale=(2, 0.5, 1), translate=(1, 2, 3), rotate=degrees, shear=shear,
        affine=tilted(10),
    )  # fmt: skip
    viewer.dims.order = tuple(order)
    viewer.dims.set_point(range(3), point)
    plane = displayed_plane(viewer, layer)
    if plane is None:
        assert layer._slice.empty
    else:
        pixels = VOXELS[plane.index]
        transposed = order[1] > order[2]
        np.testing.assert_array_equal(shown_by_napari(layer), pixels.T if transposed else pixels)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
@pytest.mark.parametrize("affine", [np.eye(4), tilted(10), tilted(25, (0, 2)) @ tilted(-15)])
def test_a_plane_that_is_shown_is_displayed(order, affine):
    viewer = ViewerModel()
    layer = viewer.add_image(VOXELS, scale=(3, 1, 2), affine=affine)
    viewer.dims.order = order
    wanted = Plane(tuple(4 if axis == order[0] else None for axis in range(3)))
    show_plane(viewer, layer, wanted)
    assert displayed_plane(viewer, layer) == wanted
    show_middle(viewer, layer)
    assert displayed_plane(viewer, layer).fixed[order[0]] == (SHAPE[order[0]] - 1) // 2


def test_of_several_times_too():
    viewer = ViewerModel()
    affine = np.eye(5)
    affine[1:, 1:] = tilted(20)
    layer = viewer.add_image(np.zeros((3, *SHAPE)), affine=affine)
    wanted = Plane((2, 5, None, None))
    show_plane(viewer, layer, wanted)
    assert displayed_plane(viewer, layer) == wanted


@pytest.mark.parametrize("plane", [Plane((5, None, None)), Plane((None, 2, None))])
@pytest.mark.parametrize("corner", [(0, 0), (2, 3)])
def test_a_helper_layer_is_cut_with_its_plane_and_drawn_upon_it(plane, corner):
    viewer = ViewerModel()
    layer = viewer.add_image(VOXELS, scale=(3, 1, 2), translate=(1, 2, 3), affine=tilted(12))
    show_plane(viewer, layer, plane)
    from napari_icmoe.helper_layers import plane_translate

    flat = np.expand_dims(VOXELS[plane.index], plane.cut_axis)
    options = transform_of(layer) | {"translate": plane_translate(layer, plane, corner)}
    helper = viewer.add_image(flat, **options)
    show_plane(viewer, layer, plane)
    assert displayed_plane(viewer, helper) is not None
    there = drawn_at(viewer, layer, plane, (corner[0] + 1, corner[1] + 2))
    np.testing.assert_allclose(drawn_at(viewer, helper, plane, (1, 2)), there)
    for index in (0, 1):
        beside = plane.at(plane.cut_axis, plane.fixed[plane.cut_axis] - 1 + 2 * index)
        show_plane(viewer, layer, beside)
        assert displayed_plane(viewer, helper) is None


def test_a_picture_of_a_region_is_cut_with_its_plane():
    viewer = ViewerModel()
    layer = viewer.add_image(VOXELS, affine=tilted(12))
    plane = Plane((5, None, None))
    helper = viewer.add_image(
        VOXELS[plane.index][None], **transform_of(layer) | plane_transform(layer, plane)
    )
    show_plane(viewer, layer, plane)
    assert displayed_plane(viewer, helper) == Plane((0, None, None))


def test_a_pixel_is_found_where_vispy_draws_it():
    viewer = ViewerModel()
    layer = viewer.add_image(VOXELS, scale=(3, 1, 2), affine=tilted(12))
    plane = Plane((5, None, None))
    show_plane(viewer, layer, plane)
    drawn = layer._transforms.simplified.set_slice([1, 2])([4, 6])
    assert pixel_at(viewer, layer, plane, (viewer.dims.point[0], *drawn)) == pytest.approx((4, 6))
    np.testing.assert_allclose(drawn_at(viewer, layer, plane, (4, 6)), drawn)


def test_while_the_viewer_has_fewer_axes_than_the_layer():
    viewer = ViewerModel()
    layer = Image(VOXELS)  # removed, say
    assert displayed_plane(viewer, layer) == Plane((0, None, None))
    viewer.add_image(VOXELS, units=("mm",) * 3)
    assert displayed_plane(viewer, layer) == Plane((3, None, None))


def test_in_units_that_are_not_the_viewers():
    viewer = ViewerModel()
    layer = viewer.add_image(VOXELS, scale=(2, 1, 1), units=("mm",) * 3)
    viewer.add_image(np.zeros((50, 8, 9)), units=("um",) * 3)
    show_plane(viewer, layer, Plane((3, None, None)))
    assert viewer.dims.point[0] == pytest.approx(6000)
    assert displayed_plane(viewer, layer) == Plane((3, None, None))
    np.testing.assert_array_equal(shown_by_napari(layer), VOXELS[3])
    assert pixel_at(viewer, layer, Plane((3, None, None)), (6000, 4000, 5000)) == (4, 5)


def test_the_matrix_is_that_of_a_saved_mask():
    image = Image(
        VOXELS, scale=(3, 1, 2), translate=(4, 5, 6), rotate=(10, 20, 30), shear=(0.1, 0.2, 0.3),
        affine=tilted(12),
    )  # fmt: skip
    affine = world_affine(image.as_layer_data_tuple()[1], 3)
    matrix, shift = world_matrix(image)
    np.testing.assert_allclose(affine[:3, :3], matrix, atol=1e-12)
    np.testing.assert_allclose(affine[:3, 3], shift, atol=1e-12)
