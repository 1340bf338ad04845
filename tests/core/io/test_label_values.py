"""What tells a label map from a scan."""

import nibabel as nib
import numpy as np
import pytest

from icmoe_core.errors import InputFileError, OutputFileError
from icmoe_core.io import (
    existing_labels,
    read_label_volume,
    read_labels,
    read_volume,
    write_labels,
)
from icmoe_core.io.label_values import looks_like_labels
from icmoe_core.samples import SAMPLES


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("bits", [8, 16])
def test_sample_scans_and_their_labels_are_told_apart(name, bits):
    scan = read_volume(SAMPLES[name].image).array
    if bits == 8:
        low, high = np.percentile(scan, (0.5, 99.5))
        scan = (np.clip((scan - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    labels = read_volume(SAMPLES[name].labels).array
    for turn in ((0, 1, 2), (2, 0, 1)):
        assert not looks_like_labels(scan.transpose(turn))
        assert looks_like_labels(labels.transpose(turn))


def test_instances_may_be_numbered_anew_on_each_slice_and_be_single_pixels():
    tiles = np.arange(36).reshape(6, 6).repeat(5, 0).repeat(5, 1)
    assert looks_like_labels(np.stack([tiles + 40 * place for place in range(8)], axis=1))
    dots = np.zeros((40, 40), np.uint16)
    dots[::2, ::2] = np.arange(1, 401).reshape(20, 20)
    assert looks_like_labels(dots)
    assert not looks_like_labels(tiles.astype(float))
    assert not looks_like_labels(tiles - 1)


def test_a_scan_is_neither_read_as_labels_nor_added_to():
    path = SAMPLES["brain1"].image
    grid = read_volume(path).grid
    said = r"brain1_image\.nrrd looks like a scan .* \(2413 different values on 25 slices\): "
    for read in (lambda: read_labels(path, grid), lambda: read_label_volume(path)):
        with pytest.raises(InputFileError, match=f"{said}choose a mask"):
            read()
    with pytest.raises(OutputFileError, match=f"{said}give another name"):
        existing_labels(path, grid)


def test_a_scan_with_the_name_of_a_mask_is_none_and_a_file_that_says_so_is(tmp_path):
    noise = np.random.default_rng(0).integers(0, 1000, (20, 20, 6))
    path = tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image(noise.astype(np.int16), np.eye(4)), path)
    assert not read_volume(path).is_labels
    grid = read_volume(path).grid
    written = write_labels(tmp_path / "own.nii.gz", noise, grid)
    np.testing.assert_array_equal(read_labels(written, grid), noise)
