import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_files import ORIENTATIONS, oblique_affine, oriented_affine, save_nifti

from icmoe_core.errors import InputFileError
from icmoe_core.io import read_labels, read_volume, write_labels

GEOMETRY = (
    "pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x",
    "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z", "xyzt_units", "dim_info",
)  # fmt: skip


def stored_header(path: Path):
    """The header as it lies in the file, without nibabel's repairs."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file:
        start = file.read(540)
    nifti2 = 540 in (int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big"))
    kind, size = (nib.Nifti2Header, 540) if nifti2 else (nib.Nifti1Header, 348)
    return kind(start[:size], check=False)


def assert_same_geometry(mask: Path, scan: Path, *, pixdim: slice = slice(None)):
    written, original = stored_header(mask), stored_header(scan)
    for field in GEOMETRY:
        first, second = written[field], original[field]
        if field == "pixdim":
            first, second = first[pixdim], second[pixdim]
        assert first.tobytes() == second.tobytes(), field


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("make", [oriented_affine, oblique_affine])
def test_every_orientation_comes_back_bit_for_bit(tmp_path, scan, labels, make, suffix):
    for orientation in ORIENTATIONS:
        affine = make(orientation)
        source = save_nifti(tmp_path / f"scan{suffix}", scan, affine, xyzt_units=10)
        volume = read_volume(source)
        np.testing.assert_array_equal(volume.array, scan)
        np.testing.assert_array_equal(volume.grid.affine, nib.load(source).affine)
        mask = write_labels(tmp_path / f"mask{suffix}", labels, volume.grid, sources=[source])
        assert_same_geometry(mask, source)
        written = nib.load(mask)
        np.testing.assert_array_equal(written.affine, nib.load(source).affine)
        np.testing.assert_array_equal(np.asanyarray(written.dataobj), labels)
        np.testing.assert_array_equal(read_labels(mask, volume.grid), labels)


@pytest.mark.parametrize("codes", [(0, 0), (1, 0), (0, 2), (1, 1), (4, 2), (3, 5)])
@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("kind", ["Nifti1", "Nifti2"])
def test_forms_and_their_codes_are_kept(tmp_path, scan, labels, codes, endian, kind):
    """The two forms differ here, and the one with code 0 keeps its numbers too."""
    header = getattr(nib, f"{kind}Header")(endianness=endian)
    header.set_data_dtype(np.int16)
    header.set_data_shape(scan.shape)
    header.set_zooms((0.7, 0.9, 3.0))
    header.set_qform(oblique_affine(ORIENTATIONS[5]), code=1)
    header.set_sform(oriented_affine(ORIENTATIONS[22], origin=(1, 2, 3)), code=1)
    header["qform_code"], header["sform_code"] = codes
    source = tmp_path / "scan.nii.gz"
    nib.save(getattr(nib, f"{kind}Image")(scan, None, header), source)
    volume = read_volume(source)
    mask = write_labels(tmp_path / "mask.nii.gz", labels, volume.grid)
    assert_same_geometry(mask, source)
    assert stored_header(mask)["sizeof_hdr"] == stored_header(source)["sizeof_hdr"]
    assert stored_header(mask).endianness == header.endianness
    np.testing.assert_array_equal(read_labels(mask, volume.grid), labels)


@settings(max_examples=40, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-3, 3)] * 3),
    spacing=st.tuples(*[st.floats(0.05, 20)] * 3),
    origin=st.tuples(*[st.floats(-2000, 2000)] * 3),
    orientation=st.sampled_from(ORIENTATIONS),
)
def test_any_affine_comes_back(tmp_path_factory, angles, spacing, origin, orientation):
    folder = tmp_path_factory.mktemp("any")
    affine = oblique_affine(orientation, angles, spacing=spacing, origin=origin)
    source = save_nifti(folder / "scan.nii", np.ones((3, 2, 4), np.uint8), affine)
    volume = read_volume(source)
    mask = write_labels(folder / "mask.nii", np.ones((3, 2, 4), bool), volume.grid)
    assert_same_geometry(mask, source)
    assert read_labels(mask, volume.grid).sum() == 24


@pytest.mark.parametrize("qfac", [0.0, 1.0, -1.0])
def test_a_header_that_nibabel_would_repair_is_left_alone(tmp_path, scan, labels, qfac):
    source = save_nifti(tmp_path / "scan.nii", scan, np.eye(4))
    raw = bytearray(source.read_bytes())
    raw[76:80] = np.float32(qfac).tobytes()  # pixdim[0]
    source.write_bytes(raw)
    mask = write_labels(tmp_path / "mask.nii", labels, read_volume(source).grid)
    assert_same_geometry(mask, source)


def test_mask_header_says_what_the_mask_is_and_nothing_of_the_patient(tmp_path, scan, labels):
    source = save_nifti(
        tmp_path / "scan.nii.gz", scan, np.eye(4), descrip=b"DOE JANE 1950", aux_file=b"jane.txt",
        db_name=b"doe", intent_name=b"jane", cal_min=-100, cal_max=300, scl_slope=2, scl_inter=-7,
    )  # fmt: skip
    image = nib.load(source)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"DOE JANE"))
    nib.save(image, source)
    mask = write_labels(tmp_path / "mask.nii.gz", labels, read_volume(source).grid)
    with gzip.open(mask) as file:
        content = file.read().lower()
    assert b"doe" not in content
    assert b"jane" not in content
    header = stored_header(mask)
    assert header["intent_code"] == 1002
    assert header["cal_min"] == header["cal_max"] == 0
    assert header.get_data_dtype() == np.uint8
    assert nib.load(mask).dataobj.slope == 1
    assert nib.load(mask).dataobj.inter == 0
    assert read_volume(mask).is_labels


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.int64, np.uint64])
def test_integers_without_scaling_stay_as_they_are(tmp_path, dtype):
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    volume = read_volume(save_nifti(tmp_path / "scan.nii", values, np.eye(4)))
    assert volume.array.dtype == dtype
    assert volume.array.dtype.isnative
    np.testing.assert_array_equal(volume.array, values)


def test_scaled_integers_become_float32(tmp_path, scan):
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    image = nib.Nifti1Image(scan * 0.25 - 3, np.eye(4), header)
    nib.save(image, tmp_path / "scan.nii.gz")
    volume = read_volume(tmp_path / "scan.nii.gz")
    assert volume.array.dtype == np.float32
    expected = nib.load(tmp_path / "scan.nii.gz").get_fdata()
    np.testing.assert_array_equal(volume.array, expected.astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_become_float32(tmp_path, scan, dtype):
    volume = read_volume(save_nifti(tmp_path / "scan.nii", scan.astype(dtype) / 3, np.eye(4)))
    assert volume.array.dtype == np.float32
    np.testing.assert_allclose(volume.array, scan / 3, rtol=1e-6)


@pytest.mark.parametrize("channels", ["RGB", "RGBA"])
def test_colour_is_recognised_and_alpha_dropped(tmp_path, channels):
    colours = np.random.default_rng(2).integers(0, 256, (4, 5, 6, len(channels)), dtype=np.uint8)
    dtype = np.dtype([(channel, "u1") for channel in channels])
    stored = np.ascontiguousarray(colours).view(dtype)[..., 0]
    source = tmp_path / "colour.nii.gz"
    nib.save(nib.Nifti1Image(stored, oriented_affine(ORIENTATIONS[3])), source)
    volume = read_volume(source)
    assert volume.rgb
    assert not volume.is_labels
    assert volume.grid.shape == (4, 5, 6)
    np.testing.assert_array_equal(volume.array, colours[..., :3])
    mask = write_labels(tmp_path / "mask.nii.gz", np.ones((4, 5, 6), bool), volume.grid)
    assert_same_geometry(mask, source)
    assert nib.load(mask).get_data_dtype() == np.uint8


def test_a_mask_of_a_scan_over_time_has_no_time(tmp_path):
    values = np.arange(5 * 6 * 7 * 3, dtype=np.int16).reshape(5, 6, 7, 3)
    source = save_nifti(tmp_path / "scan.nii.gz", values, oblique_affine(ORIENTATIONS[30]))
    image = nib.load(source)
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = 2.5
    nib.save(image, source)
    volume = read_volume(source)
    assert volume.array.shape == (5, 6, 7, 3)
    assert volume.grid.shape == (5, 6, 7)
    mask = write_labels(tmp_path / "mask.nii.gz", np.ones((5, 6, 7), bool), volume.grid)
    assert_same_geometry(mask, source, pixdim=slice(4))
    assert nib.load(mask).shape == (5, 6, 7)


@pytest.mark.parametrize(
    ("stored", "read", "written"),
    [
        ((5, 6, 7, 1), (5, 6, 7), (5, 6, 7)),
        ((5, 6, 7, 1, 1), (5, 6, 7), (5, 6, 7)),
        ((5, 6, 1, 4), (5, 6, 1, 4), (5, 6, 1)),
        ((5, 6, 1), (5, 6, 1), (5, 6, 1)),
        ((5, 6), (5, 6, 1), (5, 6)),
        ((1, 1, 1), (1, 1, 1), (1, 1, 1)),
    ],
)
def test_axes_of_one_voxel(tmp_path, stored, read, written):
    values = np.arange(np.prod(stored), dtype=np.int16).reshape(stored)
    source = save_nifti(tmp_path / "scan.nii", values, np.diag([2.0, 3.0, 4.0, 1.0]))
    volume = read_volume(source)
    assert volume.array.shape == read
    np.testing.assert_array_equal(volume.array.ravel(), values.ravel())
    labels = np.arange(np.prod(read[:3])).reshape(read[:3])
    mask = write_labels(tmp_path / "mask.nii", labels, volume.grid)
    assert nib.load(mask).shape == written
    assert_same_geometry(mask, source, pixdim=slice(1 + len(written)))
    np.testing.assert_array_equal(read_labels(mask, volume.grid), labels)


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1000.0), ("micron", 0.001), ("mm", 1.0)])
def test_the_affine_is_in_millimetres_and_the_units_stay(tmp_path, scan, labels, unit, factor):
    image = nib.Nifti1Image(scan, np.diag([2.0, 3.0, 4.0, 1.0]))
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "scan.nii")
    volume = read_volume(tmp_path / "scan.nii")
    np.testing.assert_allclose(volume.grid.spacing, np.array([2, 3, 4]) * factor)
    mask = write_labels(tmp_path / "mask.nii", labels, volume.grid)
    assert_same_geometry(mask, tmp_path / "scan.nii")
    np.testing.assert_array_equal(read_labels(mask, volume.grid), labels)


def test_a_broken_affine_is_replaced_with_a_notice_and_kept_in_the_mask(tmp_path, scan, labels):
    source = save_nifti(tmp_path / "scan.nii", scan, np.eye(4))
    image = nib.load(source)
    image.header["srow_x"] = np.nan
    image.header["pixdim"][1:4] = (2, 3, 4)
    nib.save(nib.Nifti1Image(scan, None, image.header), source)
    volume = read_volume(source)
    np.testing.assert_array_equal(volume.grid.affine, np.diag([2, 3, 4, 1]))
    assert "does not say where its voxels lie" in volume.notices[0]
    mask = write_labels(tmp_path / "mask.nii", labels, volume.grid)
    assert_same_geometry(mask, source)


def test_upper_case_names(tmp_path, scan, labels):
    source = save_nifti(tmp_path / "scan.nii.gz", scan, np.eye(4)).rename(tmp_path / "SCAN.NII.GZ")
    volume = read_volume(str(source))
    mask = write_labels(tmp_path / "MASK.NII.GZ", labels, volume.grid)
    assert mask.read_bytes()[:2] == b"\x1f\x8b"  # really compressed
    np.testing.assert_array_equal(read_labels(mask, volume.grid), labels)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_truncated_file_is_one_clear_sentence(tmp_path, suffix, share):
    values = np.random.default_rng(0).integers(0, 1000, (20, 20, 20)).astype(np.int16)
    source = save_nifti(tmp_path / f"scan{suffix}", values, np.eye(4))
    raw = source.read_bytes()
    source.write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(InputFileError, match="truncated") as caught:
        read_volume(source)
    assert "\n" not in str(caught.value)
    assert "scan.nii" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" * 100, b"\0" * 999])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_not_an_image(tmp_path, content, suffix):
    path = tmp_path / f"scan{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputFileError, match="cannot be read as NIfTI"):
        read_volume(path)


def test_a_damaged_stream_is_refused(tmp_path, scan):
    source = save_nifti(tmp_path / "scan.nii.gz", np.tile(scan, 9), np.eye(4))
    raw = bytearray(source.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 40] = bytes(40)
    source.write_bytes(raw)
    with pytest.raises(InputFileError, match="damaged"):
        read_volume(source)


def test_empty_volume(tmp_path):
    source = save_nifti(tmp_path / "scan.nii", np.zeros((4, 0, 3), np.int16), np.eye(4))
    with pytest.raises(InputFileError, match=r"holds no voxel, its shape is 4 . 0 . 3:"):
        read_volume(source)


def test_complex_and_too_many_axes_are_refused(tmp_path):
    source = save_nifti(tmp_path / "c.nii", np.ones((2, 2, 2), np.complex64), np.eye(4))
    with pytest.raises(InputFileError, match="complex"):
        read_volume(source)
    source = save_nifti(tmp_path / "v.nii", np.ones((2, 2, 2, 1, 3), np.float32), np.eye(4))
    with pytest.raises(InputFileError, match="5 axes"):
        read_volume(source)
