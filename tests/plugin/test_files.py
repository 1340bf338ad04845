"""Scans into napari and masks out of it: what is seen is upright, what is saved is in place."""

import nibabel as nib
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from npe2 import PluginManager

from icmoe_core.errors import GridError, OutputFileError
from icmoe_core.io import display_orientation, read_labels, read_volume
from icmoe_core.samples import SAMPLES
from napari_icmoe.label_layers import make_target, mismatch
from napari_icmoe.readers import GRID_KEY, get_reader, read_layers
from napari_icmoe.writers import write_labels_layer

AXCODES = [
    (a, b, c)
    for a in "RLAPSI"
    for b in "RLAPSI"
    for c in "RLAPSI"
    if len({"RLAPSI".index(x) // 2 for x in (a, b, c)}) == 3
]


def write_scan(path, codes, shape=(5, 6, 7), zooms=(1.0, 2.0, 3.0), oblique=0.0):
    """A NIfTI scan with the given axis codes; its values count the voxels."""
    ornt = nib.orientations.axcodes2ornt(codes)
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, (world, sign) in enumerate(ornt):
        affine[int(world), axis] = sign * zooms[axis]
    affine[:3, 3] = (10, -20, 30)
    if oblique:
        cos, sin = np.cos(oblique), np.sin(oblique)
        affine = (
            np.array([[cos, -sin, 0, 0], [sin, cos, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]) @ affine
        )
    data = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    nib.save(nib.Nifti1Image(data, affine), path)
    return affine


def as_layer(path):
    (data, arguments, kind), *_ = read_layers(str(path))
    assert kind == "image"
    return Image(data, **arguments)


@pytest.mark.parametrize("codes", AXCODES, ids="".join)
def test_every_orientation_is_upright_and_saved_back_in_place(tmp_path, codes):
    affine = write_scan(tmp_path / "scan.nii.gz", codes)
    layer = as_layer(tmp_path / "scan.nii.gz")
    stored = nib.load(tmp_path / "scan.nii.gz")

    # upright: along each display axis the patient coordinate runs to I, P and L
    for axis, (world, sign) in enumerate([(2, -1), (1, -1), (0, -1)]):
        step = np.zeros(3, int)
        step[axis] = 1
        values = layer.data[0, 0, 0], layer.data[tuple(step)]
        places = [
            affine[:3, :3] @ np.argwhere(np.asarray(stored.dataobj) == value)[0] for value in values
        ]
        moved = places[1] - places[0]
        assert np.sign(moved[world]) == sign
        assert abs(moved[world]) == pytest.approx(layer.scale[axis])

    # one marked voxel comes out where it was marked
    target = make_target(layer, instances=False)
    assert mismatch(layer, target) is None
    target.data[1, 2, 3] = 1
    marked = layer.data[1, 2, 3]
    _, attributes, _ = target.as_layer_data_tuple()
    write_labels_layer(str(tmp_path / "mask.nii.gz"), target.data, attributes)
    mask = nib.load(tmp_path / "mask.nii.gz")
    assert np.asarray(stored.dataobj)[np.asarray(mask.dataobj) == 1].tolist() == [marked]
    np.testing.assert_array_equal(mask.affine, stored.affine)


@pytest.mark.parametrize(
    ("spacing", "shift"), [((0.78125, 0.78125, 6.5), -107.3), ((0.6640625, 0.66, 2.1), 33.1)]
)
def test_every_slice_can_be_reached_with_its_slider(tmp_path, spacing, shift):
    tilt = nib.eulerangles.euler2mat(0.2, -0.1, 0.3)  # lengths of its columns are rounded
    affine = nib.affines.from_matvec(tilt * spacing, (shift, -91.7, 41.9))
    path = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((45, 120, 25), np.int16), affine), path)
    paths = [path, *(sample.image for sample in SAMPLES.values())]
    for (data, arguments, _), one in zip(
        read_layers([str(path) for path in paths]), paths, strict=True
    ):
        viewer = ViewerModel()
        viewer.add_image(data, **arguments)
        assert viewer.dims.nsteps == data.shape, one.name
        grid = arguments["metadata"][GRID_KEY]
        np.testing.assert_array_equal(grid.affine, read_volume(one).grid.affine)
        np.testing.assert_allclose(arguments["scale"], display_orientation(grid).spacing, rtol=1e-7)


def test_an_oblique_scan_is_shown_along_its_own_axes_and_saved_where_it_lay(tmp_path):
    affine = write_scan(tmp_path / "scan.nii.gz", "RAS", oblique=0.3)
    layer = as_layer(tmp_path / "scan.nii.gz")
    np.testing.assert_allclose(layer.scale, (3, 2, 1))
    np.testing.assert_array_equal(np.asarray(layer.rotate), np.eye(3))
    target = make_target(layer, instances=False)
    target.data[:] = 2
    _, attributes, _ = target.as_layer_data_tuple()
    write_labels_layer(str(tmp_path / "mask.nii.gz"), target.data, attributes)
    np.testing.assert_allclose(nib.load(tmp_path / "mask.nii.gz").affine, affine, atol=1e-5)


def test_a_saved_mask_opens_as_labels(tmp_path):
    write_scan(tmp_path / "scan.nii.gz", "LPS")
    layer = as_layer(tmp_path / "scan.nii.gz")
    target = make_target(layer, instances=False)
    target.data[2:4, 1:3, 1] = 5
    _, attributes, _ = target.as_layer_data_tuple()
    write_labels_layer(str(tmp_path / "result.nii.gz"), target.data, attributes)
    (data, arguments, kind), *_ = read_layers(str(tmp_path / "result.nii.gz"))
    assert kind == "labels"
    np.testing.assert_array_equal(data, target.data)
    assert mismatch(layer, Labels(data, **arguments)) is None


def test_the_scan_is_never_written_over(tmp_path):
    write_scan(tmp_path / "scan.nii.gz", "RAS")
    before = (tmp_path / "scan.nii.gz").read_bytes()
    layer = as_layer(tmp_path / "scan.nii.gz")
    _, attributes, _ = make_target(layer, instances=False).as_layer_data_tuple()
    with pytest.raises(OutputFileError, match="the image itself"):
        write_labels_layer(str(tmp_path / "scan.nii.gz"), np.zeros((7, 6, 5), int), attributes)
    assert (tmp_path / "scan.nii.gz").read_bytes() == before


def test_a_mask_of_another_shape_is_refused(tmp_path):
    write_scan(tmp_path / "scan.nii.gz", "RAS")
    layer = as_layer(tmp_path / "scan.nii.gz")
    metadata = {"metadata": {GRID_KEY: layer.metadata[GRID_KEY]}}
    with pytest.raises(GridError, match="shape"):
        write_labels_layer(str(tmp_path / "mask.nii.gz"), np.zeros((2, 2, 2), int), metadata)
    assert not (tmp_path / "mask.nii.gz").exists()


def test_a_mask_on_another_grid_is_named(tmp_path):
    write_scan(tmp_path / "scan.nii.gz", "RAS")
    layer = as_layer(tmp_path / "scan.nii.gz")
    assert "shape" in mismatch(layer, Labels(np.zeros((2, 3, 4), int)))
    assert "grid" in mismatch(layer, Labels(np.zeros((7, 6, 5), int)))


def test_a_layer_without_a_grid_is_saved_by_its_scale(tmp_path):
    data = np.zeros((4, 5, 6), np.uint16)
    data[1, 2, 3] = 9
    attributes = {"scale": (3.0, 2.0, 1.0), "translate": (0.0, 0.0, 0.0), "metadata": {}}
    write_labels_layer(str(tmp_path / "mask.nii.gz"), data, attributes)
    mask = nib.load(tmp_path / "mask.nii.gz")
    assert mask.header.get_zooms() == (1, 2, 3)
    assert np.asarray(mask.dataobj)[3, 2, 1] == 9


def test_a_picture_is_saved_as_a_picture(tmp_path):
    data = np.zeros((5, 6), np.uint16)
    data[1, 2] = 300
    write_labels_layer(str(tmp_path / "mask.png"), data, {"metadata": {}})
    volume = read_volume(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "mask.png", volume.grid), data)


def test_folders_are_left_to_others_unless_they_hold_dicom(tmp_path):
    (tmp_path / "notes.txt").write_text("no scan here")
    assert get_reader(str(tmp_path)) is None
    assert get_reader(str(tmp_path / "scan.nii.gz")) is not None


@pytest.mark.parametrize("name", ["brain", "abdomen"])
def test_samples_open_through_the_manifest(name):
    manager = PluginManager.instance()
    manager.discover()
    contribution = dict(manager.iter_sample_data())["napari-icmoe"]
    opened = {sample.key: sample for sample in contribution}[name].open()
    data, arguments, kind = opened[0]
    assert kind == "image"
    assert data.ndim == 3
    assert (
        arguments["metadata"][GRID_KEY].shape
        == read_volume(SAMPLES["brain1" if name == "brain" else "mr_abdomen"].image).grid.shape
    )


def test_a_time_series_of_masks_is_saved_with_its_times(tmp_path):
    series = np.arange(4 * 5 * 6 * 2, dtype=np.int16).reshape(4, 5, 6, 2)
    affine = np.diag([2.0, 3, 4, 1])
    image = nib.Nifti1Image(series, affine)
    image.header.set_zooms((2, 3, 4, 0.5))
    nib.save(image, tmp_path / "series.nii.gz")
    layer = as_layer(tmp_path / "series.nii.gz")
    assert layer.data.shape[0] == 2
    target = make_target(layer, instances=False)
    target.data[1, 0, 2, 3] = 7
    _, attributes, _ = target.as_layer_data_tuple()
    write_labels_layer(str(tmp_path / "mask.nii.gz"), target.data, attributes)
    mask = nib.load(tmp_path / "mask.nii.gz")
    assert mask.shape == series.shape
    assert mask.header.get_zooms() == (2, 3, 4, 0.5)
    marked = layer.data[1, 0, 2, 3]
    assert series[np.asarray(mask.dataobj) == 7].tolist() == [marked]
    with pytest.raises(GridError, match=r"\.nii\.gz"):
        write_labels_layer(str(tmp_path / "mask.nrrd"), target.data, attributes)


def test_label_maps_of_floats_open_as_labels(tmp_path):
    data = np.zeros((4, 5, 6), np.float32)
    data[1:3, 2:4] = 7
    image = nib.Nifti1Image(data, np.eye(4))
    image.header.set_intent(1002)
    nib.save(image, tmp_path / "labels.nii.gz")
    (layer, _, kind), *_ = read_layers(str(tmp_path / "labels.nii.gz"))
    assert kind == "labels"
    assert np.issubdtype(layer.dtype, np.integer)
    assert set(np.unique(layer)) == {0, 7}


def test_folders_are_read_where_dicom_may_be(tmp_path):
    assert get_reader(str(tmp_path)) is None
    (tmp_path / "notes.txt").write_text("none")
    assert get_reader(str(tmp_path)) is None
    below = tmp_path / "series"
    below.mkdir()
    (below / "1.dcm").write_bytes(b"no preamble")
    assert get_reader(str(tmp_path)) is not None
