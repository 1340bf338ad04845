import subprocess
import sys

import numpy as np
import pytest

from icmoe_core.io import read_labels, read_volume
from icmoe_core.samples import SAMPLES


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_there_with_labels_on_their_grid_and_licences(name):
    sample = SAMPLES[name]
    volume = read_volume(sample.image)
    labels = read_labels(sample.labels, volume.grid)
    assert labels.shape == volume.array.shape
    assert np.count_nonzero(labels == sample.label) > 1000
    assert read_volume(sample.labels).is_labels
    assert not volume.is_labels
    assert len(sample.licence_text.read_text()) > 1000
    provenance = sample.image.with_name("PROVENANCE.md").read_text()
    for path in (sample.image, sample.labels, sample.licence_text):
        assert path.name in provenance
    assert sample.licence in provenance


def test_files_need_no_torch():
    code = (
        "import sys, icmoe_core.io, icmoe_core.io.class_files, icmoe_core.samples;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
