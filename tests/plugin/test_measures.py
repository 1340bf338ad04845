"""Measures: exact by hand, and a table that follows the mask."""

import csv
import threading

import numpy as np
import pytest
from napari.layers import Image, Labels
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog

from icmoe_core.classes import default_classes
from icmoe_core.io import Grid
from napari_icmoe.panels.measures import MeasuresPanel
from napari_icmoe.planes import Plane
from napari_icmoe.readers import GRID_KEY
from napari_icmoe.review.counting import columns_mm
from napari_icmoe.review.measures import (
    Measure,
    Units,
    as_text,
    in_short,
    measure,
    table_of,
    units_of,
)
from napari_icmoe.review.slice_counts import (
    Stack,
    count_slice,
    count_slices,
    shown_slice,
    stack_of,
)

AXIAL = Stack((), 0)


# --- counting ----------------------------------------------------------------------------


def test_a_slice_is_counted_for_all_numbers_at_once():
    labels = np.array([[0, 2, 2], [5, 0, 2]], np.uint16)
    image = np.array([[9.0, 1.0, 2.0], [7.0, 9.0, 6.0]])
    count = count_slice(labels, image)
    assert count.ids.tolist() == [2, 5]
    assert count.voxels.tolist() == [3, 1]
    assert count.sums.tolist() == [9.0, 7.0]


@pytest.mark.parametrize("large", [70_000, 4_000_000_000])
def test_large_and_negative_numbers_are_counted_too(large):
    labels = np.array([[large, 1], [1, 0]], np.int64)
    assert count_slice(labels, labels).ids.tolist() == [1, large]
    assert count_slice(-labels, labels).ids.tolist() == [-large, -1]


def test_what_is_not_finite_does_not_count_for_the_mean():
    labels = np.array([[1, 1], [1, 2]], np.uint8)
    image = np.array([[3.0, np.nan], [5.0, np.inf]])
    first, second = measure({0: count_slice(labels, image)}, 0)
    assert (first.voxels, first.mean) == (3, 4.0)
    assert (second.voxels, second.mean) == (1, None)


def test_of_a_colour_picture_the_brightness_counts():
    labels = np.array([[1, 0]], np.uint8)
    image = np.array([[[100, 200, 50, 255], [0, 0, 0, 255]]], np.uint8)
    (one,) = measure({0: count_slice(labels, image)}, 0)
    assert one.mean == pytest.approx(0.299 * 100 + 0.587 * 200 + 0.114 * 50)


def test_an_empty_slice_reads_no_image():
    class Unreadable:
        def __array__(self, *args, **kwargs):
            raise AssertionError("the image was read")

    assert count_slice(np.zeros((2, 2), np.uint8), Unreadable()).ids.size == 0


def test_slices_along_any_axis_of_any_time_point_add_up_alike():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, (2, 4, 5, 6)).astype(np.uint16)
    image = rng.normal(size=labels.shape)
    for axis in (1, 2, 3):
        stack = Stack((1,), axis)
        length = stack.length(labels.shape)
        assert length == labels.shape[axis]
        found = measure(count_slices(labels, image, stack, range(length)), None)
        for one in found:
            where = labels[1] == one.id
            assert one.voxels == where.sum()
            assert one.mean == pytest.approx(image[1][where].mean())
            others = tuple(other for other in range(3) if other != axis - 1)
            assert one.slices == where.any(axis=others).sum()


def test_the_classes_come_first_whether_they_occur_or_not():
    labels = np.zeros((2, 2, 2), np.uint8)
    labels[1, 0] = 9
    labels[1, 1, 1] = 2
    found = measure(count_slices(labels, labels, AXIAL, range(2)), 1, [3, 2])
    assert found == (
        Measure(3, 0, 0, 0, None),
        Measure(2, 1, 1, 1, 2.0),
        Measure(9, 2, 1, 2, 9.0),
    )
    assert [one.shown for one in measure({}, None, [1])] == [None]


# --- which slices ------------------------------------------------------------------------


def test_the_stack_follows_the_displayed_plane():
    assert stack_of(Plane((3, None, None)), 3) == Stack((), 0)
    assert stack_of(Plane((None, 4, None)), 3) == Stack((), 1)
    assert stack_of(Plane((7, None, None, 2)), 4) == Stack((7,), 3)
    assert stack_of(Plane((None, None)), 2) == Stack((), None)
    assert stack_of(None, 3) == Stack((), 0)
    assert stack_of(None, 3, Stack((), 2)) == Stack((), 2), "3D display changes nothing"
    assert stack_of(None, 2, Stack((), 2)) == Stack((), None)
    # time against rows: the volume is still counted where it was
    assert stack_of(Plane((None, 1, None, 5)), 4, Stack((2,), 3)) == Stack((2,), 3)


def test_the_shown_slice():
    assert shown_slice(Plane((3, None, None)), AXIAL) == 3
    assert shown_slice(Plane((None, None)), Stack((), None)) == 0
    assert shown_slice(None, AXIAL) is None
    assert shown_slice(Plane((None, 1, None, 5)), Stack((2,), 3)) is None


# --- units -------------------------------------------------------------------------------


def test_volumes_and_areas_in_millimetres():
    units = units_of(np.diag([5.0, 0.5, 2.0]), (1, 2))
    assert (units.voxel_mm3, units.pixel_mm2) == pytest.approx((5.0, 1.0))
    assert (units.volume, units.area) == ("ml", "mm²")
    assert units.volume_of(200) == pytest.approx(1.0)
    assert units.area_of(30) == pytest.approx(30.0)


def test_a_tilted_stack_is_smaller_than_the_product_of_its_spacings():
    tilt = np.radians(20)
    columns = np.array([[5 * np.cos(tilt), 0, 0], [5 * np.sin(tilt), 1, 0], [0, 0, 1]])
    assert units_of(columns, (1, 2)).voxel_mm3 == pytest.approx(5 * np.cos(tilt))


def test_pixels_where_nothing_is_known_in_millimetres():
    units = units_of(None, (0, 1))
    assert (units.volume, units.area) == ("voxels", "pixels")
    assert (units.volume_of(7), units.area_of(7)) == (7, 7)
    assert units_of(np.diag([2.0, 3.0]), (0, 1)) == Units(None, pytest.approx(6.0))


def test_the_steps_of_layers_from_everywhere():
    volume = np.zeros((4, 5, 6))
    assert columns_mm(Image(volume, scale=(3, 2, 1))) is None, "a scale in pixels is no millimetre"
    placed = Image(volume, scale=(3000, 2000, 1000), units=("um", "um", "um"))
    assert columns_mm(placed) == pytest.approx(np.diag([3.0, 2.0, 1.0]))
    turned = Image(volume, scale=(3, 2, 1), units="mm", rotate=(0, 0, 30))
    assert units_of(columns_mm(turned), None).voxel_mm3 == pytest.approx(6.0)
    timed = Image(np.zeros((2, 4, 5, 6)), scale=(1, 3, 2, 1), units=("s", "mm", "mm", "mm"))
    assert columns_mm(timed) == pytest.approx(np.diag([3.0, 2.0, 1.0]))
    picture = Image(np.zeros((4, 5)), metadata={GRID_KEY: Grid((4, 5), np.eye(4))})
    assert columns_mm(picture) is None


# --- tables ------------------------------------------------------------------------------


def test_the_table_for_other_programs():
    classes = default_classes(1).rename(1, "Tumour, left")
    units = Units(5.0, 1.0)
    rows = table_of(
        [Measure(1, 1000, 4, 12, 31.25), Measure(7, 1, 1, None)], classes, units, 9, False
    )
    assert rows == [
        ["id", "class", "volume (ml)", "area on slice 9 (mm²)", "slices", "mean intensity"],
        ["1", "Tumour, left", "5", "12", "4", "31.25"],
        ["7", "Id 7, not in the table", "0.005", "", "1", ""],
    ]
    text = as_text(rows)
    assert text.splitlines()[1] == '1,"Tumour, left",5,12,4,31.25'
    assert list(csv.reader(text.splitlines())) == rows
    assert as_text(rows, "\t").splitlines()[1].split("\t")[1] == "Tumour, left"


def test_a_picture_has_neither_volume_nor_slices():
    rows = table_of([Measure(1, 6, 1, 6, 2.0)], default_classes(1), Units(), 0, True)
    assert rows[0] == ["id", "class", "area (pixels)", "mean intensity"]
    assert rows[1][2:] == ["6", "2"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"), (0, "0"), (12345, "12345"), (0.0, "0"), (0.001, "< 0.01"),
        (-0.001, "> -0.01"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (-55.55, "-55.5"),
    ],
)  # fmt: skip
def test_numbers_for_reading(value, text):
    assert in_short(value) == text


# --- on the screen ------------------------------------------------------------------------


@pytest.fixture
def viewer(controller):
    """Without a window."""
    return controller.viewer


@pytest.fixture
def panel(controller, viewer, qtbot):
    """Opens a scan with a mask, and the panel."""

    def make(image, labels=None, **place):
        controller.set_image(viewer.add_image(image, name="scan", **place))
        if labels is not None:
            layer = Labels(labels, name="mask", **place)
            viewer.add_layer(layer)
            controller.set_target(layer)
        panel = MeasuresPanel(controller)
        qtbot.addWidget(panel)
        panel.show()
        qtbot.waitUntil(lambda: panel.counter.settled)
        return panel

    return make


def cells(panel, row):
    return [panel.table.item(row, column).text() for column in range(panel.table.columnCount())]


def volume_and_mask():
    image = np.arange(4 * 20 * 30, dtype=np.float32).reshape(4, 20, 30)
    labels = np.zeros(image.shape, np.uint16)
    labels[1, :10, :10] = 1
    labels[2, :10, :10] = 2
    labels[2, 15, 15] = 40
    return image, labels


def follow(panel, qtbot):
    qtbot.waitUntil(lambda: panel.counter.complete and panel.counter.settled)


def test_the_table_follows_slice_brush_and_undo(viewer, panel, qtbot):
    image, labels = volume_and_mask()
    shown = panel(image, labels, scale=(3, 2, 1), units="mm")
    viewer.dims.set_current_step(0, 1)
    follow(shown, qtbot)
    mean = in_short(float(image[1, :10, :10].mean()))
    assert cells(shown, 0)[1:] == ["0.60", "200", "1", mean]
    assert cells(shown, 1)[1:4] == ["0.60", "0", "1"]
    assert cells(shown, 3)[0] == "Id 40, not in the table"

    viewer.dims.set_current_step(0, 2)
    qtbot.waitUntil(lambda: cells(shown, 1)[2] == "200")
    mask = viewer.layers["mask"]
    mask.selected_label = 1
    mask.data_setitem((np.array([3]), np.array([0]), np.array([0])), 1)  # as the brush does
    qtbot.waitUntil(lambda: cells(shown, 0)[3] == "2")
    shown_controller = shown._controller
    shown_controller.undo()
    qtbot.waitUntil(lambda: cells(shown, 0)[3] == "1")
    shown_controller.redo()
    qtbot.waitUntil(lambda: cells(shown, 0)[3] == "2")
    mask.data = np.zeros_like(labels)
    qtbot.waitUntil(lambda: cells(shown, 0)[1] == "0")
    assert shown.table.rowCount() == 3


def test_only_what_changed_is_counted_again(viewer, panel, qtbot, monkeypatch):
    image, labels = volume_and_mask()
    shown = panel(image, labels)
    follow(shown, qtbot)
    counted = []
    real = count_slices
    monkeypatch.setattr(
        "napari_icmoe.review.counting.count_slices",
        lambda labels, image, stack, slices: (
            counted.append(slices),
            real(labels, image, stack, slices),
        )[1],
    )
    viewer.layers["mask"].data_setitem((np.array([3]), np.array([0]), np.array([0])), 1)
    qtbot.waitUntil(lambda: cells(shown, 0)[3] == "2")
    shown._controller.undo()
    qtbot.waitUntil(lambda: cells(shown, 0)[3] == "1")
    assert counted == [[3], [3]]
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_current_step(1, 3)
    qtbot.waitUntil(lambda: cells(shown, 0)[3] == "10")


def test_pixels_are_called_pixels(panel, qtbot):
    image, labels = volume_and_mask()
    shown = panel(image, labels)
    follow(shown, qtbot)
    assert shown.table.horizontalHeaderItem(1).text() == "Volume\nvoxels"
    assert cells(shown, 0)[1] == "100"
    assert "not known" in shown.table.horizontalHeaderItem(1).toolTip()


def test_empty_states_and_the_first_mask(controller, viewer, qtbot):
    shown = MeasuresPanel(controller)
    qtbot.addWidget(shown)
    shown.show()
    qtbot.wait(50)
    assert "Open a scan" in shown.hint.text()
    assert not shown.copy.isEnabled()
    image, labels = volume_and_mask()
    controller.set_image(viewer.add_image(image))
    qtbot.waitUntil(lambda: "Nothing to measure yet" in shown.hint.text())
    layer = viewer.add_labels(labels)
    controller.set_target(layer)
    follow(shown, qtbot)
    assert shown.table.isVisible()
    assert shown.copy.isEnabled()
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: "Nothing to measure yet" in shown.hint.text())


@pytest.mark.parametrize(
    ("image", "order", "hidden"),
    [
        (np.zeros((12, 14)), None, True),
        (np.zeros((42, 44, 3), np.uint8), None, True),
        (np.zeros((3, 4, 12, 14)), (1, 2, 0, 3), False),
        ([np.zeros((4, 12, 14)), np.zeros((4, 6, 7))], None, False),
    ],
    ids=["2D", "RGB", "4D", "multiscale"],
)
def test_all_kinds_of_images(viewer, panel, qtbot, image, order, hidden):
    full = image[0] if isinstance(image, list) else image
    shape = full.shape[:2] if full.ndim == 3 and full.shape[-1] == 3 else full.shape
    labels = np.zeros(shape, np.uint8)
    labels[..., 2:5, 3] = 1
    shown = panel(image, labels)
    follow(shown, qtbot)
    assert shown.table.isColumnHidden(1) is hidden
    assert cells(shown, 0)[2] == "3"
    assert cells(shown, 0)[4] == "0"
    if order is not None:
        viewer.dims.order = order  # time against columns: a plane without an area
        qtbot.waitUntil(lambda: cells(shown, 0)[2] == "—")
    viewer.dims.ndisplay = 3
    qtbot.wait(50)
    assert cells(shown, 0)[1] == str(3 * int(np.prod(shape[-3:-2])))


def test_copied_and_saved(panel, qtbot, tmp_path, monkeypatch):
    image, labels = volume_and_mask()
    shown = panel(image, labels, scale=(3, 2, 1), units="mm")
    follow(shown, qtbot)
    qtbot.mouseClick(shown.copy, Qt.MouseButton.LeftButton)
    copied = QGuiApplication.clipboard().text().splitlines()
    assert copied[1].split("\t")[2] == "0.6"
    path = tmp_path / "of my choice"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(path), "*.csv"))
    qtbot.mouseClick(shown.save, Qt.MouseButton.LeftButton)
    file = path.with_suffix(".csv")
    qtbot.waitUntil(file.exists)
    with file.open(encoding="utf-8-sig", newline="") as opened:
        assert [row[2] for row in csv.reader(opened)][:2] == ["volume (ml)", "0.6"]

    said = []
    shown._controller.said.connect(lambda level, sentence: said.append((level, sentence)))
    before = file.read_bytes()
    qtbot.mouseClick(shown.save, Qt.MouseButton.LeftButton)
    assert said[-1][0] == "warning", "the dialog did not ask about that name"
    assert file.read_bytes() == before
    shown.save_file(tmp_path / "missing" / "x.csv")
    qtbot.waitUntil(lambda: said[-1][0] == "error")


def test_a_hidden_panel_counts_later(viewer, panel, qtbot):
    image, labels = volume_and_mask()
    shown = panel(image, labels)
    follow(shown, qtbot)
    shown.hide()
    viewer.layers["mask"].data_setitem((np.array([3]), np.array([0]), np.array([0])), 1)
    qtbot.wait(200)
    assert not shown.counter.settled
    shown.show()
    qtbot.waitUntil(lambda: cells(shown, 0)[3] == "2")


class Failing:
    """An image whose file is gone, as far as worker threads are concerned."""

    def __init__(self, array):
        self._array = array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, index):
        if threading.current_thread() is not threading.main_thread():
            raise OSError("the disk is gone")
        return self._array[index]


def test_an_image_that_cannot_be_read_is_said(viewer, panel, qtbot):
    image, labels = volume_and_mask()
    shown = panel(image, labels)
    follow(shown, qtbot)
    viewer.layers["scan"].data = Failing(image)
    qtbot.waitUntil(lambda: shown.counter.failed)
    assert "could not be measured" in shown.hint.text()
    viewer.layers["scan"].data = image
    follow(shown, qtbot)
    assert shown.table.isVisible()
