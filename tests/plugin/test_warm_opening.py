"""Scans that ``icmoe encode`` has been through open warm."""

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner
from napari.components import ViewerModel

from icmoe_core.cli import main
from icmoe_core.embeddings import EmbeddingStore
from icmoe_core.predictor import Predictor
from napari_icmoe.engine import Engine
from napari_icmoe.planes import displayed_plane
from napari_icmoe.questions import Scan
from napari_icmoe.readers import read_layers

RNG = np.random.default_rng(0)
COLUMNS = [  # R, A and S along the stored axes, in several orders and directions
    [[-2, 0, 0], [0, -2, 0], [0, 0, 3]],
    [[0, 0, -2], [2, 0, 0], [0, -3, 0]],
    [[0, 2, 0], [0, 0, -2], [3, 0, 0]],
]


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("shape", [(20, 24, 6), (12, 16, 5, 2)])
def test_what_was_encoded_ahead_is_ready_in_the_window(
    columns, shape, tiny_name, tiny_model, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    affine = np.eye(4)
    affine[:3, :3] = columns
    # Of a large volume, a window is chosen from some voxels only: they must be the same.
    monkeypatch.setattr("icmoe_core.windowing._finite_sample.__defaults__", (500,))
    path = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(RNG.gamma(2, 50, shape).astype(np.float32), affine), path)
    arguments = ["encode", str(path), "--model", tiny_name, "--device", "cpu"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output

    viewer = ViewerModel()
    ((data, settings, _),) = read_layers(str(path))
    image = viewer.add_image(data, **settings)
    window = Engine().window_of(Scan("uid", 0, image.data, image.rgb), "auto")
    predictor = Predictor(tiny_model, store=EmbeddingStore())
    slices = 0
    for step in np.ndindex(image.data.shape[:-2]):
        viewer.dims.set_current_step(range(len(step)), step)
        plane = displayed_plane(viewer, image)
        assert predictor.is_encoded(np.asarray(image.data[plane.index]), window)
        slices += 1
    assert predictor.store.usage().slices == slices
