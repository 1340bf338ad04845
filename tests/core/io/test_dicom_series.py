import numpy as np
import pytest
import SimpleITK as sitk
from scan_files import DATA, rotation, save_dicom

from icmoe_core.errors import InputFileError, OutputFileError
from icmoe_core.io import read_labels, read_volume, write_labels

SERIES = DATA / "totalsegmentator" / "ct_dicom"
needs_data = pytest.mark.skipif(not SERIES.is_dir(), reason="the DICOM sample is not here")


def test_a_folder_is_read_in_the_order_of_its_positions(tmp_path, scan):
    save_dicom(tmp_path / "series", scan)
    volume = read_volume(tmp_path / "series")
    np.testing.assert_array_equal(volume.array, scan)
    expected = [[-0.8, 0, 0, 10], [0, -0.6, 0, 20], [0, 0, 2.5, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.grid.affine, expected, atol=1e-6)
    assert volume.notices == ()
    assert not volume.is_labels


def test_one_file_stands_for_its_series(tmp_path, scan):
    files = save_dicom(tmp_path / "series", scan)
    save_dicom(tmp_path / "series", scan[:, :, :2], uid="1.2.3.4")
    nameless = files[2].rename(files[2].with_suffix(".300000"))
    for file in (files[0], nameless):
        volume = read_volume(file)
        np.testing.assert_array_equal(volume.array, scan)
        assert volume.notices == ()


def test_the_largest_of_several_series_is_read_with_a_notice(tmp_path, scan):
    save_dicom(tmp_path / "series", scan)
    save_dicom(tmp_path / "series", scan[:, :, :2], uid="1.2.3.4")
    volume = read_volume(tmp_path / "series")
    np.testing.assert_array_equal(volume.array, scan)
    assert "2 DICOM series" in volume.notices[0]
    assert "7 images" in volume.notices[0]


def test_series_in_subfolders_are_found(tmp_path, scan):
    (tmp_path / "disc").mkdir()
    save_dicom(tmp_path / "disc" / "series", scan)
    np.testing.assert_array_equal(read_volume(tmp_path / "disc").array, scan)


def test_oblique_series_lie_where_itk_says(tmp_path, scan, labels):
    turn = rotation((0.4, -0.3, 0.2))
    cosines = [*turn[:, 0], *turn[:, 1]]
    save_dicom(tmp_path / "series", scan, cosines=cosines, step=turn[:, 2] * 3)
    volume = read_volume(tmp_path / "series")
    np.testing.assert_array_equal(volume.array, scan)
    assert volume.notices == ()
    mask = sitk.ReadImage(str(write_labels(tmp_path / "mask.nii.gz", labels, volume.grid)))
    for index in [(0, 0, 0), (4, 5, 6)]:
        expected = np.array([-10, -20, 30]) + turn @ (np.array(index) * [0.8, 0.6, 3])
        np.testing.assert_allclose(mask.TransformIndexToPhysicalPoint(index), expected, atol=1e-4)


def test_a_tilted_gantry_keeps_its_shear(tmp_path, scan, labels):
    save_dicom(tmp_path / "series", scan, step=(0, 1.0, 2.5))
    volume = read_volume(tmp_path / "series")
    np.testing.assert_allclose(volume.grid.affine[:3, 2], [0, -1.0, 2.5], atol=1e-6)
    assert "21.8°" in volume.notices[0]
    mask = write_labels(tmp_path / "mask.nii.gz", labels, volume.grid)
    np.testing.assert_allclose(read_volume(mask).grid.affine, volume.grid.affine, atol=1e-5)
    np.testing.assert_array_equal(read_labels(mask, volume.grid), labels)


def test_a_missing_slice_is_noticed(tmp_path, scan):
    save_dicom(tmp_path / "series", scan, places=[0, 1, 2, 4, 5, 6, 7])
    (notice,) = read_volume(tmp_path / "series").notices
    assert "2.5 to 5 mm apart" in notice


def test_repeats_at_one_place_are_left_out_with_a_notice(tmp_path, scan):
    save_dicom(tmp_path / "series", scan[:, :, :6], places=[0, 1, 2, 0, 1, 2])
    volume = read_volume(tmp_path / "series")
    assert volume.array.shape == (5, 6, 3)
    assert "6 images at only 3 places" in volume.notices[0]
    assert volume.grid.spacing == pytest.approx((0.8, 0.6, 2.5))


def test_a_single_slice(tmp_path, scan):
    (file,) = save_dicom(tmp_path / "series", scan[:, :, :1])
    volume = read_volume(file)
    np.testing.assert_array_equal(volume.array, scan[:, :, :1])
    assert volume.grid.spacing[:2] == pytest.approx((0.8, 0.6))


def test_a_folder_without_dicom(tmp_path):
    with pytest.raises(InputFileError, match="holds no DICOM image"):
        read_volume(tmp_path)
    (tmp_path / "notes.txt").write_text("nothing to see")
    with pytest.raises(InputFileError, match="holds no DICOM image"):
        read_volume(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 0.99])
def test_a_truncated_file_is_named(tmp_path, share):
    values = np.random.default_rng(0).integers(0, 999, (40, 40, 4)).astype(np.int16)
    files = save_dicom(tmp_path / "series", values)
    raw = files[1].read_bytes()
    files[1].write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(InputFileError, match="truncated") as caught:
        read_volume(files[1])
    assert files[1].name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_writing_dicom_is_refused_with_what_can_be_written(tmp_path, scan, labels):
    save_dicom(tmp_path / "series", scan)
    grid = read_volume(tmp_path / "series").grid
    with pytest.raises(OutputFileError, match=r"as DICOM: give a name that ends in \.nii\.gz"):
        write_labels(tmp_path / "mask.dcm", labels, grid)


@needs_data
def test_flipped_labels_of_a_real_series_fit_in_space():
    volume = read_volume(SERIES)
    path = SERIES.parent / "ct_dicom_labels.nii.gz"
    labels = read_labels(path, volume.grid)
    assert volume.array.shape == labels.shape == (512, 512, 20)
    resampled = sitk.Resample(
        sitk.ReadImage(str(path)),
        sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(SERIES))),
        sitk.Transform(),
        sitk.sitkNearestNeighbor,
    )
    np.testing.assert_array_equal(labels, sitk.GetArrayFromImage(resampled).T)
    liver = volume.array[labels == 5]
    assert 80 < np.median(liver) < 120  # Hounsfield units, with contrast medium
    unflipped = volume.array[labels[:, ::-1] == 5]
    assert liver.std() < unflipped.std() / 2


@needs_data
def test_any_file_of_a_real_series_is_enough():
    file = max(SERIES.iterdir())
    whole, by_file = read_volume(SERIES), read_volume(file)
    np.testing.assert_array_equal(whole.array, by_file.array)
    np.testing.assert_array_equal(whole.grid.affine, by_file.grid.affine)


def test_odd_files_in_the_folder_do_not_get_in_the_way(tmp_path, scan):
    files = save_dicom(tmp_path / "series", scan)
    (tmp_path / "series" / "report.dcm").write_bytes(bytes(128) + b"DICM" + b"nothing" * 30)
    (tmp_path / "series" / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(40))
    (tmp_path / "series" / "notes.txt").write_text("nothing to see")
    for path in (tmp_path / "series", files[3], tmp_path / "series" / "DICOMDIR"):
        volume = read_volume(path)
        np.testing.assert_array_equal(volume.array, scan)
        (notice,) = volume.notices
        assert notice.startswith("One DICOM file holds no image")


def test_a_localizer_in_the_series_is_left_out(tmp_path, scan):
    save_dicom(tmp_path / "series", scan)
    (extra,) = save_dicom(tmp_path / "other", scan[:, :, :1], cosines=(0, 1, 0, 0, 0, -1))
    extra = extra.rename(tmp_path / "series" / "localizer.dcm")
    assert read_volume(extra).array.shape == (5, 6, 1)  # unless it is what was asked for
    volume = read_volume(tmp_path / "series")
    np.testing.assert_array_equal(volume.array, scan)
    assert "1 of the 8 images of the series have another size or angle" in volume.notices[0]
