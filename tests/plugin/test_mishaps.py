"""Mishaps: each ends in one sentence, and nothing is lost."""

import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import tifffile
from shown_masks import outlined

import icmoe_core
from icmoe_core.backbones import build_backbone, register, unregister
from icmoe_core.backbones.checkpoints import WeightsInfo, find_weights
from icmoe_core.backbones.downloads import cache_folder
from napari_icmoe.annotate import AnnotateWidget
from napari_icmoe.questions import ModelChoice

NAME = "slow-for-tests"
CONTENT = bytes(range(256)) * 2000


@pytest.fixture
def said_by():
    """Collects every sentence of a widget from now on."""

    def collect(widget):
        sentences = []
        widget.controller.said.connect(lambda level, sentence: sentences.append(sentence))
        return sentences

    return collect


@pytest.fixture
def said(brain, said_by):
    """Every sentence of the widget from now on."""
    return said_by(brain)


@pytest.fixture
def slow_model(tmp_path, monkeypatch, tiny_backbone):
    """A model whose weights come slowly from a server on this computer; yields its brake."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    brake = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(CONTENT) - start))
            self.end_headers()
            half = len(CONTENT) // 2
            try:
                self.wfile.write(CONTENT[start:half])
                while not brake.wait(0.02):
                    self.wfile.flush()
                self.wfile.write(CONTENT[max(start, half) :])
            except OSError:  # the other side has gone
                pass

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    checksum = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
    url = f"http://127.0.0.1:{server.server_port}/slow.pth"
    info = WeightsInfo("MIT", "tests", checksum, len(CONTENT), url)
    register(NAME, lambda weights: find_weights(info, weights) and tiny_backbone, info)
    yield brake
    brake.set()
    unregister(NAME)
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_download_shows_its_progress_and_the_prompts_are_answered(
    brain, hands, lesion, answered, slow_model, qtbot
):
    brain.controller.set_model(ModelChoice(NAME, "cpu"))
    hands.box(lesion[2])
    row = brain.prompt.download
    qtbot.waitUntil(lambda: row.isVisible() and row.bar.value() > 0)
    assert NAME in row.text.text()
    assert "as soon as the model is here" in brain.prompt.hint.text()
    slow_model.set()
    answered(brain)
    assert not row.isVisible()
    assert brain.controller.answer.question.model.name == NAME


def test_a_download_can_be_cancelled_and_gone_on_with(
    brain, hands, lesion, answered, slow_model, qtbot, said
):
    brain.controller.set_model(ModelChoice(NAME, "cpu"))
    hands.box(lesion[2])
    row = brain.prompt.download
    qtbot.waitUntil(lambda: row.isVisible() and row.bar.value() > 0)
    row.cancel.click()
    assert not row.isVisible()
    assert "what came is kept" in said[-1]
    assert "no preview" in brain.prompt.hint.text()
    assert len(brain.controller.prompts) == 1
    qtbot.wait(400)
    assert not brain.controller.asker.downloading, "not begun again by itself"
    slow_model.set()
    hands.key("a")
    qtbot.waitUntil(lambda: brain.controller.target is not None or len(said) > 1, timeout=30_000)


def test_closing_the_window_does_not_wait_for_a_download(
    viewer, brain, hands, lesion, slow_model, qtbot
):
    brain.controller.set_model(ModelChoice(NAME, "cpu"))
    hands.box(lesion[2])
    qtbot.waitUntil(lambda: brain.controller.asker.downloading == NAME)
    begin = time.monotonic()
    viewer.close()
    assert time.monotonic() - begin < 5
    downloads = [one for one in threading.enumerate() if one.name == "napari-icmoe-download"]
    assert all(one.daemon for one in downloads)


def test_weights_that_are_cut_off_are_downloaded_again(slow_model):
    from napari_icmoe.engine import Engine, MissingWeightsError

    cache_folder().mkdir(parents=True)
    (cache_folder() / "slow.pth").write_bytes(CONTENT[:100])
    with pytest.raises(MissingWeightsError):
        Engine().load(ModelChoice(NAME, "cpu"))


def test_a_corrupt_checkpoint_is_said_once_for_slices_and_each_time_for_prompts(
    viewer, brain, hands, said, tmp_path, qtbot
):
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"not weights")
    register("broken-for-tests", lambda weights: build_backbone("sam-vit-b", weights=broken))
    try:
        brain.controller.set_model(ModelChoice("broken-for-tests", "cpu"))
        qtbot.waitUntil(lambda: len(said) == 1, timeout=60_000)
        assert "broken.pth" in said[0]
        for index in range(3):  # each slice would be encoded ahead
            viewer.dims.set_current_step(0, index)
            qtbot.wait(300)
        assert len(said) == 1
        hands.click(60, 60)
        qtbot.waitUntil(lambda: len(said) == 2, timeout=60_000)
        assert said[0] == said[1]
        assert len(brain.controller.prompts) == 1
        hands.key("2")
        qtbot.wait(300)
        assert len(said) == 2, "the same question is not asked again by another action"
    finally:
        unregister("broken-for-tests")


def test_new_pixels_are_asked_about_again(viewer, brain, hands, lesion, answered, qtbot):
    image = viewer.layers["brain1"]
    hands.box(lesion[2])
    answered(brain)
    first = brain.controller.answer
    image.data = image.data[:, ::-1, ::-1].copy()
    assert brain.controller.answer is None
    answered(brain)
    second = brain.controller.answer
    assert second.question.prompts == first.question.prompts
    shape = image.data.shape[1:]
    assert (outlined(second, shape) != outlined(first, shape)).any()
    image.data = np.zeros((2, 3, 4), np.float32)  # the prompts lie outside now
    qtbot.wait(300)
    assert brain.controller.answer is None


def test_a_volume_without_pixels(viewer, annotate, hands, qtbot):
    viewer.add_image(np.zeros((8, 8, 8), np.float32))
    widget = annotate()
    said = []
    widget.controller.said.connect(lambda level, sentence: said.append(sentence))
    for shape in ((0, 20, 20), (1, 1, 1)):
        said.clear()
        hollow = np.zeros(shape, np.float32)
        image = viewer.add_image(hollow, name="hollow", contrast_limits=(0, 1))
        widget.controller.set_image(image)
        widget.controller.prompting.start()
        hands.click(0, 0)
        hands.key("a")
        qtbot.wait(300)
        assert widget.controller.target is None or not widget.controller.target.layer.data.any()
        assert said or widget.controller.view.plane is None
        viewer.layers.remove(image)


def test_removing_the_image_while_it_is_answered(viewer, brain, hands, lesion, said, qtbot, brake):
    brake.pull()
    hands.box(lesion[2])
    hands.key("a")
    assert brain.controller.busy
    viewer.layers.remove(viewer.layers["brain1"])
    brake.let_go()
    qtbot.waitUntil(lambda: brain.controller.image is None)
    qtbot.waitUntil(lambda: brain.controller.asker.worker.idle, timeout=60_000)
    assert not brain.controller.busy
    assert brain.controller.target is None
    assert not len(viewer.layers)
    viewer.open_sample("napari-icmoe", "brain")
    assert brain.controller.image is viewer.layers["brain1"]


def test_a_folder_that_cannot_be_written_keeps_the_mask(
    brain, hands, lesion, answered, said, qtbot
):
    hands.box(lesion[2])
    answered(brain)
    hands.key("a")
    kept = brain.controller.target.layer.data.copy()
    said.clear()
    brain.save_mask(Path("/proc/mask.nii.gz"))
    qtbot.waitUntil(lambda: len(said) == 1)
    assert "/proc" in said[0]
    assert said[0].count(".") <= 4, "a sentence, not a traceback"
    np.testing.assert_array_equal(brain.controller.target.layer.data, kept)


def test_all_layers_are_deleted_at_once_with_the_tool_on(viewer, brain, hands, qtbot):
    hands.click(60, 60)
    viewer.layers.select_all()
    viewer.layers.remove_selected()
    qtbot.wait(100)
    assert not len(viewer.layers)
    assert brain.controller.image is None


def test_another_scan_is_taken_when_the_annotated_one_is_removed(viewer, brain, qtbot):
    other = viewer.add_image(np.random.default_rng(0).random((8, 32, 32)), name="other")
    viewer.layers.remove(viewer.layers["brain1"])
    qtbot.waitUntil(lambda: brain.controller.image is other)
    assert not brain.prompt.sample.isVisible()


def test_a_picture_opened_by_napari_is_not_written_over(viewer, annotate, said_by, tmp_path, qtbot):
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))
    before = path.read_bytes()
    viewer.open(path, plugin="napari")
    widget = annotate()
    said = said_by(widget)
    mask = viewer.add_labels(np.ones((64, 64), np.uint16))
    widget.controller.set_target(mask)
    widget.save_mask(path)
    qtbot.waitUntil(lambda: bool(said))
    assert "the image itself" in said[-1]
    assert path.read_bytes() == before


def test_layers_can_be_removed_and_added_again(viewer, brain, hands, qtbot):
    for _ in range(3):
        hands.click(60, 60)
        viewer.add_points(np.array([[10, 50, 50]]), name="mine")
        viewer.add_vectors(np.array([[[10, 50, 50], [0, 9, 9]]]), name="arrows")
        viewer.add_shapes([[[10, 20, 20], [10, 30, 40]]], shape_type="line", name="lines")
        qtbot.wait(60)
        viewer.layers.selection = {viewer.layers[name] for name in ("mine", "arrows", "lines")}
        viewer.layers.remove_selected()
        qtbot.wait(60)
        brain.controller.prompting.start()
    viewer.window.remove_dock_widget(brain)
    qtbot.wait(60)
    again = AnnotateWidget(viewer)
    viewer.window.add_dock_widget(again)
    again.controller.prompting.start()
    hands.click(60, 60)
    qtbot.wait(60)
    assert len(again.controller.prompts) == 1


def test_while_a_model_is_loaded_the_person_is_told(
    brain, hands, lesion, answered, tiny_name, monkeypatch, qtbot
):
    go_on, load = threading.Event(), icmoe_core.load_model

    def slowly(*choice):
        go_on.wait(20)
        return load(*choice)

    monkeypatch.setattr(icmoe_core, "load_model", slowly)
    brain.controller.set_model(ModelChoice(tiny_name, "cpu"))
    hands.box(lesion[2])
    qtbot.waitUntil(lambda: "being loaded" in brain.prompt.hint.text())
    go_on.set()
    answered(brain)
    assert "being loaded" not in brain.prompt.hint.text()
