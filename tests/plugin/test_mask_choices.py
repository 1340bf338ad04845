"""Another mask, and a mask that is changed in napari: what undo brings back, and what is told."""

import numpy as np
import pytest

from napari_icmoe.label_layers import labels_on
from napari_icmoe.planes import Plane
from napari_icmoe.review.map_layers import Map
from napari_icmoe.state import Click, Place

SHAPE = (9, 20, 24)


@pytest.fixture
def desk(controller, brake):
    """A controller with an image, a mask of it, and an approved slice; nothing is answered."""
    brake.pull()
    image = controller.viewer.add_image(np.zeros(SHAPE, np.float32), name="stack")
    controller.set_image(image)
    controller.said_ = []
    controller.said.connect(lambda level, sentence: controller.said_.append(sentence))
    controller.set_target(add_mask(controller, "first"))
    write(controller, 4)
    controller.session.approve(place(controller, 4))
    return controller


def add_mask(controller, name):
    layer = labels_on(controller.image, np.zeros(SHAPE, np.uint16))
    layer.name = name
    controller.viewer.add_layer(layer)
    return layer


def place(controller, index):
    return Place(str(controller.image.unique_id), Plane((index, None, None)))


def write(controller, index):
    at = place(controller, index)
    written = np.zeros(SHAPE[1:], bool)
    written[2:5, 3:7] = True
    controller.session.accept(at, 1, controller.target.write(at.plane, written, 1))


def approved(controller):
    return {one.plane.fixed[0] for one, mark in controller.session.state.marks.items()
            if mark.approved}  # fmt: skip


def test_undo_goes_back_to_the_mask_that_the_marks_are_of(desk):
    first, second = desk.target.layer, add_mask(desk, "second")
    desk.set_target(second)
    assert approved(desk) == set()
    desk.undo()
    assert approved(desk) == {4}
    assert desk.target.layer is first
    desk.redo()
    assert desk.target.layer is second
    desk.set_target(None)
    assert desk.session.history.next_undo == "another mask"
    desk.undo()
    desk.undo()
    assert desk.target.layer is first


def test_undo_on_another_image_chooses_for_the_right_one(desk):
    image, first = desk.image, desk.target.layer
    desk.set_target(add_mask(desk, "second"))
    other = desk.viewer.add_image(np.zeros(SHAPE, np.float32), name="other")
    desk.set_image(other)
    desk.set_target(mask := add_mask(desk, "of the other"))
    desk.undo()
    assert desk.masks.mask_of(image) is first
    assert desk.masks.mask_of(other) is mask
    assert desk.target.layer is (first if desk.image is image else mask)


def test_a_mask_that_was_removed_is_not_chosen_again(desk):
    first = desk.target.layer
    desk.set_target(add_mask(desk, "second"))
    desk.viewer.layers.remove(first)
    desk.undo()
    assert desk.target is None
    assert not desk.masks.is_followed(first)


def test_undo_of_a_change_in_another_array_is_said(desk):
    layer = desk.target.layer
    layer.data = layer.data.astype(np.int32)  # as napari converts it
    desk.undo()
    assert not desk.said_, "an approval has no voxels"
    desk.undo()
    assert layer.data.any()
    assert "'accept' changed" in desk.said_[-1]


def test_a_mask_of_another_shape_is_let_go(desk):
    layer = desk.target.layer
    desk.maps.switch(Map.UNCERTAINTY, True)
    layer.data = np.zeros((3, 10, 10), np.uint16)
    assert desk.target is None
    assert "has the shape (3, 10, 10)" in desk.said_[-1]
    desk.maps.refresh()
    desk.prompting.add(Click(3, 3))
    assert desk.masks.mask_of(desk.image) is None


def test_an_image_that_is_scaled_takes_the_helper_layers_along(desk, qtbot):
    desk.prompting.start()
    desk.viewer.dims.set_point(0, 4)
    prompts = desk.tool.overlays.prompts
    desk.image.scale = (1, 2, 2)
    desk.target.layer.scale = (1, 2, 2)
    qtbot.waitUntil(lambda: tuple(prompts.scale) == (1, 2, 2))
    assert desk.tool.overlays.prompts is prompts
    assert desk.tool.on
    assert desk.target is not None, "it was scaled with the image"
    desk.image.translate = (0, 5, 0)
    qtbot.waitUntil(lambda: desk.target is None)
    assert "does not lie on the grid" in desk.said_[-1]
    desk.image.affine = np.diag([2, 1, 1, 1])
    qtbot.waitUntil(lambda: np.allclose(prompts.affine.scale, (2, 1, 1)))
