"""Distances between outlines, against shapes whose distances are known."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from icmoe_core.metrics import hausdorff95, surface_dice


def square(low, high, size=40):
    mask = np.zeros((size, size), bool)
    mask[low:high, low:high] = True
    return mask


def outline_distances(a, b, spacing):
    """Distances in both directions, by distance transforms of the outlines."""
    a, b = np.pad(a, 1), np.pad(b, 1)  # beyond the slice is background
    a, b = a ^ ndimage.binary_erosion(a), b ^ ndimage.binary_erosion(b)
    return (
        ndimage.distance_transform_edt(~b, sampling=spacing)[a],
        ndimage.distance_transform_edt(~a, sampling=spacing)[b],
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 5), st.floats(0.2, 5), st.floats(0, 6))
def test_distances_are_those_of_distance_transforms(seed, rows, columns, tolerance):
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(2, 20, 24)), (0, 2, 2))
    a, b = noise > 0
    there, back = outline_distances(a, b, (rows, columns))
    expected = max(np.percentile(there, 95), np.percentile(back, 95))
    assert hausdorff95(a, b, (rows, columns)) == pytest.approx(expected, rel=1e-5)
    assert hausdorff95(b, a, (rows, columns)) == pytest.approx(expected, rel=1e-5)
    both = np.concatenate((there, back))
    if np.abs(both - tolerance).min() > 1e-4:
        share = surface_dice(a, b, (rows, columns), tolerance)
        assert share == pytest.approx(np.mean(both <= tolerance), rel=1e-5)


def test_the_spacing_belongs_to_its_axis():
    a = square(10, 20)
    assert hausdorff95(a, np.roll(a, 3, axis=0), (2.0, 1.0)) == pytest.approx(6)
    assert hausdorff95(a, np.roll(a, 3, axis=1), (2.0, 1.0)) == pytest.approx(3)
    volume = np.stack([np.zeros_like(a), a, a, a, np.zeros_like(a)])
    assert hausdorff95(volume, np.roll(volume, 1, axis=0), (5.0, 1.0, 1.0)) == pytest.approx(5)


def test_a_shift_within_the_tolerance_is_right():
    a = square(10, 30)
    b = np.roll(a, 1, axis=0)
    assert surface_dice(a, b, (2.0, 1.0), 2.0) == 1
    assert surface_dice(a, b, (2.0, 1.0), 1.9) < 0.8
    assert surface_dice(a, a, (3.0, 3.0), 0.0) == 1


def test_empty_masks():
    empty, full = np.zeros((9, 9), bool), np.ones((9, 9), bool)
    assert hausdorff95(empty, empty, (1, 1)) == 0
    assert hausdorff95(full, full, (1, 1)) == 0
    assert hausdorff95(empty, full, (1, 1)) == hausdorff95(full, empty, (1, 1)) == np.inf
    assert surface_dice(empty, empty, (1, 1), 2) == surface_dice(full, full, (1, 1), 2) == 1
    assert surface_dice(empty, full, (1, 1), 2) == surface_dice(full, empty, (1, 1), 2) == 0


def test_numbers_are_plain_and_nothing_is_warned_of():
    a = square(10, 20).astype(np.uint8) * 255
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert type(hausdorff95(a, a, (1, 1))) is float
        assert type(surface_dice(a, a, (1, 1), 2)) is float


@pytest.mark.parametrize("spacing", [(1,), (1, 1, 1), (0, 1), (-1, 1), (np.nan, 1)])
def test_spacings_that_are_none(spacing):
    a = square(10, 20)
    with pytest.raises(ValueError, match="2 positive numbers"):
        hausdorff95(a, a, spacing)
    with pytest.raises(ValueError, match="2 positive numbers"):
        surface_dice(a, a, spacing, 2)


def test_monai_and_torch_are_imported_only_for_a_distance():
    code = (
        "import sys, numpy as np; from icmoe_core.metrics import dice, hausdorff95;"
        "a = np.eye(3); dice(a, a); hausdorff95(a, 0 * a, (1, 1));"
        "assert not {'monai', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
