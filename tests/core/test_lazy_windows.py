"""Windows of lazy scans: a few slices are read, of series of volumes too, and they tell enough."""

import dask.array as da
import numpy as np
import pytest

from icmoe_core import windowing
from icmoe_core.windowing import LAZY_SLICES, choose_window

RNG = np.random.default_rng(0)


@pytest.fixture
def lazy():
    """Returns an array as a lazy one, a slice a block, and the bytes that were read of it."""

    def make(array, axes=2):
        read = []

        def note(block):
            read.append(block.nbytes)
            return block

        cut = array.ndim - axes
        chunks = (1,) * cut + array.shape[cut:]
        whole = da.from_array(array, chunks=chunks).map_blocks(
            note, dtype=array.dtype, meta=np.empty((0,) * array.ndim, array.dtype)
        )
        return whole, read

    return make


def series(times, slices):
    """Volumes that grow brighter over time, and from end to end."""
    volumes = RNG.gamma(2, 50, (times, slices, 96, 96))
    volumes += np.linspace(0, 400, times)[:, None, None, None]
    volumes += np.linspace(0, 400, slices)[:, None, None]
    return volumes.astype(np.float32)


@pytest.mark.parametrize(("times", "slices"), [(3, 60), (15, 20), (40, 9)])
def test_of_a_series_some_slices_are_read(lazy, times, slices):
    array = series(times, slices)
    whole, read = lazy(array)
    window = choose_window(whole)
    assert sum(read) <= LAZY_SLICES * array[0, 0].nbytes
    expected = choose_window(array)
    width = expected.high - expected.low
    assert abs(window.low - expected.low) < 0.1 * width
    assert abs(window.high - expected.high) < 0.1 * width


def test_of_a_volume_slices_are_read_as_before(lazy):
    array = series(1, 130)[0]
    whole, read = lazy(array)
    window = choose_window(whole)
    assert len(read) == LAZY_SLICES
    places = np.linspace(0, 129, LAZY_SLICES).round().astype(int)
    step = int(np.ceil((array[0].size / (1_000_000 // LAZY_SLICES)) ** 0.5))
    assert window == choose_window(array[places, ::step, ::step])


def test_colour_is_no_axis_of_slices(lazy):
    array = RNG.integers(0, 4000, (40, 100, 110, 3)).astype(np.uint16)
    whole, read = lazy(array, axes=3)
    assert choose_window(whole, rgb=True).high > 3900
    assert len(read) == LAZY_SLICES


def test_a_number_is_found_wherever_it_is(lazy, monkeypatch):
    monkeypatch.setattr(windowing._finite_sample, "__defaults__", (500,))
    array = np.full((3, 20, 10, 10), np.nan, np.float32)
    array[1, 13, 4, 5] = 7
    whole, read = lazy(array)
    assert choose_window(whole).high == 7
    assert max(read) == array[0, 0].nbytes, "slice by slice"
