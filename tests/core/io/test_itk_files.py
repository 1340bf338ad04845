import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scan_files import ORIENTATIONS, oblique_affine, oriented_affine, save_itk, save_nifti

from icmoe_core.errors import InputFileError
from icmoe_core.io import read_labels, read_volume, write_labels

CORNERS = [(0, 0, 0), (4, 0, 0), (0, 5, 0), (0, 0, 6), (4, 5, 6)]


def assert_same_place(path, image):
    """Each corner voxel lies where SimpleITK says, LPS+ turned into RAS+."""
    affine = nib.load(path).affine if ".nii" in path.name else read_volume(path).grid.affine
    for corner in CORNERS:
        expected = np.array(image.TransformIndexToPhysicalPoint(corner)) * [-1, -1, 1]
        np.testing.assert_allclose((affine @ [*corner, 1])[:3], expected, atol=2e-4)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("make", [oriented_affine, oblique_affine])
def test_every_orientation_comes_back(tmp_path, scan, labels, make, suffix):
    for orientation in ORIENTATIONS:
        affine = make(orientation)
        source = save_itk(tmp_path / f"scan{suffix}", scan, affine)
        volume = read_volume(source)
        np.testing.assert_array_equal(volume.array, scan)
        np.testing.assert_allclose(volume.grid.affine, affine, atol=1e-9)
        mask = write_labels(tmp_path / f"mask{suffix}", labels, volume.grid, sources=[source])
        image, written = sitk.ReadImage(str(source)), sitk.ReadImage(str(mask))
        for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            np.testing.assert_allclose(
                getattr(written, name)(), getattr(image, name)(), rtol=1e-14, atol=1e-14
            )
        assert written.GetPixelIDTypeAsString() == "8-bit unsigned integer"
        np.testing.assert_array_equal(sitk.GetArrayFromImage(written).T, labels)
        np.testing.assert_array_equal(read_labels(mask, volume.grid), labels)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_metaimage_and_nrrd_keep_their_numbers_exactly(tmp_path, scan, labels, suffix):
    affine = oriented_affine(ORIENTATIONS[9], spacing=(0.78125, 0.5, 6.5), origin=(-99.5, 1, 2))
    source = save_itk(tmp_path / f"scan{suffix}", scan, affine)
    mask = write_labels(tmp_path / f"mask{suffix}", labels, read_volume(source).grid)
    image, written = sitk.ReadImage(str(source)), sitk.ReadImage(str(mask))
    assert written.GetSpacing() == image.GetSpacing()
    assert written.GetOrigin() == image.GetOrigin()
    assert written.GetDirection() == image.GetDirection()


@pytest.mark.parametrize("first", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("second", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_mask_in_another_format_lies_in_the_same_place(tmp_path, scan, labels, first, second):
    for orientation in ORIENTATIONS[::5]:
        affine = oblique_affine(orientation)
        save = save_nifti if first == ".nii.gz" else save_itk
        source = save(tmp_path / f"scan{first}", scan, affine)
        volume = read_volume(source)
        mask = write_labels(tmp_path / f"mask{second}", labels, volume.grid)
        assert_same_place(mask, sitk.ReadImage(str(source)))
        assert_same_place(source, sitk.ReadImage(str(mask)))
        np.testing.assert_array_equal(read_labels(mask, volume.grid), labels)


def test_a_new_nifti_header_has_both_forms_and_units(tmp_path, scan, labels):
    source = save_itk(tmp_path / "scan.nrrd", scan, oblique_affine(ORIENTATIONS[40]))
    mask = nib.load(write_labels(tmp_path / "mask.nii.gz", labels, read_volume(source).grid))
    assert mask.header["qform_code"] == mask.header["sform_code"] == 1
    np.testing.assert_allclose(mask.get_qform(), mask.get_sform(), atol=1e-4)
    assert mask.header.get_xyzt_units()[0] == "mm"
    assert mask.header["intent_code"] == 1002


def test_right_anterior_superior_nrrd(tmp_path):
    """NRRD may name another space than ITK's own."""
    path = tmp_path / "ras.nrrd"
    header = (
        "NRRD0004\ntype: uchar\ndimension: 3\nspace: right-anterior-superior\nsizes: 2 3 4\n"
        "space directions: (2,0,0) (0,3,0) (0,0,4)\nkinds: domain domain domain\n"
        "encoding: raw\nspace origin: (10,20,30)\n\n"
    )
    path.write_bytes(header.encode() + bytes(range(24)))
    volume = read_volume(path)
    expected = np.diag([2.0, 3.0, 4.0, 1.0])
    expected[:3, 3] = (10, 20, 30)
    np.testing.assert_allclose(volume.grid.affine, expected)
    assert volume.array[1, 2, 3] == 23
    assert volume.array[1, 0, 0] == 1


@pytest.mark.parametrize("header_suffix", [".nhdr", ".mhd"])
def test_headers_with_the_voxels_in_another_file_are_read(tmp_path, scan, header_suffix):
    volume = read_volume(save_itk(tmp_path / f"scan{header_suffix}", scan, np.eye(4)))
    np.testing.assert_array_equal(volume.array, scan)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_time_vectors_and_colour(tmp_path, suffix):
    rng = np.random.default_rng(3)
    over_time = rng.integers(0, 99, (5, 6, 7, 3)).astype(np.int16)
    joined = sitk.JoinSeries(
        [sitk.GetImageFromArray(np.ascontiguousarray(over_time[..., t].T)) for t in range(3)]
    )
    sitk.WriteImage(joined, str(tmp_path / f"time{suffix}"))
    vectors = sitk.GetImageFromArray(over_time.transpose(2, 1, 0, 3).copy(), isVector=True)
    sitk.WriteImage(vectors, str(tmp_path / f"vectors{suffix}"))
    for name in ("time", "vectors"):
        volume = read_volume(tmp_path / f"{name}{suffix}")
        assert not volume.rgb
        assert volume.grid.shape == (5, 6, 7)
        np.testing.assert_array_equal(volume.array, over_time)
        mask = write_labels(tmp_path / f"mask{suffix}", np.ones((5, 6, 7), bool), volume.grid)
        assert read_labels(mask, volume.grid).sum() == 210
        with pytest.raises(InputFileError, match="3 time steps"):
            read_labels(tmp_path / f"{name}{suffix}", volume.grid)
    for channels in (3, 4):
        colour = rng.integers(0, 255, (7, 6, 5, channels), dtype=np.uint8)
        image = sitk.GetImageFromArray(colour, isVector=True)
        sitk.WriteImage(image, str(tmp_path / f"colour{suffix}"))
        volume = read_volume(tmp_path / f"colour{suffix}")
        assert volume.rgb
        np.testing.assert_array_equal(volume.array, colour.transpose(2, 1, 0, 3)[..., :3])


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_two_dimensions_stay_two_in_the_file(tmp_path, suffix):
    image = sitk.GetImageFromArray(np.arange(12, dtype=np.int16).reshape(3, 4))
    image.SetSpacing((0.5, 2.0))
    image.SetOrigin((7.0, -3.0))
    source = tmp_path / f"slice{suffix}"
    sitk.WriteImage(image, str(source))
    volume = read_volume(source)
    assert volume.array.shape == volume.grid.shape == (4, 3, 1)
    assert volume.grid.spacing == (0.5, 2.0, 1.0)
    labels = np.arange(12).reshape(4, 3, 1)
    mask = write_labels(tmp_path / f"mask{suffix}", labels, volume.grid)
    written = sitk.ReadImage(str(mask))
    assert written.GetSize() == (4, 3)
    assert written.GetSpacing() == image.GetSpacing()
    assert written.GetOrigin() == image.GetOrigin()
    np.testing.assert_array_equal(read_labels(mask, volume.grid), labels)


def test_texts_of_the_scan_do_not_reach_the_mask(tmp_path, scan, labels):
    image = sitk.GetImageFromArray(scan.T.copy())
    image.SetMetaData("PatientName", "DOE JANE")
    source = tmp_path / "scan.nrrd"
    sitk.WriteImage(image, str(source))
    assert b"DOE" in source.read_bytes()
    mask = write_labels(tmp_path / "mask.nrrd", labels, read_volume(source).grid)
    assert b"DOE" not in mask.read_bytes()


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.4, 0.99])
def test_a_truncated_file_is_one_clear_sentence(tmp_path, suffix, compressed, share):
    values = np.random.default_rng(0).integers(0, 1000, (20, 20, 20)).astype(np.int16)
    path = tmp_path / f"scan{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(values), str(path), compressed)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(InputFileError, match="truncated") as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd"])
def test_not_an_image(tmp_path, suffix):
    path = tmp_path / f"scan{suffix}"
    path.write_bytes(b"something else entirely\n" * 20)
    with pytest.raises(InputFileError, match="cannot be read as"):
        read_volume(path)


def test_empty_and_complex(tmp_path):
    path = tmp_path / "empty.nrrd"
    path.write_bytes(b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 0 4\nencoding: raw\n\n")
    with pytest.raises(InputFileError):
        read_volume(path)
    image = sitk.GetImageFromArray(np.ones((2, 3, 4), np.complex64))
    sitk.WriteImage(image, str(tmp_path / "complex.nrrd"))
    with pytest.raises(InputFileError, match="complex"):
        read_volume(tmp_path / "complex.nrrd")
