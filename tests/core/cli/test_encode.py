"""``icmoe encode``: what it leaves is warm in the window; and ``icmoe cache``."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from icmoe_core import predictor as predictor_module
from icmoe_core.ahead.scans import Portion, encode_portion
from icmoe_core.ahead.shown_slices import shown_slices
from icmoe_core.embeddings import EmbeddingStore
from icmoe_core.errors import ImageError
from icmoe_core.io import read_volume, to_display
from icmoe_core.predictor import Predictor
from icmoe_core.windowing import choose_window

RNG = np.random.default_rng(0)
LPS = np.diag([-2.0, -2.0, 3.0, 1.0])
INTERRUPTIBLE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from icmoe_core.cli import main
main()
"""
"""The command, also where tests run in the background of a shell, which ignores Ctrl+C there."""
DASHBOARD = 8787
"""The port that each cluster of Dask takes by itself."""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def scans(tmp_path):
    """Three volumes, one of them over time, and a file that is none."""
    paths = []
    for name, shape in (("a", (20, 24, 5)), ("b", (18, 22, 4)), ("t", (16, 18, 3, 2))):
        array = RNG.normal(100, 20, shape).astype(np.float32)
        paths.append(tmp_path / f"{name}.nii.gz")
        nib.save(nib.Nifti1Image(array, LPS), paths[-1])
    paths.append(tmp_path / "broken.nii.gz")
    paths[-1].write_bytes(paths[0].read_bytes()[:300])
    return paths


def encode(icmoe, tiny_name, *arguments):
    return icmoe("encode", *arguments, "--model", tiny_name, "--device", "cpu")


def test_slices_are_those_of_the_window(scans):
    volume = read_volume(scans[2])
    shown = to_display(volume.array, volume.grid.affine)
    slices = shown_slices(volume)
    assert len(slices) == 3 * 2
    expected = [shown[time, index] for time in range(2) for index in range(3)]
    for number, pixels in enumerate(expected):
        np.testing.assert_array_equal(slices[number], pixels)
    across = shown_slices(volume, axis=1)  # stored from front to back: the second on the screen
    assert len(across) == 18 * 2
    np.testing.assert_array_equal(across[1], shown[0, :, 1])


def test_no_slice_is_looked_at_twice(tiny_model, scans, tmp_path, monkeypatch):
    looked, key_of = [], predictor_module.embedding_key

    def counted(image, window, encoder):
        looked.append(image)
        return key_of(image, window, encoder)

    monkeypatch.setattr(predictor_module, "embedding_key", counted)
    predictor = Predictor(tiny_model, store=EmbeddingStore(tmp_path / "store"))
    *_, first = encode_portion(predictor, Portion(scans[0]))
    assert len(first.encoded) == len(looked) == 5
    *_, again = encode_portion(predictor, Portion(scans[0]))
    assert (again.there, len(looked)) == (5, 10)


def test_a_slice_that_cannot_be_encoded_takes_no_other_with_it(
    tiny_model, scans, tmp_path, monkeypatch
):
    make, refused = predictor_module.encode_pictures, []

    def picky(model, pictures):
        refused.append(len(pictures))
        if len(refused) in (1, 3):  # the batch, and then the second slice of it
            raise ImageError("not numbers")
        return make(model, pictures)

    monkeypatch.setattr(predictor_module, "encode_pictures", picky)
    monkeypatch.setattr(tiny_model.runtime, "batch", 5)
    predictor = Predictor(tiny_model, store=EmbeddingStore(tmp_path / "store"))
    *_, found = encode_portion(predictor, Portion(scans[0]))
    assert refused == [5, 1, 1, 1, 1, 1]
    assert (found.total, len(found.encoded), found.empty, found.error) == (5, 4, 1, "")


def test_all_slices_are_encoded_and_the_second_time_none(icmoe, tiny_name, tiny_model, scans):
    first = encode(icmoe, tiny_name, *scans[:3])
    assert first.exit_code == 0, first.output
    assert "5 slices, 5 encoded" in first.stdout
    assert "15 slices encoded, 0 there already" in first.stdout
    predictor = Predictor(tiny_model, store=EmbeddingStore())
    for path in scans[:3]:
        volume = read_volume(path)
        slices = shown_slices(volume)
        window = choose_window(slices.array)
        assert all(predictor.is_encoded(slices[n], window) for n in range(len(slices)))
    record = json.loads(encode(icmoe, tiny_name, *scans[:3], "--json").stdout)
    assert (record["encoded"], record["there"], record["failed"]) == (0, 15, 0)
    other = json.loads(encode(icmoe, tiny_name, scans[0], "--window", "0,200", "--json").stdout)
    assert (other["encoded"], other["kept"]) == (5, 5)
    across = json.loads(encode(icmoe, tiny_name, scans[0], "--axis", 0, "--json").stdout)
    assert across["files"][0]["slices"] == across["encoded"] == 20


def test_what_fails_is_named_and_the_others_are_encoded(icmoe, tiny_name, scans, tmp_path):
    labels = tmp_path / "a_label.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), LPS), labels)
    result = encode(icmoe, tiny_name, scans[3], labels, scans[0], tmp_path / "none.nii")
    assert result.exit_code == 1
    assert "Error: broken.nii.gz cannot be read" in result.stderr
    assert "none.nii" in result.stderr
    assert "a_label.nii.gz: it is a label map" in result.stdout
    assert "4 files, 2 of them failed: 5 slices encoded" in result.stdout


def test_slices_of_nothing_but_nan_are_counted_and_left_out(icmoe, tiny_name, tmp_path):
    array = RNG.normal(size=(10, 12, 4)).astype(np.float32)
    array[:, :, 1] = np.nan
    path = tmp_path / "holed.nii"
    nib.save(nib.Nifti1Image(array, LPS), path)
    result = encode(icmoe, tiny_name, path)
    assert result.exit_code == 0, result.output
    assert "4 slices, 3 encoded, 0 in the cache already, 1 empty" in result.stdout


@pytest.mark.parametrize(("shape", "axis"), [((40, 1600, 2), None), ((40, 30, 1600), 0)])
def test_slices_that_the_window_looks_at_part_by_part_are_left_out(
    icmoe, tiny_name, tmp_path, shape, axis
):
    path = tmp_path / "long.nii"
    nib.save(nib.Nifti1Image(RNG.normal(size=shape).astype(np.float32), LPS), path)
    slices = shown_slices(read_volume(path), axis)
    assert slices.are_large
    result = encode(icmoe, tiny_name, path, *(() if axis is None else ("--axis", axis)))
    assert result.exit_code == 0, result.output
    assert "long.nii: its slices of 1600 × " in result.stdout  # noqa: RUF001
    assert "0 slices encoded" in result.stdout
    if axis == 0:  # as the window opens them, they are small
        assert not shown_slices(read_volume(path)).are_large


def test_large_pictures_in_colour_are_left_out(icmoe, tiny_name, tmp_path):
    path = tmp_path / "slide.png"
    Image.fromarray(RNG.integers(0, 255, (1600, 20, 3), np.uint8)).save(path)
    result = encode(icmoe, tiny_name, path)
    assert "slide.png: its slices of 1600 × 20 pixels" in result.stdout  # noqa: RUF001
    assert not shown_slices(read_volume(path)).cuts


def test_a_cache_that_is_too_small_is_told(icmoe, tiny_name, scans, monkeypatch):
    monkeypatch.setenv("ICMOE_CACHE_BYTES", "6000")
    result = encode(icmoe, tiny_name, scans[0])
    assert result.exit_code == 0
    assert "are not in this cache" in result.stderr
    monkeypatch.setenv("ICMOE_CACHE_BYTES", "0")
    result = encode(icmoe, tiny_name, scans[0])
    assert result.exit_code == 1
    assert "the cache keeps nothing" in result.stderr


def test_a_cache_that_cannot_be_written_is_told_before_anything(icmoe, tiny_name, scans, cache):
    cache.mkdir()
    (cache / "icmoe").write_text("a file")
    result = encode(icmoe, tiny_name, scans[0])
    assert result.exit_code == 1
    assert "cannot be made" in result.stderr


def test_shares_of_a_scan_make_up_the_whole(tiny_model, scans, tmp_path):
    predictor = Predictor(tiny_model, store=EmbeddingStore(tmp_path / "store"))
    keys = set()
    for number in range(3):
        *_, last = encode_portion(predictor, Portion(scans[0], number=number, of=3))
        keys |= set(last.encoded)
        assert last.error == ""
    assert len(keys) == 5
    *_, whole = encode_portion(predictor, Portion(scans[0]))
    assert (whole.there, whole.encoded) == (5, ())


def test_several_workers_need_dask(icmoe, tiny_name, scans, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "icmoe_core.ahead.cluster", raising=False)
    result = encode(icmoe, tiny_name, scans[0], "--workers", 2)
    assert result.exit_code == 1
    assert "napari-icmoe[cluster]" in result.stderr
    both = encode(icmoe, tiny_name, scans[0], "--workers", 2, "--scheduler", "tcp://host:1")
    assert both.exit_code == 2


def test_of_what_was_encoded_the_folder_is_looked_at_once(icmoe, tiny_name, scans, monkeypatch):
    asked = []
    monkeypatch.setattr(EmbeddingStore, "kept", lambda self, keys: asked.append(len(keys)) or set())
    record = json.loads(encode(icmoe, tiny_name, *scans[:2], "--json").stdout)
    assert (record["encoded"], record["kept"]) == (9, 0)
    assert asked == [9]


def test_with_a_cluster_elsewhere_this_computer_is_not_measured(
    icmoe, tiny_name, scans, monkeypatch
):
    pytest.importorskip("distributed")
    monkeypatch.setattr("icmoe_core.ahead.cluster._CONNECT_S", 1)
    monkeypatch.setattr("icmoe_core.cli.encode._measure_first", lambda *_: pytest.fail("measured"))
    result = encode(icmoe, tiny_name, scans[0], "--scheduler", "tcp://127.0.0.1:1")
    assert "No Dask scheduler answers" in result.stderr


def test_for_files_that_are_not_there_nothing_is_measured(icmoe, tiny_name, tmp_path, monkeypatch):
    monkeypatch.setattr("icmoe_core.cli.encode._measure_first", lambda *_: pytest.fail("measured"))
    result = encode(icmoe, tiny_name, tmp_path / "none.nii")
    assert result.exit_code == 1
    assert "There is no file or folder" in result.stderr


def test_two_workers_share_the_work(scans, tmp_path):
    small = [tmp_path / f"{name}.nii" for name in "xy"]
    for path in small:
        array = RNG.normal(100, 20, (16, 18, 2)).astype(np.float32)
        nib.save(nib.Nifti1Image(array, LPS), path)
    command = [Path(sys.executable).with_name("icmoe"), "encode", *small, scans[3]]
    done = subprocess.run(
        [*command, "--workers", "2", "--device", "cpu", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 1, done.stderr
    record = json.loads(done.stdout)
    assert (record["encoded"], record["kept"], record["failed"]) == (4, 4, 1)
    assert EmbeddingStore().usage().slices == 4
    with socket.socket() as other:
        with suppress(OSError):  # which another program may have
            other.bind(("127.0.0.1", DASHBOARD))
            other.listen()
        again = subprocess.run(
            [*command[:-1], "--workers", "2", "--device", "cpu"],
            capture_output=True,
            text=True,
            check=True,
            timeout=240,
            env=os.environ | {"ICMOE_RUNTIME": "openvino-fp32"},
        )
    assert "4 there already" in again.stdout
    assert again.stderr == "", "workers whose networks are still being compiled end quietly"


@pytest.mark.skipif(sys.platform == "win32", reason="terminals send Ctrl+C in another way there")
def test_ctrl_c_ends_the_workers_in_one_word(tmp_path):
    pytest.importorskip("distributed")
    for name, count in (("short", 1), ("long", 400)):
        array = RNG.normal(100, 20, (16, 18, count)).astype(np.float32)
        nib.save(nib.Nifti1Image(array, LPS), tmp_path / f"{name}.nii")
    files = [tmp_path / "short.nii", tmp_path / "long.nii"]
    command = [sys.executable, "-c", INTERRUPTIBLE, "encode", *files, "--axis", "2"]
    command += ["--workers", "2", "--device", "cpu"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, start_new_session=True) as running:
        try:
            for line in running.stdout:
                if "short.nii" in line:
                    break
            os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to all of them
            _, said = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == 130
    assert said == "Interrupted.\n"


def test_a_running_cluster_is_used(icmoe, tiny_name, scans, monkeypatch):
    pytest.importorskip("distributed")
    words = [sys.executable, Path(__file__).with_name("local_cluster.py")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, **pipes) as cluster:
        try:
            address = cluster.stdout.readline().strip()
            result = encode(icmoe, tiny_name, *scans[:1], "--scheduler", address, "--json")
            cluster.communicate(timeout=60)  # it ends with its input
        finally:
            cluster.kill()
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["encoded"] == 5
    monkeypatch.setattr("icmoe_core.ahead.cluster._CONNECT_S", 1)
    result = encode(icmoe, tiny_name, scans[0], "--scheduler", "tcp://127.0.0.1:1")
    assert result.exit_code == 1
    assert "No Dask scheduler answers" in result.stderr


def test_the_cache_is_shown_and_cleared(icmoe, tiny_name, scans, cache):
    empty = json.loads(icmoe("cache", "info", "--json").stdout)
    assert (empty["slices"], empty["bytes"]) == (0, 0)
    assert empty["folder"].startswith(str(cache))
    encode(icmoe, tiny_name, scans[0])
    assert "5 in 1 pack\n" in icmoe("cache", "info").stdout
    refused = icmoe("cache", "clear")  # nobody answers
    assert refused.exit_code == 1
    assert "give --yes where nobody can be asked" in refused.stderr
    assert json.loads(icmoe("cache", "info", "--json").stdout)["slices"] == 5
    assert "kB freed" in icmoe("cache", "clear", "--yes").stdout
    assert json.loads(icmoe("cache", "info", "--json").stdout)["slices"] == 0
    assert "0 kB freed" in icmoe("cache", "clear").stdout
