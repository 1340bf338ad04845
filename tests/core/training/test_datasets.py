"""Labelled slices of real files: samples, and small ones made on the spot."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from PIL import Image

from icmoe_core.errors import DatasetError, GridError, ImageError, InputFileError
from icmoe_core.io import Grid, read_labels, read_volume
from icmoe_core.samples import SAMPLES
from icmoe_core.training.datasets import Case, annotated_axis, match_files, read_slices
from icmoe_core.windowing import choose_window


def ball(shape, spacing=(1, 1, 1), radius=8):
    """A ball in the middle of a volume, its radius in mm."""
    places = np.ogrid[tuple(slice(n) for n in shape)]
    centre = [(n - 1) / 2 for n in shape]
    squares = [((x - c) * s) ** 2 for x, c, s in zip(places, centre, spacing, strict=True)]
    return (sum(squares) <= radius**2).astype(np.uint8)


def save_nifti(path, array, affine=None):
    nib.save(nib.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return path


@pytest.fixture
def case(tmp_path):
    """Save an image and its labels, as NIfTI or in the format of the names, as a case."""

    def make(image, labels, names=("image.nii.gz", "labels.nii.gz"), affine=None, other=None):
        paths = [tmp_path / name for name in names]
        affines = (affine, affine if other is None else other)
        for path, array, place in zip(paths, (image, labels), affines, strict=True):
            if path.suffix == ".npy":
                np.save(path, array)
            elif path.suffix == ".png":
                Image.fromarray(array).save(path)
            elif path.suffix == ".tif":
                tifffile.imwrite(path, array)
            else:
                save_nifti(path, array, place)
        return Case("scan", "someone", *paths)

    return make


def test_slices_of_a_real_scan():
    sample = SAMPLES["brain1"]
    (found,) = match_files(sample.image, sample.labels)
    volume = read_volume(sample.image)
    labels = read_labels(sample.labels, volume.grid)
    slices = read_slices(found)
    assert [part.index for part in slices] == [
        index for index in range(25) if np.count_nonzero(labels[:, :, index] == 1) >= 30
    ]
    for part in slices:
        assert (part.case, part.patient, part.axis) == ("brain1", "brain1", 2)
        assert part.name == f"brain1, slice {part.index}"
        np.testing.assert_array_equal(part.image, volume.array[:, :, part.index])
        np.testing.assert_array_equal(part.labels, labels[:, :, part.index])
        assert part.image.dtype == volume.array.dtype
        assert part.window == choose_window(volume.array)
        assert part.spacing == pytest.approx((0.78125, 0.78125))
        assert part.classes == (1,)
        assert part.image.base is None  # a view would keep the whole scan in memory


def test_classes_are_the_labels_of_enough_pixels():
    sample = SAMPLES["mr_abdomen"]
    (found,) = match_files(sample.image, sample.labels)
    for limit in (1, 30, 200):
        for part in read_slices(found, min_pixels=limit):
            values, counts = np.unique(part.labels[part.labels > 0], return_counts=True)
            assert part.classes == tuple(values[counts >= limit].tolist())
            assert part.classes
    assert read_slices(found, min_pixels=10_000) == []


def test_slices_without_labels_are_left_out(case):
    labels = np.zeros((20, 21, 9), np.uint8)
    labels[3:13, 3:13, 2] = 1
    labels[3:13, 3:13, 6] = 4
    labels[0, 0, 7] = 1  # too few pixels
    image = np.random.default_rng(0).normal(size=labels.shape).astype(np.float32)
    slices = read_slices(case(image, labels))
    assert [(part.axis, part.index, part.classes) for part in slices] == [
        (2, 2, (1,)),
        (2, 6, (4,)),
    ]


# The axis


def grid(shape, spacing=(1, 1, 1)):
    return Grid(shape, np.diag([*spacing, 1]))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(
    ("chosen", "spacing"),
    [
        *(
            (chosen, spacing)
            for chosen in ([20], [17, 23], [14, 19, 24, 29])
            for spacing in ((1, 1, 1), (1, 1, 4), (3, 1, 1))
        ),
        (range(16, 26), (1, 1, 1)),
    ],
)
def test_a_scan_labelled_on_some_slices_is_cut_along_their_axis(axis, chosen, spacing):
    shape = [40, 40, 40]
    complete = np.moveaxis(ball(shape, spacing, radius=16), axis, 0)
    labels = np.zeros_like(complete)
    chosen = [index for index in chosen if complete[index].any()]
    labels[chosen] = complete[chosen]
    assert annotated_axis(np.moveaxis(labels, 0, axis), grid(shape, spacing)) == axis


@pytest.mark.parametrize(
    ("shape", "spacing", "axis"),
    [
        ((40, 40, 10), (1, 1, 5), 2),
        ((40, 10, 40), (1, 5, 1), 1),
        ((10, 40, 40), (5, 1, 1), 0),
        ((40, 40, 40), (1, 1, 1), 2),
        ((40, 40, 40), (1.2, 1.2, 1), 1),
        ((40, 40, 40), (3, 3, 3.0000001), 2),
        ((40, 40, 40), (3.0000001, 3, 3), 2),
    ],
)
@pytest.mark.parametrize("radius", [6, 14])
def test_a_complete_scan_is_cut_along_the_coarsest_spacing(shape, spacing, axis, radius):
    assert annotated_axis(ball(shape, spacing, radius), grid(shape, spacing)) == axis


def test_an_axis_of_one_slice_is_the_one(case):
    labels = ball((40, 40, 1))
    assert annotated_axis(labels, grid(labels.shape, (3, 3, 1))) == 2
    slices = read_slices(case(labels.astype(np.int16), labels, affine=np.diag([3, 3, 1, 1])))
    assert [part.image.shape for part in slices] == [(40, 40)]
    assert slices[0].spacing == (3.0, 3.0)


def test_empty_labels_give_no_slice(case):
    nothing = np.zeros((20, 20, 20), np.uint8)
    assert annotated_axis(nothing, grid(nothing.shape)) == 2
    assert read_slices(case(nothing.astype(np.int16), nothing)) == []


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_axis_may_be_given(case, axis):
    labels = ball((24, 26, 28), radius=10)
    image = np.random.default_rng(0).integers(0, 99, labels.shape).astype(np.int16)
    slices = read_slices(case(image, labels, affine=np.diag([2, 3, 4, 1])), axis)
    others = [size for place, size in enumerate((2.0, 3.0, 4.0)) if place != axis]
    for part in slices:
        assert part.axis == axis
        assert list(part.spacing) == pytest.approx(others)
        np.testing.assert_array_equal(part.image, np.take(image, part.index, axis))
        np.testing.assert_array_equal(part.labels, np.take(labels, part.index, axis))
    with pytest.raises(DatasetError, match="axis 3"):
        read_slices(case(image, labels), 3)


# Pictures and NPY


def disk(shape=(30, 32), radius=9):
    return ball((*shape, 1), radius=radius)[:, :, 0]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
@pytest.mark.parametrize("label_suffix", [".png", ".tif", ".npy"])
def test_pictures_are_one_slice_each(case, suffix, label_suffix):
    image = np.random.default_rng(0).integers(0, 255, (30, 32)).astype(np.uint8)
    (part,) = read_slices(case(image, disk() * 7, (f"p{suffix}", f"p_mask{label_suffix}")))
    assert (part.axis, part.index, part.spacing, part.classes) == (None, 0, (1.0, 1.0), (7,))
    assert part.name == "scan"
    np.testing.assert_array_equal(part.image, image)
    np.testing.assert_array_equal(part.labels, disk() * 7)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
def test_the_labels_tell_colour_from_slices_in_npy(case, dtype):
    image = np.random.default_rng(0).integers(0, 255, (30, 32, 3)).astype(dtype)
    (colour,) = read_slices(case(image, disk(), ("p.npy", "p_mask.npy")))
    assert colour.image.shape == (30, 32, 3)
    assert colour.labels.shape == (30, 32)
    volume = np.repeat(disk()[..., None], 3, axis=2)
    slices = read_slices(case(image, volume, ("p.npy", "p_mask.npy")))
    assert [(part.axis, part.image.shape) for part in slices] == [(2, (30, 32))] * 3


def test_colour_pictures_keep_their_colours(case):
    image = np.random.default_rng(0).integers(0, 255, (30, 32, 3)).astype(np.uint8)
    (part,) = read_slices(case(image, disk(), ("p.png", "p_mask.png")))
    np.testing.assert_array_equal(part.image, image)
    assert (part.window.low, part.window.high) == (0, 255)


def test_the_pages_of_a_tiff_are_slices(case):
    pages = np.random.default_rng(0).integers(0, 255, (50, 30, 32)).astype(np.uint8)
    labels = np.stack([disk()] * 50)
    slices = read_slices(case(pages, labels, ("p.tif", "p_mask.tif")))
    assert [(part.axis, part.index) for part in slices] == [(2, index) for index in range(50)]
    np.testing.assert_array_equal(slices[4].image, pages[4].T)


def test_a_npy_volume_is_cut_along_its_fewest_slices(case):
    labels = np.stack([disk()] * 6)
    slices = read_slices(case(labels * 9, labels, ("p.npy", "p_mask.npy")))
    assert [(part.axis, part.image.shape) for part in slices] == [(0, (30, 32))] * 6


def test_labels_without_millimetres_need_only_the_shape(case):
    labels = ball((24, 26, 28), radius=10)
    image = labels.astype(np.int16) * 100
    far = np.diag([2, 2, 2, 1]) + np.eye(4, k=3) * 500
    slices = read_slices(case(image, labels, ("p.nii.gz", "p_seg.npy"), affine=far))
    np.testing.assert_array_equal(slices[0].labels * 100, slices[0].image)
    assert slices[0].spacing == (2.0, 2.0)


# Grids and values


def test_labels_in_another_order_are_brought_into_that_of_the_scan(case):
    labels = ball((24, 26, 28), radius=10)
    labels[:12] *= 2
    flipped = np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = 23
    slices = read_slices(case(labels.astype(np.int16), labels[::-1].copy(), other=flipped))
    for part in slices:
        np.testing.assert_array_equal(part.labels, part.image)


@pytest.mark.parametrize(
    ("labels", "other"),
    [
        (np.ones((24, 26, 27), np.uint8), None),
        (np.ones((24, 26, 28), np.uint8), np.diag([1.1, 1, 1, 1])),
        (np.ones((24, 26, 28), np.uint8), np.eye(4) + np.eye(4, k=3)),
    ],
)
def test_labels_of_another_grid_are_refused(case, labels, other):
    with pytest.raises(GridError, match=r"labels\.nii\.gz"):
        read_slices(case(np.ones((24, 26, 28), np.int16), labels, other=other))


def test_pictures_of_another_size_are_refused(case):
    with pytest.raises(GridError, match="30 × 32"):  # noqa: RUF001
        read_slices(case(np.zeros((31, 32), np.uint8), disk(), ("p.png", "p_mask.png")))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint16])
def test_whole_floats_are_labels(case, dtype):
    labels = ball((24, 26, 28), radius=10).astype(dtype) * dtype(300)
    part = read_slices(case(labels.astype(np.int16), labels))[0]
    assert np.issubdtype(part.labels.dtype, np.integer)
    assert part.classes == (300,)


@pytest.mark.parametrize("value", [0.5, -1, np.nan])
def test_values_that_are_no_labels_are_refused(case, value):
    labels = np.full((24, 26, 28), value, np.float32)
    with pytest.raises(InputFileError, match="label map"):
        read_slices(case(np.ones(labels.shape, np.int16), labels))


def test_scans_over_time_are_refused(case):
    labels = ball((10, 10, 10), radius=4)
    series = np.zeros((10, 10, 10, 5), np.int16)
    with pytest.raises(DatasetError, match="5 time steps"):
        read_slices(case(series, labels))
    with pytest.raises(InputFileError, match="5 time steps"):
        read_slices(case(labels.astype(np.int16), series))


def test_windows_are_chosen_for_the_whole_scan(case):
    labels = ball((24, 26, 28), radius=10)
    image = np.arange(labels.size).reshape(labels.shape).astype(np.int32)
    windows = {part.window for part in read_slices(case(image, labels), window="full")}
    assert [(window.low, window.high) for window in windows] == [(0, labels.size - 1)]
    with pytest.raises(ImageError, match="moonlight"):
        read_slices(case(image, labels), window="moonlight")


def test_a_dicom_folder_is_a_case(tmp_path):
    folder, shape = tmp_path / "series", (24, 26, 8)
    folder.mkdir()
    labels = ball(shape, (1, 1, 4), radius=10)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for index in range(shape[2]):
        image = sitk.GetImageFromArray(labels[:, :, index : index + 1].T.astype(np.int16))
        tags = {
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0008|0018": f"1.2.3.{index}",
            "0008|0060": "CT",
            "0020|000d": "1.2.1",
            "0020|000e": "1.2.2",
            "0020|0032": rf"0\0\{4 * index}",
            "0020|0037": r"1\0\0\0\1\0",
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{9 - index}.dcm"))  # names in another order than places
        writer.Execute(image)
    affine = read_volume(folder).grid.affine
    save_nifti(tmp_path / "series_seg.nii.gz", labels, affine)
    (found,) = match_files(folder, tmp_path / "series_seg.nii.gz")
    for part in read_slices(found):
        assert part.axis == 2
        np.testing.assert_array_equal(part.labels, part.image)
