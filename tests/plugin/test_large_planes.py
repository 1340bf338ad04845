"""Large planes in a window: asked about where they are looked at, written at full resolution."""

import dask.array as da
import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_icmoe.engine import Engine
from napari_icmoe.journal.records import apply_change, describe_change
from napari_icmoe.planes import Plane
from napari_icmoe.questions import ModelChoice, Question, Scan
from napari_icmoe.regions import Region
from napari_icmoe.state import Box, Click, Place

SIDE = 4096
LARGE_DISC, SMALL_DISC = (2000, 1500, 450), (3250, 3500, 60)
"""Row, column and radius of two things to outline."""


def disc(row, column, radius, shape=(SIDE, SIDE)):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def tissue(dtype):
    """A mottled picture with a large and a small bright disc."""
    rng = np.random.default_rng(0)
    background = rng.integers(60, 100, (SIDE // 8, SIDE // 8)).astype(np.uint8)
    image = np.kron(background, np.ones((8, 8), np.uint8))
    for row, column, radius in (LARGE_DISC, SMALL_DISC):
        part = np.s_[row - radius : row + radius + 1, column - radius : column + radius + 1]
        inside = disc(radius, radius, radius, (2 * radius + 1,) * 2)
        image[part][inside] += 110
    return image if dtype == np.uint8 else image.astype(dtype) * 16


@pytest.fixture(scope="module")
def slide():
    return np.repeat(tissue(np.uint8)[..., None], 3, axis=2)


@pytest.fixture(scope="module")
def radiograph():
    return tissue(np.uint16)


def dice(mask, truth):
    return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())


def box_around(row, column, radius):
    return row - radius, column - radius, row + radius + 1, column + radius + 1


def zoom_to(viewer, row, column, width):
    viewer.scene.camera.center = (row, column)
    viewer.scene.camera.zoom = viewer.canvas.size[1] / width


def steps(before, after):
    """The change of a session as a journal has it, made again on what there was before."""
    image = next(iter(after.prompts)).image
    return apply_change(before, describe_change(before, after, image), image)


@pytest.fixture
def prompted(viewer, annotate, hands, qtbot):
    """Opens an image, with the widget docked and the tool on."""

    def open_image(data, **options):
        viewer.add_image(data, name="picture", **options)
        widget = annotate()
        widget.controller.prompting.start()
        qtbot.wait(50)
        return widget

    return open_image


@pytest.mark.parametrize("kind", ["slide", "radiograph"])
def test_a_large_picture_is_outlined_at_full_resolution(
    request, kind, prompted, viewer, hands, answered, qtbot
):
    widget = prompted(request.getfixturevalue(kind), rgb=kind == "slide")
    controller = widget.controller
    hands.box(box_around(*LARGE_DISC))
    answered(widget)
    question = controller.view.question
    assert question.region.step > 1  # the whole plane is seen
    assert controller.answer.mask.size < 6_000_000
    assert dice(whole(controller.answer), disc(*LARGE_DISC)) > 0.95

    hands.click(LARGE_DISC[0], LARGE_DISC[1])  # a correction keeps the region
    answered(widget)
    assert controller.view.question.region == question.region
    assert dice(whole(controller.answer), disc(*LARGE_DISC)) > 0.9
    shown = preview_on_plane(controller)
    assert (shown == whole(controller.answer)).all()

    hands.key(Qt.Key.Key_A)
    mask = controller.target.layer.data
    assert mask.shape == (SIDE, SIDE)
    assert dice(mask == 1, disc(*LARGE_DISC)) > 0.9
    accepted = mask.copy()
    assert not controller.tool.overlays.preview.data.any()

    zoom_to(viewer, *SMALL_DISC[:2], 900)
    qtbot.wait(50)
    hands.box(box_around(*SMALL_DISC))
    answered(widget)
    assert controller.view.question.region.step == 1
    assert dice(whole(controller.answer), disc(*SMALL_DISC)) > 0.93
    hands.key(Qt.Key.Key_A)
    assert dice(mask == 1, disc(*LARGE_DISC) | disc(*SMALL_DISC)) > 0.9

    controller.undo()
    np.testing.assert_array_equal(mask, accepted)
    assert controller.answer is not None  # its prompt is back, and is answered as before
    controller.undo()  # the box
    controller.undo()  # the first accept
    assert not mask.any()
    controller.redo()
    np.testing.assert_array_equal(mask, accepted)


def whole(answer):
    mask, (row, column) = answer.mask, answer.corner
    plane = np.zeros((SIDE, SIDE), bool)
    plane[row : row + mask.shape[0], column : column + mask.shape[1]] = mask
    return plane


def preview_on_plane(controller):
    """The preview layer's pixels, put where napari draws them."""
    layer, image = controller.tool.overlays.preview, controller.image
    plane = np.zeros((SIDE, SIDE), bool)
    row, column = (round(v) for v in image.world_to_data(layer.data_to_world([0, 0])))
    rows, columns = layer.data.shape
    plane[row : row + rows, column : column + columns] = layer.data > 0
    return plane


def test_a_click_at_a_zoom_and_a_prompt_outside_of_the_region(
    radiograph, prompted, viewer, hands, answered, qtbot
):
    widget = prompted(radiograph)
    controller = widget.controller
    zoom_to(viewer, *SMALL_DISC[:2], 500)
    qtbot.wait(50)
    hands.click(*SMALL_DISC[:2])
    answered(widget)
    first = controller.view.question.region
    assert first.step <= 2
    assert dice(whole(controller.answer), disc(*SMALL_DISC)) > 0.8
    zoom_to(viewer, *SMALL_DISC[:2], 4000)
    qtbot.wait(50)
    hands.click(SMALL_DISC[0] - 900, SMALL_DISC[1], Qt.KeyboardModifier.ShiftModifier)
    answered(widget)
    grown = controller.view.question.region
    assert grown.holds(first.rectangle)
    assert not whole(controller.answer)[SMALL_DISC[0] - 900, SMALL_DISC[1]]
    controller.undo()
    assert controller.view.question.region == first
    assert controller.answer is not None


def test_a_picture_of_several_resolutions_is_read_from_the_one_that_is_needed(
    slide, prompted, hands, answered, monkeypatch
):
    read = []
    levels = [
        da.from_array(slide[::ratio, ::ratio], chunks=(512, 512, 3)).map_blocks(
            lambda block, ratio=ratio: (read.append((ratio, block.size)), block)[1],
            dtype=slide.dtype,
            meta=np.empty((0, 0, 0), slide.dtype),
        )
        for ratio in (1, 2, 4, 8)
    ]
    widget = prompted(levels, rgb=True, multiscale=True)
    read.clear()
    hands.box(box_around(*LARGE_DISC))
    answered(widget)
    controller = widget.controller
    assert controller.view.question.region.step == 8
    assert dice(whole(controller.answer), disc(*LARGE_DISC)) > 0.95
    # nothing but the journal's fingerprint has read the finest level
    assert sum(size for ratio, size in read if ratio == 1) < 1.5 * slide.size
    hands.key(Qt.Key.Key_A)
    assert controller.target.layer.data.shape == (SIDE, SIDE)


def test_the_journal_tells_the_region_and_gives_it_back():
    place = Place("one", Plane((None, None)))
    region = Region(1024, 2048, 1000, 900, 2)
    from icmoe_core.classes import default_classes
    from napari_icmoe.session import Session

    session = Session(default_classes(1))
    before = session.state
    session.add_prompt(place, Box(1100, 2100, 1200, 2200, region), [1])
    session.add_prompt(place, Click(1150, 2150, False, region), [1])
    session.add_prompt(place, Click(5, 6), [1])
    assert steps(before, session.state) == session.state


def test_slices_of_lazy_scans_are_read_once_for_several_clicks():
    reads = []

    def block(number, block_info=None):
        reads.append(number)
        return np.full((1, 64, 64), 7, np.uint8)

    lazy = da.map_blocks(
        block, 0, chunks=((1,) * 4, (64,), (64,)), dtype=np.uint8, meta=np.empty(0)
    )
    engine = Engine()
    scan = Scan("one", 0, lazy, False)
    question = Question(Place("one", Plane((2, None, None))), 0, (), ModelChoice(), "full")
    reads.clear()
    first, again = engine.read(question, scan), engine.read(question, scan)
    assert first is again
    assert len(reads) == 1
