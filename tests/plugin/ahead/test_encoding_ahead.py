"""Encoding ahead in a real window: what is encoded, in which order, and what is told of it."""

import threading
import time
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
from slice_gate import noise, passes

from icmoe_core.backbones import register, unregister
from icmoe_core.backbones.checkpoints import WeightsInfo
from napari_icmoe.ahead import encoding
from napari_icmoe.questions import ModelChoice
from napari_icmoe.state import Click

WAIT_MS = 20_000
A_WHILE_MS = 600


def test_the_displayed_slice_first_then_outward(stack, gate, all_ready, qtbot):
    controller = stack.controller
    assert not controller.tool.on, "no need for the tool to be on"
    gate.open()
    all_ready(stack, 9)
    assert gate.positions() == [4, 5, 3, 6, 2, 7, 1, 8, 0]
    predictor = controller.asker.engine.load(controller.view.model)
    assert len(predictor.cache) == 9
    qtbot.wait(A_WHILE_MS)
    assert len(gate.passed) == 9, "and that was all"


def test_scrolling_puts_them_in_a_new_order(viewer, stack, gate, all_ready, qtbot):
    passes(gate, qtbot, 2)
    viewer.dims.set_current_step(0, 7)
    qtbot.wait(A_WHILE_MS)
    gate.open()
    all_ready(stack, 9)
    assert gate.positions() == [4, 5, 3, 7, 8, 6, 2, 1, 0], "only slice 3 was on its way"


def test_nothing_is_encoded_while_the_slider_moves(viewer, stack, gate, all_ready, qtbot):
    passes(gate, qtbot, 1)
    gate.open()
    qtbot.waitUntil(lambda: not gate.waiting, timeout=WAIT_MS)
    before = None
    for turn in range(20):
        viewer.dims.set_current_step(0, turn % 9)
        qtbot.wait(30)
        before = len(gate.passed) if turn == 2 else before
    assert len(gate.passed) <= before + 1
    all_ready(stack, 9)


def test_the_first_slice_of_a_scan_does_not_wait_for_the_slider(
    viewer, stack, gate, all_ready, monkeypatch
):
    gate.open()
    all_ready(stack, 9)
    monkeypatch.setattr("napari_icmoe.ahead.encoding.SETTLE_MS", 60_000)
    viewer.dims.set_current_step(0, 2)
    stack.controller.set_image(viewer.add_image(1 - noise(9, 40, 64), name="other"))
    viewer.dims.set_current_step(0, 3)
    all_ready(stack, 9)
    assert gate.positions()[9:][:3] == [3, 4, 2]


def test_who_comes_back_to_a_scan_pages_through_it(
    viewer, stack, gate, all_ready, qtbot, monkeypatch
):
    gate.open()
    all_ready(stack, 9)
    monkeypatch.setattr("napari_icmoe.ahead.encoding.SETTLE_MS", 60_000)
    count = len(gate.passed)
    viewer.dims.ndisplay = 3
    qtbot.wait(A_WHILE_MS)
    viewer.dims.ndisplay = 2
    viewer.dims.set_current_step(0, 6)
    qtbot.wait(A_WHILE_MS)
    assert len(gate.passed) == count


def test_another_orientation(viewer, stack, gate, all_ready, qtbot):
    gate.open()
    all_ready(stack, 9)
    stack.scan.planes["Coronal"].click()
    viewer.dims.set_current_step(1, 10)
    all_ready(stack, 40)
    later = [index for _, index in gate.passed[9:]]
    assert all(index[0] == index[2] == slice(None) for index in later)
    assert gate.positions(1)[-40:][:5] == [10, 9, 11, 8, 12], "the slider went back"
    stack.scan.planes["Axial"].click()
    all_ready(stack, 9)
    count = len(gate.passed)
    viewer.dims.transpose()
    qtbot.wait(A_WHILE_MS)
    assert len(gate.passed) <= count + 1, "the same slices, turned on the screen"


def test_of_a_time_series_the_displayed_time_point_only(viewer, dock, gate, all_ready, qtbot):
    viewer.add_image(noise(3, 5, 40, 64))
    viewer.dims.set_current_step(0, 1)
    viewer.dims.set_current_step(1, 4)
    widget = dock()
    all_ready(widget, 5)
    assert [index[:2] for _, index in gate.passed] == [(1, k) for k in (4, 3, 2, 1, 0)]
    viewer.dims.set_current_step(0, 2)
    qtbot.waitUntil(lambda: len(gate.passed) == 10, timeout=WAIT_MS)
    assert {index[0] for _, index in gate.passed[5:]} == {2}


def test_colour(viewer, dock, gate, all_ready):
    viewer.add_image((noise(4, 40, 64, 3) * 255).astype(np.uint8), rgb=True)
    widget = dock()
    all_ready(widget, 4)
    assert gate.positions() == [1, 2, 0, 3]


def test_a_single_picture(viewer, dock, gate, all_ready, qtbot):
    viewer.add_image(noise(40, 64))
    widget = dock()
    all_ready(widget, 1)
    assert len(gate.passed) == 1
    qtbot.wait(1200)
    assert widget.readiness.isHidden()


def test_a_large_picture_is_not_encoded_whole(viewer, dock, gate, qtbot):
    viewer.add_image(noise(64, 3000))
    widget = dock()
    qtbot.wait(A_WHILE_MS)
    assert not gate.passed
    assert widget.controller.ahead.progress == (0, 0)


def test_in_three_dimensions_nothing_is_displayed_that_could_be_encoded(viewer, stack, gate, qtbot):
    viewer.dims.ndisplay = 3
    qtbot.wait(A_WHILE_MS)
    gate.open()
    qtbot.wait(A_WHILE_MS)
    assert len(gate.passed) == 1, "the one that was on its way"


def test_another_window_and_another_model(stack, gate, all_ready):
    gate.open()
    all_ready(stack, 9)
    stack.controller.set_window("full")
    all_ready(stack, 9)
    assert len(gate.passed) == 18
    stack.controller.set_window("auto")
    all_ready(stack, 9)
    assert len(gate.passed) == 19, "known from before; the displayed one is fetched"


def test_other_experts_are_loaded_before_the_next_click(stack, gate, all_ready, qtbot):
    controller = stack.controller
    gate.open()
    all_ready(stack, 9)
    chosen = replace(controller.view.model, experts=None)
    controller.set_model(chosen)
    qtbot.waitUntil(lambda: len(gate.passed) == 10, timeout=WAIT_MS)
    assert gate.positions()[-1] == 4
    assert controller.asker.engine._choice == chosen


# --- what cannot be encoded --------------------------------------------------------------


def test_a_slice_without_a_number_is_skipped(viewer, dock, gate, all_ready, qtbot):
    volume = noise(6, 40, 64)
    volume[2] = np.nan
    viewer.add_image(volume)
    widget = dock()
    said = []
    widget.controller.said.connect(lambda level, sentence: said.append(sentence))
    all_ready(widget, 5)
    assert sorted(gate.positions()) == list(range(6))
    assert not said


def test_a_slice_that_cannot_be_read_is_skipped(viewer, dock, gate, all_ready):
    pixels = noise(6, 40, 64)

    def read(block, block_info=None):
        number = block_info[0]["chunk-location"][0]
        if number == 3:
            raise OSError("the disk is gone")
        return pixels[number : number + 1]

    template = da.zeros((6, 40, 64), np.float32, chunks=(1, 40, 64))
    lazy = da.map_blocks(read, template, dtype=np.float32)
    viewer.add_image(lazy, contrast_limits=(0, 1))
    widget = dock()
    widget.controller.set_window("0,1")  # the automatic one would look at all slices
    all_ready(widget, 5)


def test_a_scan_of_nothing_but_nan_is_left_alone(viewer, dock, gate, qtbot):
    viewer.add_image(np.full((6, 40, 64), np.nan, np.float32))
    widget = dock()
    qtbot.waitUntil(lambda: widget.controller.ahead.progress == (0, 0), timeout=WAIT_MS)
    assert not gate.passed


def test_lazy_slices_are_read_one_by_one_beside_the_window(viewer, dock, gate, all_ready):
    pixels, read_in = noise(6, 40, 64), []

    def read(block, block_info=None):
        number = block_info[0]["chunk-location"][0]
        read_in.append((number, threading.current_thread()))
        return pixels[number : number + 1]

    template = da.zeros((6, 40, 64), np.float32, chunks=(1, 40, 64))
    lazy = da.map_blocks(read, template, dtype=np.float32)
    viewer.add_image(lazy, contrast_limits=(0, 1))
    widget = dock()
    widget.controller.set_window("0,1")
    all_ready(widget, 6)
    here = threading.main_thread()
    assert {number for number, thread in read_in if thread is here} <= {0}, "that napari shows"
    assert {number for number, thread in read_in if thread is not here} == set(range(6))


def test_weights_that_are_not_here_are_not_downloaded(viewer, dock, gate, qtbot, tiny_backbone):
    name = "far-away-for-tests"
    info = WeightsInfo("MIT", "tests", "sha256:0", 10, "http://127.0.0.1:9/far.pth")
    register(name, lambda weights: tiny_backbone, info)
    try:
        viewer.add_image(noise(6, 40, 64))
        widget = dock()
        said = []
        widget.controller.said.connect(lambda level, sentence: said.append(sentence))
        choice = ModelChoice(name, "cpu")
        widget.controller.set_model(choice)
        asker = widget.controller.asker
        qtbot.waitUntil(lambda: asker.rests(choice), timeout=WAIT_MS)
        qtbot.wait(A_WHILE_MS)
        assert asker.downloading is None
        assert not said
        assert widget.controller.ahead.progress == (0, 0)
        assert not gate.passed
    finally:
        unregister(name)


# --- the end of it -----------------------------------------------------------------------


def test_removing_the_scan_ends_it(viewer, stack, gate, qtbot):
    passes(gate, qtbot, 1)
    viewer.layers.remove("stack")
    gate.open()
    qtbot.wait(A_WHILE_MS)
    assert len(gate.passed) == 2
    assert stack.controller.ahead.progress == (0, 0)


def test_another_scan_comes_next(viewer, stack, gate, all_ready, qtbot):
    passes(gate, qtbot, 1)
    other = viewer.add_image(noise(4, 40, 64), name="other")
    stack.controller.set_image(other)
    viewer.dims.set_current_step(0, 2)
    gate.open()
    all_ready(stack, 4)
    uid = str(other.unique_id)
    assert [scan == uid for scan, _ in gate.passed] == [False] * 2 + [True] * 4
    stack.controller.set_image(viewer.layers["stack"])
    all_ready(stack, 9)
    assert len(gate.passed) <= 2 + 4 + 7 + 1, "what was ready is still"


def test_new_pixels_are_encoded_anew(viewer, stack, gate, all_ready):
    gate.open()
    all_ready(stack, 9)
    viewer.layers["stack"].data = noise(9, 40, 64)[::-1].copy()
    all_ready(stack, 9)
    assert len(gate.passed) == 18


def test_closing_the_widget_ends_it(viewer, stack, gate, qtbot):
    passes(gate, qtbot, 1)
    viewer.window.remove_dock_widget(stack)
    gate.open()
    qtbot.wait(A_WHILE_MS)
    assert len(gate.passed) == 1
    ours = [one for one in viewer.mouse_move_callbacks if "icmoe" in one.__module__]
    assert not ours


# --- what is shown of it -----------------------------------------------------------------


def test_the_line_says_how_much_is_ready(stack, gate, qtbot):
    line = stack.readiness
    assert line.isHidden()
    passes(gate, qtbot, 2)
    qtbot.waitUntil(lambda: "2 of 9 slices" in line.text.text(), timeout=WAIT_MS)
    assert line.isVisible()
    assert line.bar.value() == pytest.approx(1000 * 2 / 9, abs=1)
    assert "click" in line.toolTip()
    stack.controller.ahead.hold(True)
    assert "the others follow after the training" in line.text.text()
    stack.controller.ahead.hold(False)
    stack.controller.ahead.search(True)
    assert "the others follow soon" in line.text.text()
    stack.controller.ahead.search(False)
    gate.open()
    qtbot.waitUntil(lambda: "All 9 slices" in line.text.text(), timeout=WAIT_MS)
    qtbot.waitUntil(line.isHidden, timeout=WAIT_MS)


def test_without_a_disk_the_line_counts_what_is_in_memory(
    viewer, dock, gate, all_ready, qtbot, monkeypatch
):
    monkeypatch.setenv("ICMOE_CACHE_BYTES", "0")
    monkeypatch.setattr("napari_icmoe.engine.CACHE_BYTES", 80_000)
    viewer.add_image(noise(40, 40, 64), name="stack")
    viewer.dims.set_current_step(0, 20)
    gate.shut()
    widget = dock()
    controller, line = widget.controller, widget.readiness
    qtbot.waitUntil(lambda: gate.waiting, timeout=WAIT_MS)
    passes(gate, qtbot, 2)
    qtbot.waitUntil(lambda: "nearest slices" in line.text.text(), timeout=WAIT_MS)
    whole = controller.ahead.progress[1]
    assert 2 < whole < 20
    assert f"2 of the {whole} nearest" in line.text.text()
    gate.open()
    all_ready(widget, whole)
    predictor = controller.asker.engine.load(controller.view.model)
    window = controller.asker.engine.window_of(
        controller.view.scans.scan_of(controller.image), "auto"
    )
    reach = whole // 2
    for middle in (20, 25, 23):
        viewer.dims.set_current_step(0, middle)
        qtbot.wait(A_WHILE_MS)
        all_ready(widget, whole)
        for position in range(middle - reach, middle + reach + 1):
            assert predictor.is_encoded(controller.image.data[position], window)
    assert len(gate.passed) < whole + 3 + 5 + 5, "what is near has stayed"
    qtbot.waitUntil(lambda: f"All the {whole} nearest" in line.text.text(), timeout=WAIT_MS)


def test_what_is_ready_at_once_is_not_worth_a_line(
    viewer, dock, gate, all_ready, qtbot, monkeypatch
):
    monkeypatch.setattr(encoding, "TELL_MS", 3000)  # torch may be loaded first
    viewer.add_image(noise(3, 40, 64))
    widget = dock()
    shown = []
    widget.controller.ahead.changed.connect(lambda: shown.append(not widget.readiness.isHidden()))
    all_ready(widget, 3)
    qtbot.waitUntil(lambda: bool(shown), timeout=WAIT_MS)
    widget.readiness.refresh()
    assert widget.readiness.isHidden()


def test_the_line_does_not_draw_itself_often(stack, gate, all_ready, qtbot):
    told = []
    stack.controller.ahead.changed.connect(lambda: told.append(time.monotonic()))
    for _ in range(7):
        passes(gate, qtbot, 1)
        qtbot.wait(150)
    gate.open()
    all_ready(stack, 9)
    assert np.diff(told).min(initial=1) > 0.4


def test_it_can_be_switched_off(stack, gate, all_ready, qtbot):
    passes(gate, qtbot, 1)
    box = stack.model.ahead
    assert box.isChecked()
    box.click()
    gate.open()
    qtbot.wait(A_WHILE_MS)
    assert len(gate.passed) == 2
    assert stack.readiness.isHidden()
    stack.controller.prompting.add(Click(10, 20))
    qtbot.waitUntil(lambda: stack.controller.answer is not None, timeout=WAIT_MS)
    box.click()
    all_ready(stack, 9)
