"""Fixtures for file tests."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scan_files import ORIENTATIONS, oblique_affine, save_nifti


@pytest.fixture
def scan() -> np.ndarray:
    """A scan of 5 × 6 × 7 different values, int16, below and above zero."""
    return np.random.default_rng(0).permutation(5 * 6 * 7).reshape(5, 6, 7).astype(np.int16) - 50


@pytest.fixture
def labels() -> np.ndarray:
    """Labels of 0 to 4 on the scan."""
    return np.random.default_rng(1).integers(0, 5, (5, 6, 7)).astype(np.uint8)


@pytest.fixture
def nifti_scan(tmp_path: Path, scan: np.ndarray) -> Path:
    return save_nifti(tmp_path / "scan.nii.gz", scan, oblique_affine(ORIENTATIONS[13]))


@pytest.fixture
def listing(tmp_path: Path) -> Callable[[], list[str]]:
    """What is in the folder now, so that a test sees whether a temporary file stayed."""
    return lambda: sorted(path.name for path in tmp_path.iterdir())
