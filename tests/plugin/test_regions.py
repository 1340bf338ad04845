"""Regions of large planes: which one, what is read of it, and its outline at full resolution."""

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from icmoe_core.ahead.shown_slices import LARGE
from napari_icmoe.crops import cropped
from napari_icmoe.planes import Plane
from napari_icmoe.region_masks import mask_in_plane
from napari_icmoe.region_pixels import read_region
from napari_icmoe.regions import CELL, CELLS, LEAST, Region, region_around, region_of_prompt
from napari_icmoe.state import Box, Click, core_prompts

SHAPE = (8192, 8192)
FLAT = Plane((None, None))


def disc(shape, centre, radius):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


def test_planes_of_usual_size_have_no_region():
    for shape in ((512, 512), (LARGE, LARGE)):
        assert region_of_prompt((5, 5, 9, 9), shape, seen=(0, 0, 512, 512)) is None
    assert region_of_prompt((5, 5, 9, 9), (LARGE + 1, 20), seen=(0, 0, 512, 20)) is not None


sides = st.floats(-2000, 10_000)


@given(sides, sides, st.floats(1, 12_000), st.floats(1, 12_000))
def test_a_region_holds_what_is_seen_of_the_plane_and_is_read_at_the_resolution_needed(
    top, left, high, wide
):
    shape = (8192, 5000)
    region = region_around((top, left, top + high, left + wide), shape)
    seen = max(top, 0), max(left, 0), min(top + high, shape[0]), min(left + wide, shape[1])
    if seen[0] <= seen[2] and seen[1] <= seen[3]:
        assert region.holds(seen)
    r0, c0, r1, c1 = region.rectangle
    assert 0 <= r0 < r1 <= shape[0]
    assert 0 <= c0 < c1 <= shape[1]
    assert max(region.shape) <= (CELLS + 1) * CELL
    assert region.step == 1 or max(region.shape) > CELLS * CELL // 2
    assert max(region.rows, region.columns) >= LEAST
    assert region.row % region.step == region.column % region.step == 0


def test_small_moves_of_the_view_find_the_region_encoded():
    regions = {region_around((1030 + d, 1030 + d, 2500 + d, 2800 + d), SHAPE) for d in range(16)}
    assert len(regions) == 1


def test_corrections_keep_the_region_and_it_grows_only_where_a_prompt_lies_outside():
    seen = (1000.0, 1000.0, 2500.0, 2900.0)
    first = region_of_prompt(Click(1500, 1500).extent, SHAPE, seen=seen)
    elsewhere = (0.0, 0.0, 8192.0, 8192.0)
    again = region_of_prompt(Click(1800, 2000).extent, SHAPE, seen=elsewhere, former=first)
    assert again == first
    outside = Click(1500, 4000).extent
    grown = region_of_prompt(outside, SHAPE, seen=elsewhere, former=first)
    assert grown.holds(first.rectangle)
    assert grown.holds(outside)


def test_a_box_has_room_around_it_whatever_is_seen():
    zoomed_in = (1500.0, 1500.0, 1600.0, 1600.0)
    box = Box(1000, 1000, 3000, 2500)
    region = region_of_prompt(box.extent, SHAPE, seen=zoomed_in)
    assert region.holds((500, 500, 3500, 3000))
    small = Box(4000, 4000, 4100, 4080)
    region = region_of_prompt(small.extent, SHAPE, seen=(0, 0, 8192, 8192))
    assert region.step == 1  # and not one of 8, where the model would see three pixels of it
    assert region.holds((3900, 3900, 4200, 4180))
    in_a_corner = Box(0, 0, 3000, 3000)
    assert region_of_prompt(in_a_corner.extent, SHAPE, seen=(0, 0, 8192, 8192)).rows == 8192


def test_prompts_are_told_in_pixels_of_the_picture():
    region = Region(1000, 2000, 800, 800, 4)
    prompts = core_prompts((Click(1001.5, 2005.5), Box(1000, 2000, 1400, 2800)), None, region)
    assert prompts.points == [(0.0, 1.0)]  # the middle of the first four rows
    assert prompts.boxes == [(0, 0, 100, 200)]
    tiny = core_prompts((Box(1008, 2008, 1009, 2010),), None, region).boxes[0]
    assert (tiny[2] - tiny[0], tiny[3] - tiny[1]) == (1, 1)


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_the_picture_is_the_mean_of_what_it_covers(channels, dtype):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 200, (700, 900, *channels)).astype(dtype)
    region = Region(64, 128, 512, 640, 4)
    picture = read_region([image], FLAT, region)
    part = image[64:576, 128:768].astype(np.float64)
    expected = part.reshape(128, 4, 160, 4, *channels).mean(axis=(1, 3))
    assert picture.dtype == dtype
    assert picture.shape == (*region.shape, *channels)
    np.testing.assert_allclose(picture, expected, atol=0.51 if dtype != np.float32 else 1e-4)


class Counted:
    """An array that notes how much is read of it."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.read = array, array.shape, array.dtype, 0

    def __getitem__(self, index):
        part = self.array[index]
        self.read += part.size
        return part


def test_lazy_arrays_and_bands_give_the_same_picture_and_only_the_region_is_read(monkeypatch):
    rng = np.random.default_rng(0)
    volume = rng.integers(0, 4000, (3, 1700, 1600)).astype(np.uint16)
    plane, region = Plane((1, None, None)), Region(512, 256, 1188, 1000, 2)
    expected = read_region([volume], plane, region)
    lazy = da.from_array(volume, chunks=(1, 300, 500))
    stored = zarr.array(volume, chunks=(1, 256, 256))
    for array in (lazy, stored):
        np.testing.assert_array_equal(read_region([array], plane, region), expected)
    monkeypatch.setattr("napari_icmoe.region_pixels.BAND", 10_000)
    monkeypatch.setattr("napari_icmoe.region_pixels.PART", 3_000)
    counted = Counted(volume)
    np.testing.assert_array_equal(read_region([counted], plane, region), expected)
    assert counted.read == region.rows * region.columns


def test_of_several_resolutions_the_coarsest_that_is_fine_enough_is_read():
    rows, columns = np.mgrid[:2050, :1999]
    full = (rows + 2 * columns).astype(np.float32)
    levels = [Counted(full[::ratio, ::ratio]) for ratio in (1, 2, 4, 8)]
    for step, used in ((1, 0), (2, 1), (4, 2), (16, 3)):
        for level in levels:
            level.read = 0
        region = Region(512, 256, 1024, 1600, step)
        picture = read_region(levels, FLAT, region)
        assert [level.read > 0 for level in levels] == [i == used for i in range(4)]
        assert picture.shape == region.shape
        assert levels[used].read < 1.1 * region.rows * region.columns / min(step, 8) ** 2
        middles = 512 + (np.arange(region.shape[0]) + 0.5) * step - 0.5
        assert np.abs(picture[:, 0] - (middles + 2 * 256)).max() < 3 * max(step, 2)


def test_coarser_levels_cut_the_stack_where_the_plane_does():
    volume = np.broadcast_to(np.arange(8.0)[:, None, None], (8, 2000, 2000))
    levels = [volume, volume[::2, ::2, ::2]]
    picture = read_region(levels, Plane((5, None, None)), Region(0, 0, 2000, 2000, 2))
    assert (picture == 4).all()


@pytest.mark.parametrize("step", [1, 2, 8])
def test_an_outline_is_smooth_at_full_resolution(step):
    region = Region(1024, 2048, 1200, 1000, step)
    distance = np.hypot(*(np.ogrid[: region.shape[0], : region.shape[1]]))
    centre = np.array(region.shape) / 2
    rows, columns = np.ogrid[: region.shape[0], : region.shape[1]]
    distance = np.hypot(rows + 0.5 - centre[0], columns + 0.5 - centre[1]) * step
    probability = (1 / (1 + np.exp((distance - 300) / (4 * step)))).astype(np.float32)
    mask, corner = mask_in_plane(probability, region)
    true = disc((1200, 1000), (centre * step - 0.5), 300)
    true, where = cropped(true, (1024, 2048))
    found = np.zeros(SHAPE, bool)
    found[corner[0] : corner[0] + mask.shape[0], corner[1] : corner[1] + mask.shape[1]] = mask
    expected = np.zeros(SHAPE, bool)
    expected[where[0] : where[0] + true.shape[0], where[1] : where[1] + true.shape[1]] = true
    both, sizes = (found & expected).sum(), found.sum() + expected.sum()
    assert 2 * both / sizes > 0.998
    assert mask.any(axis=0).all()  # no empty border
    assert mask.any(axis=1).all()


def test_outlines_end_where_the_region_does_and_nothing_is_nothing():
    region = Region(0, 0, 1000, 1001, 8)
    mask, corner = mask_in_plane(np.ones(region.shape, np.float32), region)
    assert (mask.shape, corner) == ((1000, 1001), (0, 0))
    mask, _ = mask_in_plane(np.zeros(region.shape, np.float32), region)
    assert mask.size == 0


def test_clicked_pixels_end_on_the_side_that_was_clicked():
    region = Region(100, 200, 800, 800, 8)
    probability = np.zeros(region.shape, np.float32)
    probability[10, 10] = 0.51  # too little to be seen at full resolution, but where it is clicked
    mask, corner = mask_in_plane(probability, region, [(180, 280, True)])
    assert (mask.shape, corner) == ((1, 1), (180, 280))
    mask, corner = mask_in_plane(
        np.ones(region.shape, np.float32), region, [(300, 400, True), (300, 400, False)]
    )
    assert not mask[200, 200]
    assert mask.sum() == mask.size - 1
