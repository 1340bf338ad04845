import numpy as np
import pytest
import tifffile
from PIL import Image

from icmoe_core.errors import GridError, InputFileError, OutputFileError
from icmoe_core.io import add_to_labels, read_labels, read_volume, to_display, write_labels

GREY = np.random.default_rng(0).integers(0, 256, (11, 17), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (11, 17, 4), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_pictures_stay_rows_and_columns(tmp_path, suffix, dtype):
    values = GREY.astype(dtype) * (200 if dtype == np.uint16 else 1)
    Image.fromarray(values).save(tmp_path / f"grey{suffix}")
    volume = read_volume(tmp_path / f"grey{suffix}")
    assert volume.array.dtype == dtype
    assert volume.grid.shape == (11, 17)
    assert not volume.rgb
    np.testing.assert_array_equal(volume.array, values)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_colour_is_recognised_and_alpha_dropped(tmp_path, suffix, channels):
    Image.fromarray(COLOUR[..., :channels]).save(tmp_path / f"colour{suffix}")
    volume = read_volume(tmp_path / f"colour{suffix}")
    assert volume.rgb
    assert volume.grid.shape == (11, 17)
    np.testing.assert_array_equal(volume.array, COLOUR[..., :3])


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg(tmp_path, mode):
    Image.fromarray(COLOUR[..., :3]).convert(mode).save(tmp_path / "photo.JPG", format="JPEG")
    volume = read_volume(tmp_path / "photo.JPG")
    assert volume.rgb == (mode != "L")
    assert volume.array.shape[:2] == volume.grid.shape == (11, 17)


def test_grey_with_alpha_and_black_and_white(tmp_path):
    Image.fromarray(COLOUR[..., :2], mode=None).save(tmp_path / "la.png")
    np.testing.assert_array_equal(read_volume(tmp_path / "la.png").array, COLOUR[..., 0])
    bits = GREY > 128
    Image.fromarray(bits).save(tmp_path / "bits.png")
    tifffile.imwrite(tmp_path / "bits.tif", bits)
    for name in ("bits.png", "bits.tif"):
        volume = read_volume(tmp_path / name)
        np.testing.assert_array_equal(volume.array, bits * np.uint8(255))
        np.testing.assert_array_equal(read_labels(tmp_path / name, volume.grid), bits)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_palette_is_colour_in_a_picture_and_numbers_in_a_label_map(tmp_path, suffix):
    image = Image.fromarray(GREY % 3, mode=None).convert("P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.putdata((GREY % 3).ravel().tolist())
    image.save(tmp_path / f"palette{suffix}")
    volume = read_volume(tmp_path / f"palette{suffix}")
    assert volume.rgb
    np.testing.assert_array_equal(volume.array[GREY % 3 == 1][0], [255, 0, 0])
    np.testing.assert_array_equal(read_labels(tmp_path / f"palette{suffix}", volume.grid), GREY % 3)


@pytest.mark.parametrize("compression", [None, "zlib", "tiff_lzw"])
@pytest.mark.parametrize("colour", [False, True])
def test_pages_become_a_volume_x_first(tmp_path, compression, colour):
    pages = np.random.default_rng(2).integers(0, 256, (5, 11, 17), dtype=np.uint8)
    pages = np.repeat(pages[..., None], 3, axis=-1) if colour else pages
    path = tmp_path / "stack.tif"
    if compression == "tiff_lzw":  # tifffile cannot write it without a further package
        first, *rest = [Image.fromarray(page) for page in pages]
        first.save(path, save_all=True, append_images=rest, compression=compression)
    else:
        photometric = "rgb" if colour else "minisblack"
        tifffile.imwrite(path, pages, photometric=photometric, compression=compression)
    volume = read_volume(path)
    assert volume.rgb == colour
    assert volume.grid.shape == (17, 11, 5)
    np.testing.assert_array_equal(volume.array[3, 2, 1], pages[1, 2, 3])
    shown = to_display(volume.array, volume.grid.affine, rgb=colour)
    np.testing.assert_array_equal(shown, pages)  # as it was drawn
    labels = np.random.default_rng(3).choice([0, 1, 300, 399], (17, 11, 5))
    for name in ("mask.tif", "mask.nii.gz", "mask.nrrd"):
        mask = write_labels(tmp_path / name, labels, volume.grid, sources=[path])
        np.testing.assert_array_equal(read_labels(mask, volume.grid), labels)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "mask.tif")[1], labels[:, :, 1].T)


def test_planar_and_single_page_tiffs(tmp_path):
    planar = np.moveaxis(COLOUR[..., :3], -1, 0)
    tifffile.imwrite(tmp_path / "p.tif", planar, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_volume(tmp_path / "p.tif").array, COLOUR[..., :3])
    tifffile.imwrite(tmp_path / "one.tif", GREY[None], metadata={"axes": "ZYX"})
    assert read_volume(tmp_path / "one.tif").grid.shape == (11, 17)
    tifffile.imwrite(tmp_path / "float.tif", GREY.astype(np.float64) / 3)
    assert read_volume(tmp_path / "float.tif").array.dtype == np.float32


def test_more_axes_than_pages_are_refused(tmp_path):
    values = np.zeros((2, 3, 11, 17), np.uint8)
    tifffile.imwrite(tmp_path / "h.tif", values, imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(InputFileError, match="TZYX"):
        read_volume(tmp_path / "h.tif")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
@pytest.mark.parametrize("largest", [1, 255, 256, 65535])
def test_label_pictures_come_back(tmp_path, suffix, largest):
    Image.fromarray(COLOUR).save(tmp_path / "scan.png")
    grid = read_volume(tmp_path / "scan.png").grid
    labels = np.random.default_rng(4).choice([0, 1, largest], grid.shape)
    labels[0, 0] = largest
    mask = write_labels(tmp_path / f"mask{suffix}", labels, grid)
    read = read_labels(mask, grid)
    np.testing.assert_array_equal(read, labels)
    assert read.dtype == (np.uint8 if largest <= 255 else np.uint16)
    add_to_labels(mask, labels == largest, 300, grid)
    np.testing.assert_array_equal(read_labels(mask, grid), np.where(labels == largest, 300, labels))


def test_formats_that_do_not_fit(tmp_path, nifti_scan, labels):
    Image.fromarray(GREY).save(tmp_path / "scan.png")
    picture = read_volume(tmp_path / "scan.png").grid
    for name in ("mask.nii.gz", "mask.mha"):
        with pytest.raises(OutputFileError, match=r"of a picture .* ends in \.png, \.tif or"):
            write_labels(tmp_path / name, GREY, picture)
    scan = read_volume(nifti_scan).grid
    for name in ("mask.tif", "mask.png"):
        with pytest.raises(OutputFileError, match=r"ends in \.nii\.gz, \.nii, \.nrrd or \.mha"):
            write_labels(tmp_path / name, labels, scan)
    with pytest.raises(OutputFileError, match=r"as \.jpg files"):
        write_labels(tmp_path / "mask.jpg", GREY, picture)
    with pytest.raises(GridError, match=r"11 . 17 pixels,"):
        read_labels(tmp_path / "scan.png", scan)


def test_a_colour_picture_is_no_label_map(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "scan.png")
    grid = read_volume(tmp_path / "scan.png").grid
    with pytest.raises(InputFileError, match="colour picture"):
        read_labels(tmp_path / "scan.png", grid)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7])
def test_a_truncated_file_is_one_clear_sentence(tmp_path, suffix, share):
    path = tmp_path / f"scan{suffix}"
    Image.fromarray(np.tile(COLOUR[..., :3], (9, 9, 1))).save(path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(InputFileError, match="truncated") as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["scan.png", "scan.jpg", "lzw.tif"])
def test_a_large_picture_is_read_and_one_beyond_all_measure_is_told_apart(
    tmp_path, monkeypatch, recwarn, name
):
    compression = "tiff_lzw" if name == "lzw.tif" else None
    Image.fromarray(GREY).save(tmp_path / name, compression=compression)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", GREY.size - 1)
    assert read_volume(tmp_path / name).grid.shape == GREY.shape
    assert not [one for one in recwarn if "decompression bomb" in str(one.message)]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", GREY.size // 2 - 1)
    with pytest.raises(InputFileError, match=r"more than 0 million pixels, .*: save it as a TIFF"):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("suffix", [".png", ".jpeg", ".tiff"])
def test_not_a_picture(tmp_path, suffix):
    (tmp_path / f"scan{suffix}").write_text("plain text" * 50)
    with pytest.raises(InputFileError, match="cannot be read as"):
        read_volume(tmp_path / f"scan{suffix}")
