"""``icmoe segment`` with the real weights on the sample scan."""

import json
import os
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from skimage.io import imsave

from icmoe_core.io import read_labels, read_volume
from icmoe_core.metrics import dice
from icmoe_core.samples import SAMPLES
from icmoe_core.simulation import deepest_point, mask_box

BRAIN = SAMPLES["brain1"]
SLICE = 16
PLACE = ("--axis", 2, "--slice", SLICE)


@pytest.fixture(scope="module")
def scan():
    return read_volume(BRAIN.image)


@pytest.fixture(scope="module")
def truth(scan):
    return read_labels(BRAIN.labels, scan.grid)[:, :, SLICE] == 1


@pytest.fixture(scope="module")
def box(truth):
    return "--box", *mask_box(truth)


@pytest.fixture(scope="module")
def click_on(truth):
    return "--point", *deepest_point(truth)


@pytest.fixture
def folder(tmp_path):
    """Return a folder for outputs, apart from the test's inputs."""
    path = tmp_path / "out"
    path.mkdir()
    return path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz"])
def test_a_box_gives_a_mask_on_the_grid_of_the_scan(icmoe, scan, truth, box, folder, suffix):
    output = folder / f"mask{suffix}"
    result = icmoe("segment", BRAIN.image, *PLACE, *box, "--output", output)
    assert result.exit_code == 0, result.output
    assert str(output) in result.stdout
    labels = read_labels(output, scan.grid)  # raises unless it lies on the grid
    np.testing.assert_allclose(read_volume(output).grid.affine, scan.grid.affine, atol=1e-4)
    assert np.unique(labels).tolist() == [0, 1]
    assert dice(labels[:, :, SLICE] == 1, truth) > 0.85
    assert not np.delete(labels, SLICE, axis=2).any()


def test_one_click_is_enough(icmoe, truth, scan, click_on, folder):
    output = folder / "mask.nrrd"
    result = icmoe("segment", BRAIN.image, *PLACE, *click_on, "--output", output)
    assert result.exit_code == 0, result.output
    assert dice(read_labels(output, scan.grid)[:, :, SLICE] == 1, truth) > 0.7


def test_json_is_one_object_that_says_what_was_done(icmoe, box, folder):
    output = folder / "mask.nii.gz"
    arguments = (*PLACE, *box, "--background", 0, 0, "--label", 7, "--window", "0,900")
    result = icmoe("segment", BRAIN.image, *arguments, "--json", "--output", output)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    record = json.loads(result.stdout)
    assert record["pixels"] == np.count_nonzero(np.asarray(nib.load(output).dataobj) == 7)
    assert record["prompts"]["point_labels"] == [0]
    assert record["window"] == {"name": "manual", "low": 0.0, "high": 900.0}
    assert len(record["weights_sha256"]) == 64
    assert 0 < record["score"] <= 1.1  # a predicted IoU: a regression, not a probability
    assert record["label"] == 7
    assert record["output"] == str(output)
    assert record["pixels_kept"] == 0
    assert record["seconds"] > 0


def test_a_second_object_joins_the_file_and_keeps_the_first(icmoe, scan, box, folder):
    output = folder / "mask.nrrd"

    def run(*more):
        result = icmoe("segment", BRAIN.image, *PLACE, *box, "--output", output, *more)
        assert result.exit_code == 0, result.output
        return result.stdout

    run()
    first = read_labels(output, scan.grid)
    said = run("--label", 300)
    np.testing.assert_array_equal(read_labels(output, scan.grid), first)
    assert "--overlap replace" in said
    record = json.loads(run("--label", 300, "--overlap", "replace", "--json"))
    second = read_labels(output, scan.grid)
    np.testing.assert_array_equal(second == 300, first == 1)
    assert record["pixels"] == np.count_nonzero(second == 300)
    other = SLICE - 1
    result = icmoe("segment", BRAIN.image, "--axis", 2, "--slice", other, *box, "--output", output)
    assert result.exit_code == 0
    third = read_labels(output, scan.grid)
    np.testing.assert_array_equal(third[:, :, SLICE], second[:, :, SLICE])
    assert third[:, :, other].any()


def test_a_picture_needs_no_slice_and_a_box_may_reach_out(icmoe, scan, folder, tmp_path):
    plane = scan.array[:, :, SLICE].astype(float)
    picture = tmp_path / "picture.png"
    imsave(picture, (255 * plane / plane.max()).astype(np.uint8), check_contrast=False)
    output = folder / "mask.png"
    result = icmoe("segment", picture, "--box", -3, "0", 100, 100, "--output", output)
    assert result.exit_code == 0, result.output
    assert read_volume(output).array.shape == plane.shape


def test_a_constant_slice_gives_an_empty_mask_and_says_so(icmoe, folder, tmp_path):
    flat = tmp_path / "flat.nii.gz"
    array = np.zeros((20, 20, 3), np.int16)
    array[:, :, 0] = np.arange(400).reshape(20, 20)
    nib.save(nib.Nifti1Image(array, np.eye(4)), flat)
    result = icmoe(
        "segment", flat, "--axis", 2, "--slice", 1, "--point", 5, 5, "--json",
        "--output", folder / "mask.nii.gz",
    )  # fmt: skip
    record = json.loads(result.stdout)
    assert record["pixels"] == 0
    assert record["notices"]


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        ((), "There is no prompt: give at least one --box or --point."),
        (("--background", 5, 5), "only --background clicks"),
        (("--box", 160, 82, 210), "'--output' is no number: give 4 numbers, R0 C0 R1 C1."),
    ],
)
def test_prompts_that_say_too_little_are_usage_errors(icmoe, folder, prompts, said):
    result = icmoe("segment", BRAIN.image, *PLACE, *prompts, "--output", folder / "mask.nrrd")
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def test_the_sentence_names_the_slice_and_a_label_map_is_noticed(icmoe, box, folder):
    output = folder / "mask.nrrd"
    result = icmoe("segment", BRAIN.labels, *PLACE, *box, "--label", 7, "--output", output)
    assert result.exit_code == 0, result.output
    assert f"pixels on slice {SLICE} with label 7, in {output}" in result.stdout
    assert "brain1_label.nrrd looks like a label map and not like a scan" in result.stderr


def test_a_mask_without_a_place_to_go_is_a_usage_error(icmoe, box):
    result = icmoe("segment", BRAIN.image, *PLACE, *box)
    assert result.exit_code == 2
    assert "--output" in result.stderr


def test_as_a_process_it_prints_json_and_nothing_else(box):
    arguments = [str(part) for part in ("segment", BRAIN.image, *PLACE, *box, "--json")]
    code = "from icmoe_core.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["output"] is None
    assert done.stderr == ""


# What is refused: exit code 1, one sentence, and nothing changed.


@pytest.fixture
def refuses(icmoe, folder):
    """Assert that a call is refused, with `words` in the sentence."""

    def check(*arguments, words, output=folder / "mask.nii.gz"):
        before = contents(folder)
        result = icmoe("segment", *arguments, "--output", output)
        assert result.exit_code == 1, result.output
        assert result.stderr.startswith("Error: ")
        assert len(result.stderr.splitlines()) == 1
        assert words in result.stderr
        assert "Traceback" not in result.output
        assert result.stdout == ""
        assert contents(folder) == before

    return check


def save_nifti(path, array):
    nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    return path


def test_files_that_are_no_images(refuses, tmp_path, box):
    text = tmp_path / "letter.nii.gz"
    text.write_text("Dear colleague,\n" * 50)
    truncated = tmp_path / "truncated.nrrd"
    truncated.write_bytes(BRAIN.image.read_bytes()[:100_000])
    document = tmp_path / "report.pdf"
    document.write_bytes(b"%PDF-1.7")
    for path in (text, truncated, document, tmp_path / "nowhere.nii"):
        refuses(path, *PLACE, *box, words=path.name)


def test_volumes_with_nothing_to_see(refuses, tmp_path):
    empty = tmp_path / "empty.nii.gz"
    header = nib.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4))
    header.header.set_data_shape((4, 4, 0))
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 0), np.int16), np.eye(4)), empty)
    nothing = save_nifti(tmp_path / "nan.nii.gz", np.full((9, 9, 3), np.nan, np.float32))
    refuses(empty, "--axis", 0, "--slice", 0, "--point", 1, 1, words="no voxel")
    said = "nan.nii.gz holds nothing but NaN or infinity"
    refuses(nothing, "--axis", 2, "--slice", 1, "--point", 4, 4, words=said)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*PLACE, "--box", 10, 10, 10, 20), "covers no pixel"),
        ((*PLACE, "--box", 300, 300, 310, 310), "outside the slice"),
        ((*PLACE, "--box", "nan", 0, 5, 5), "finite"),
        ((*PLACE, "--point", 256, 3), "outside the slice"),
        ((*PLACE, "--point", -3, 3), "outside the slice"),
        (("--point", 5, 5), "axis 2 has slices 0 to 24"),
        (("--axis", 3, "--slice", 0, "--point", 5, 5), "axis 3"),
        (("--axis", 2, "--slice", 25, "--point", 5, 5), "0 to 24"),
        (("--axis", 2, "--slice", -1, "--point", 5, 5), "0 to 24"),
        ((*PLACE, "--time", 0, "--point", 5, 5), "--time"),
        ((*PLACE, "--point", 5, 5, "--window", "moonlight"), "moonlight"),
        ((*PLACE, "--point", 5, 5, "--window", "240,-160"), "lower one first"),
        ((*PLACE, "--point", 5, 5, "--model", "sam-vit-z"), "sam-vit-z"),
        ((*PLACE, "--point", 5, 5, "--device", "abacus"), "abacus"),
        ((*PLACE, "--point", 5, 5, "--experts", "nowhere.safetensors"), "nowhere.safetensors"),
        ((*PLACE, "--point", 5, 5, "--weights", "nowhere.pth"), "nowhere.pth"),
    ],
)
def test_numbers_and_names_that_break_a_rule(refuses, arguments, words):
    refuses(BRAIN.image, *arguments, words=words)


def test_a_corrupt_checkpoint(refuses, tmp_path):
    checkpoint = tmp_path / "sam_vit_b.pth"
    checkpoint.write_bytes(b"PK\x03\x04" + b"\0" * 1000)
    arguments = ("--point", 5, 5, "--model", "sam-vit-b", "--weights", checkpoint)
    refuses(BRAIN.image, *PLACE, *arguments, words=checkpoint.name)


def test_outputs_that_are_something_else(refuses, folder, box):
    other = save_nifti(folder / "other.nii.gz", np.zeros((5, 5, 5), np.uint8))
    refuses(BRAIN.image, *PLACE, *box, output=other, words="grid")
    probabilities = folder / "probabilities.nii.gz"
    scan = read_volume(BRAIN.image)
    nib.save(
        nib.Nifti1Image(np.full(scan.grid.shape, 0.5, np.float32), scan.grid.affine), probabilities
    )
    refuses(BRAIN.image, *PLACE, *box, output=probabilities, words="label map")
    other_scan = folder / "t2.nrrd"
    other_scan.write_bytes(BRAIN.image.read_bytes())
    refuses(BRAIN.image, *PLACE, *box, output=other_scan, words="looks like a scan")
    damaged = folder / "damaged.nii.gz"
    damaged.write_bytes(b"\x1f\x8b\x08 and no more")
    refuses(BRAIN.image, *PLACE, *box, output=damaged, words=damaged.name)


def test_the_scan_itself_is_never_written_over(refuses, folder):
    image = save_nifti(folder / "scan.nii.gz", np.arange(1000, dtype=np.int16).reshape(10, 10, 10))
    link = folder / "link.nii.gz"
    link.symlink_to(image)
    arguments = ("--axis", 2, "--slice", 5, "--point", 5, 5)
    refuses(image, *arguments, output=image, words="the image itself")
    refuses(image, *arguments, output=link, words="the image itself")


def test_places_where_nothing_can_be_written(refuses, folder, box, monkeypatch):
    monkeypatch.setattr("icmoe_core.model.load_model", None)
    refuses(BRAIN.image, *PLACE, *box, output=folder / "mask.png", words="written as .png")
    refuses(BRAIN.image, *PLACE, *box, output=folder / "no" / "mask.nii.gz", words="folder")
    refuses(BRAIN.image, *PLACE, *box, output=folder / "mask.docx", words=".docx")
    refuses(BRAIN.image, *PLACE, *box, output=folder, words="Label maps")


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no such mode on Windows")
def test_a_read_only_folder(refuses, folder, tmp_path, box):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    if os.access(locked, os.W_OK):  # the administrator may write anywhere but here
        locked = "/sys"
    refuses(BRAIN.image, *PLACE, *box, output=f"{locked}/mask.nii.gz", words=str(locked))
