"""NPY files: arrays as stored, never pickles, and colour only where it is meant."""

import json
import pickle

import numpy as np
import pytest
from scan_files import save_nifti

from icmoe_core.errors import GridError, InputFileError, OutputFileError
from icmoe_core.io import READABLE, check_output, read_label_volume, read_labels, read_volume
from icmoe_core.io.numpy_files import npy_shape, read_npy


@pytest.fixture
def save(tmp_path):
    def save(array, name="array.npy"):
        np.save(tmp_path / name, array)
        return tmp_path / name

    return save


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int64", ">i2", "float32", ">f4"])
@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 7)])
def test_voxels_come_as_they_were_stored(save, shape, dtype):
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    volume = read_volume(save(np.asfortranarray(array)))
    np.testing.assert_array_equal(volume.array, array)
    assert volume.array.dtype == np.dtype(dtype).newbyteorder("=")
    assert volume.grid.shape == shape
    assert volume.grid.spacing == (1.0,) * len(shape)
    assert not volume.rgb
    assert not volume.grid.is_placed


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_floats_become_float32(save, dtype):
    assert read_volume(save(np.ones((3, 4), dtype))).array.dtype == np.float32


def test_three_axes_are_colour_where_the_values_or_the_reader_say_so(save):
    for channels in (3, 4):
        picture = np.random.default_rng(0).integers(0, 255, (8, 9, channels)).astype(np.uint8)
        volume = read_volume(save(picture))
        assert volume.rgb
        assert volume.grid.shape == (8, 9)
        np.testing.assert_array_equal(volume.array, picture[..., :3])
    slices = np.zeros((8, 9, 3), np.int16)
    assert not read_volume(save(slices)).rgb
    assert read_npy(save(slices), colour=True).rgb
    assert not read_npy(save(picture), colour=False).rgb
    assert not read_npy(save(np.zeros((8, 9, 5), np.uint8)), colour=True).rgb


def test_truth_values_are_black_and_white_in_images_and_numbers_in_labels(save):
    path = save(np.eye(4, dtype=bool))
    assert set(np.unique(read_volume(path).array)) == {0, 255}
    labels = read_label_volume(path)
    assert labels.array.dtype == np.uint8
    assert set(np.unique(labels.array)) == {0, 1}


def test_labels_of_whole_floats_are_whole_numbers(save):
    labels = read_label_volume(save(np.full((3, 4), 300.0))).array
    assert labels.dtype == np.uint16
    for array in (np.full((3, 4), 0.5), np.full((3, 4), -1), np.full((3, 4), np.nan)):
        with pytest.raises(InputFileError, match="not a label map"):
            read_label_volume(save(array))


def test_labels_for_a_scan_in_space_are_refused(save, tmp_path, scan):
    grid = read_volume(save_nifti(tmp_path / "scan.nii.gz", scan, np.diag([2, 2, 3, 1]))).grid
    assert grid.is_placed
    with pytest.raises(GridError):
        read_labels(save(np.zeros(scan.shape, np.uint8)), grid)


class Evil:
    def __reduce__(self):
        return (print, ("run",))


def test_no_pickle_is_ever_loaded(tmp_path, capsys):
    path = tmp_path / "evil.npy"
    np.save(path, np.array([[Evil()]], dtype=object), allow_pickle=True)
    bare = tmp_path / "bare.npy"
    bare.write_bytes(pickle.dumps(Evil()))
    for bad in (path, bare):
        with pytest.raises(InputFileError, match=bad.name):
            read_volume(bad)
        with pytest.raises(InputFileError, match=bad.name):
            npy_shape(bad)
    assert capsys.readouterr().out == ""


def test_what_is_no_image_is_refused_by_name(save, tmp_path):
    good = save(np.zeros((50, 60)), "good.npy").read_bytes()
    archive = tmp_path / "archive.npz"
    np.savez(archive, np.zeros((3, 4)))
    contents = {
        "empty": b"",
        "cut-head": good[:50],
        "cut-data": good[:500],
        "text": json.dumps([1]).encode(),
        "archive": archive.read_bytes(),
    }
    for name, content in contents.items():
        path = tmp_path / f"{name}.npy"
        path.write_bytes(content)
        with pytest.raises(InputFileError, match=path.name):
            read_volume(path)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(5), "1 axes"),
        (np.float64(1.0), "0 axes"),
        (np.zeros((2, 3, 4, 5)), "4 axes"),
        (np.zeros((3, 0)), "no voxel"),
        (np.zeros((3, 4), complex), "complex"),
        (np.full((3, 4), "text"), "holds numbers"),
        (np.zeros((3, 4), "timedelta64[s]"), "holds numbers"),
        (np.zeros((3, 4), [("a", "f4")]), "holds numbers"),
    ],
)
def test_arrays_that_are_no_image(save, array, words):
    with pytest.raises(InputFileError, match=words):
        read_volume(save(array))


def test_the_head_tells_the_shape(save):
    assert npy_shape(save(np.zeros((5, 6, 3)))) == (5, 6, 3)


def test_npy_is_read_and_not_written(tmp_path):
    assert ".npy" in READABLE
    with pytest.raises(OutputFileError, match=r"\.npy"):
        check_output(tmp_path / "mask.npy")
