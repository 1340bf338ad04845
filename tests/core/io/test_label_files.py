import errno
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scan_files import ORIENTATIONS, oblique_affine, oriented_affine, save_itk, save_nifti

from icmoe_core.errors import GridError, IcmoeError, InputFileError, OutputFileError
from icmoe_core.io import (
    Grid,
    add_to_labels,
    check_output,
    check_same_grid,
    read_labels,
    read_volume,
    same_grid,
    write_labels,
)

SUFFIXES = [".nii", ".nii.gz", ".nrrd", ".mha"]


@pytest.fixture
def grid(nifti_scan) -> Grid:
    return read_volume(nifti_scan).grid


@settings(max_examples=40, deadline=None)
@given(
    labels=arrays.arrays(
        st.sampled_from([np.uint8, np.int16, np.uint16, np.int64, np.bool_]),
        arrays.array_shapes(min_dims=3, max_dims=3, max_side=5),
        elements=st.integers(0, 1),
        fill=st.just(0),
    ),
    factor=st.sampled_from([1, 127, 255, 256, 65535]),
    suffix=st.sampled_from(SUFFIXES),
)
def test_labels_come_back_in_the_smallest_type(tmp_path_factory, labels, factor, suffix):
    if factor > (1 if labels.dtype == bool else np.iinfo(labels.dtype).max):
        factor = 1
    labels = labels if labels.dtype == bool else labels * labels.dtype.type(factor)
    grid = Grid(labels.shape, oblique_affine(ORIENTATIONS[17]))
    path = write_labels(tmp_path_factory.mktemp("any") / f"mask{suffix}", labels, grid)
    read = read_labels(path, grid)
    np.testing.assert_array_equal(read, labels)
    assert read.dtype == (np.uint8 if labels.max(initial=0) <= 255 else np.uint16)


@pytest.mark.parametrize("save", [save_nifti, save_itk])
def test_the_same_voxels_in_another_order_are_reordered(tmp_path, scan, labels, save):
    """For each of the 48 orders, against nibabel's own reorientation."""
    affine = oblique_affine(ORIENTATIONS[7])
    source = nib.Nifti1Image(labels, affine)
    grid = Grid(labels.shape, affine)
    for orientation in ORIENTATIONS:
        other = source.as_reoriented(orientation)
        path = save(tmp_path / ("m.nii" if save is save_nifti else "m.nrrd"),
                    np.asarray(other.dataobj), other.affine)  # fmt: skip
        np.testing.assert_array_equal(read_labels(path, grid), labels)


@pytest.mark.parametrize(
    ("shape", "change"),
    [
        ((5, 6, 8), np.eye(4)),  # one slice more
        ((5, 6, 7), np.diag([1.1, 1, 1, 1])),  # another spacing
        ((5, 6, 7), np.array([[1, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])),
        ((5, 6, 7), np.array([[1, 0.05, 0, 0], [-0.05, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])),
        ((5, 7, 6), np.eye(4)),
        ((10, 12, 14), np.diag([0.5, 0.5, 0.5, 1])),
    ],
)
def test_another_grid_is_refused_and_both_are_named(tmp_path, grid, shape, change):
    path = save_nifti(tmp_path / "labels.nii", np.ones(shape, np.uint8), grid.affine @ change)
    with pytest.raises(GridError, match=r"labels\.nii does not lie on the grid") as caught:
        read_labels(path, grid)
    assert "5 × 6 × 7 voxels of 0.7 × 0.9 × 3 mm" in str(caught.value)  # noqa: RUF001
    assert " × ".join(map(str, shape)) in str(caught.value)  # noqa: RUF001
    before = path.read_bytes()
    with pytest.raises(GridError):
        add_to_labels(path, np.ones(grid.shape, bool), 1, grid)
    assert path.read_bytes() == before


def test_same_grid_tolerates_rounding_only():
    affine = oriented_affine(ORIENTATIONS[0])
    first = Grid((512, 512, 300), affine)
    assert same_grid(first, Grid((512, 512, 300), affine.astype(np.float32)))
    check_same_grid(first, first, "mask.nii")
    moved = affine.copy()
    moved[0, 3] += 0.1
    assert not same_grid(first, Grid((512, 512, 300), moved))
    with pytest.raises(GridError, match="at another place or angle"):
        check_same_grid(Grid((512, 512, 300), moved), first, "mask.nii")


def test_grids_cannot_be_changed():
    affine = np.eye(4)
    grid = Grid((2, 3, 4), affine)
    affine[0, 0] = 9
    assert grid.affine[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 0] = 2


def test_whole_floats_are_labels_and_others_are_not(tmp_path, grid, labels):
    path = save_nifti(tmp_path / "labels.nii.gz", labels.astype(np.float64), grid.affine)
    read = read_labels(path, grid)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, labels)
    for change, message in ((0.5, "not whole numbers"), (np.nan, "not whole"), (-9, "run from")):
        values = labels.astype(np.float32)
        values[1, 2, 3] += change
        path = save_nifti(tmp_path / "labels.nii.gz", values, grid.affine)
        with pytest.raises(InputFileError, match=message):
            read_labels(path, grid)
    path = save_nifti(tmp_path / "labels.nii.gz", labels.astype(np.int32) + 65533, grid.affine)
    with pytest.raises(InputFileError, match="65537"):
        read_labels(path, grid)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_adding_makes_the_file_then_keeps_the_rest(tmp_path, grid, suffix):
    path = tmp_path / f"mask{suffix}"
    first, second = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool)
    first[:2], second[1:3] = True, True
    add_to_labels(path, first, 2, grid)
    add_to_labels(path, second, 7, grid)
    read = read_labels(path, grid)
    assert read.dtype == np.uint8
    assert [set(np.unique(part)) for part in read[:4]] == [{2}, {7}, {7}, {0}]
    add_to_labels(path, second, 65535, grid)
    read = read_labels(path, grid)
    assert read.dtype == np.uint16
    assert [set(np.unique(part)) for part in read[:4]] == [{2}, {65535}, {65535}, {0}]


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint16])
def test_adding_keeps_the_type_that_is_there(tmp_path, grid, labels, dtype):
    path = save_nifti(tmp_path / "mask.nii.gz", labels.astype(dtype), grid.affine)
    add_to_labels(path, np.ones(grid.shape, bool), 9, grid)
    assert nib.load(path).get_data_dtype() == dtype
    path = save_itk(tmp_path / "mask.nrrd", labels.astype(dtype), grid.affine)
    add_to_labels(path, np.ones(grid.shape, bool), 9, grid)
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(path))).dtype == dtype


def test_adding_to_what_is_no_label_map_is_refused(tmp_path, grid, scan, nifti_scan):
    mask = np.ones(grid.shape, bool)
    probabilities = save_nifti(tmp_path / "p.nii.gz", scan / 300, grid.affine)
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(nifti_scan.read_bytes()[:100])
    for path in (nifti_scan, probabilities, broken):  # the scan has negative values
        before = path.read_bytes()
        with pytest.raises(OutputFileError, match="not a label map"):
            add_to_labels(path, mask, 1, grid)
        assert path.read_bytes() == before


@pytest.mark.parametrize("label", [0, -1, 65536, 1.5, True])
def test_labels_out_of_range(tmp_path, grid, label):
    with pytest.raises(OutputFileError, match="cannot be written"):
        add_to_labels(tmp_path / "mask.nii", np.ones(grid.shape, bool), label, grid)
    values = np.full(grid.shape, -1 if label == -1 else 65536)
    with pytest.raises(OutputFileError, match="0 to 65535"):
        write_labels(tmp_path / "mask.nii", values, grid)
    assert not (tmp_path / "mask.nii").exists()


def test_wrong_types_and_shapes(tmp_path, grid):
    with pytest.raises(OutputFileError, match="float64"):
        write_labels(tmp_path / "mask.nii", np.ones(grid.shape), grid)
    with pytest.raises(OutputFileError, match="True and False"):
        add_to_labels(tmp_path / "mask.nii", np.ones(grid.shape), 1, grid)
    with pytest.raises(GridError, match=r"but the scan has 5 . 6 . 7:"):
        write_labels(tmp_path / "mask.nii", np.ones((6, 5, 7), bool), grid)


def test_the_image_is_never_written_over(tmp_path, grid, nifti_scan, labels, monkeypatch):
    before = nifti_scan.read_bytes()
    link, hard, folder = tmp_path / "link.nii.gz", tmp_path / "hard.nii.gz", tmp_path / "there"
    link.symlink_to(nifti_scan)
    hard.hardlink_to(nifti_scan)
    folder.symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    for path in (nifti_scan, link, hard, folder / nifti_scan.name, Path(nifti_scan.name)):
        for source in (nifti_scan, str(link)):
            with pytest.raises(OutputFileError, match="is the image itself"):
                check_output(path, [source])
            with pytest.raises(OutputFileError, match="is the image itself"):
                write_labels(path, labels, grid, sources=[source])
            with pytest.raises(OutputFileError, match="is the image itself"):
                add_to_labels(path, labels > 0, 1, grid, sources=[source])
    assert nifti_scan.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mask.xyz", r"as \.xyz files: give a name that ends in \.nii\.gz"),
        ("mask", "as mask: give a name"),
        ("mask.mhd", r"as \.mhd files"),
        ("mask.gz", r"as \.gz files"),
        ("missing/mask.nii.gz", "does not exist: make it first"),
        ("folder.nii.gz", "is a folder"),
    ],
)
def test_outputs_that_cannot_be_are_refused_early(tmp_path, name, message):
    (tmp_path / "folder.nii.gz").mkdir()
    with pytest.raises(OutputFileError, match=message):
        check_output(tmp_path / name)


def test_a_good_output_leaves_no_trace(tmp_path):
    assert check_output(str(tmp_path / "mask.nii.gz")) == tmp_path / "mask.nii.gz"
    assert list(tmp_path.iterdir()) == []


def test_missing_and_unknown_inputs(tmp_path):
    with pytest.raises(InputFileError, match="There is no file or folder"):
        read_volume(tmp_path / "missing.nii.gz")
    (tmp_path / "notes.docx").write_text("text")
    with pytest.raises(InputFileError, match=r"notes\.docx is no image that can be opened"):
        read_volume(tmp_path / "notes.docx")
    (tmp_path / "folder.nii").mkdir()
    with pytest.raises(InputFileError, match="holds no DICOM"):
        read_volume(tmp_path / "folder.nii")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failure_leaves_the_old_file_alone(tmp_path, grid, labels, suffix, code, monkeypatch):
    path = write_labels(tmp_path / f"mask{suffix}", labels, grid)
    before, names = path.read_bytes(), sorted(tmp_path.iterdir())

    def fail(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    message = {errno.ENOSPC: "no space left", errno.EIO: "could not be written"}
    with pytest.raises(OutputFileError, match=message.get(code, "does not let you write")):
        write_labels(path, labels + 1, grid)
    with pytest.raises(OutputFileError):
        add_to_labels(path, labels > 1, 9, grid)
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == names


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_read_only_folder_is_found_out_early(tmp_path, code, monkeypatch):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(OutputFileError, match="choose another folder"):
        check_output(tmp_path / "mask.nii.gz")


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="this user may write anywhere"
)
def test_a_folder_without_permission(tmp_path, grid, labels):
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    with pytest.raises(OutputFileError, match="choose another folder"):
        write_labels(folder / "mask.nii.gz", labels, grid)


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on file size")
def test_a_disk_that_fills_up_while_writing(tmp_path):
    """Real writers, cut off by the system at 4000 bytes: the old files survive whole."""
    script = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from icmoe_core.errors import OutputFileError
from icmoe_core.io import Grid, write_labels
from icmoe_core.io.pictures import PictureHeader
folder = Path(sys.argv[1])
labels = np.random.default_rng(0).integers(0, 60000, (20, 20, 20))
grid = Grid(labels.shape, np.eye(4))
paths = [folder / f"mask{suffix}" for suffix in (".nii", ".nii.gz", ".nrrd", ".mha")]
cases = [(path, labels, grid) for path in paths]
cases.append((folder / "mask.tif", labels, Grid(labels.shape, np.eye(4), PictureHeader(20))))
flat = labels.reshape(80, 100)
cases.append((folder / "mask.png", flat, Grid(flat.shape, np.eye(4), PictureHeader())))
for path, values, place in cases:
    write_labels(path, values > 30000, place)
before = {path: path.read_bytes() for path, _, _ in cases}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
for path, values, place in cases:
    try:
        write_labels(path, values, place)
    except OutputFileError as error:
        assert "nothing was changed" in str(error), error
        print(path.suffix)
assert {path: path.read_bytes() for path in folder.iterdir()} == before
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [".nii", ".gz", ".nrrd", ".mha", ".tif", ".png"]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are POSIX")
def test_permissions_and_links_are_kept(tmp_path, grid, labels):
    real, link = tmp_path / "real.nii.gz", tmp_path / "link.nii.gz"
    write_labels(real, labels, grid)
    plain = tmp_path / "plain"
    plain.touch()
    assert real.stat().st_mode == plain.stat().st_mode  # not the 0600 of temporary files
    real.chmod(0o640)
    link.symlink_to(real)
    write_labels(link, labels * 0, grid)
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert read_labels(real, grid).max() == 0


def test_every_error_is_ours_and_one_sentence(tmp_path):
    for suffix in (".nii", ".nii.gz", ".nrrd", ".mha", ".png", ".jpg", ".tif", ".dcm", ".mhd"):
        for size in (0, 3, 200, 5000):
            path = tmp_path / f"noise{suffix}"
            path.write_bytes(np.random.default_rng(size).bytes(size))
            with pytest.raises(IcmoeError) as caught:
                read_volume(path)
            assert str(caught.value).endswith(".")
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "is_labels"),
    [
        ("liver_mask", True), ("brain1_label", True), ("segmentation", True),
        ("Segmentation.seg", True), ("brainMask2", True), ("sub-1_seg-vert_label-2_msk", True),
        ("ct", False), ("unmasked", False), ("sub-1_label-6_T2w", False), ("labelled", False),
    ],
)  # fmt: skip
def test_label_maps_are_told_by_name_and_values(tmp_path, labels, name, is_labels):
    path = save_nifti(tmp_path / f"{name}.nii.gz", labels, np.eye(4))
    assert read_volume(path).is_labels == is_labels
    path = save_nifti(path, labels.astype(np.int16) - 1, np.eye(4))
    assert not read_volume(path).is_labels
    path = save_nifti(path, labels.astype(np.float32), np.eye(4))
    assert not read_volume(path).is_labels


def test_a_segmentation_of_slicer_is_not_written_over(tmp_path):
    path = tmp_path / "liver.seg.nrrd"
    path.write_bytes(b"names and colours")
    with pytest.raises(OutputFileError, match="3D Slicer"):
        check_output(path)
    assert path.read_bytes() == b"names and colours"
