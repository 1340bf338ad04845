"""Portions: several slices together where that is quicker, and what is wrong with one of them."""

import numpy as np
import pytest
from slice_gate import noise

from icmoe_core.errors import DeviceMemoryError, ImageError, OvertakenError
from icmoe_core.runtimes import runtime
from napari_icmoe.ahead.portions import Portion, prepare
from napari_icmoe.ahead.stacks import stack_of
from napari_icmoe.engine import Engine
from napari_icmoe.planes import Plane
from napari_icmoe.questions import ModelChoice, Question, Scan
from napari_icmoe.state import Place


class Lazy:
    """A scan that is read slice by slice, one of which does not come."""

    def __init__(self, pixels, missing):
        self.pixels, self.missing, self.read = pixels, missing, []
        self.shape, self.ndim = pixels.shape, pixels.ndim
        self.size, self.dtype = pixels.size, pixels.dtype

    def __getitem__(self, index):
        self.read.append(index[0])
        if index[0] == self.missing:
            raise OSError("the disk is gone")
        return self.pixels[index]


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def portion(tiny_name):
    """Returns a portion of some slices of a scan, of which the third is displayed."""

    def make(data, positions, window="0,1", former=()):
        place = Place("scan", Plane((2, None, None)))
        question = Question(place, 0, (), ModelChoice(tiny_name, "cpu"), window)
        stack, _ = stack_of(question, data.shape)
        return Portion(stack, positions, question, Scan("scan", 0, data, rgb=False), dict(former))

    return make


@pytest.fixture
def together(monkeypatch):
    """As on a GPU."""
    monkeypatch.setattr(runtime, "batch_of", lambda backbone: 16)


def test_one_slice_at_a_time_on_a_cpu(engine, portion):
    prepared = prepare(engine, portion(noise(5, 40, 64), (2, 3, 1)))
    assert tuple(prepared.encoded) == (2,)
    assert prepared.skipped == ()
    assert prepared.seconds > 0


def test_several_together_equal_each_alone(engine, portion, together, monkeypatch):
    volume = noise(5, 40, 64)
    wanted = portion(volume, (2, 3, 1))
    batches = []
    predictor = engine.load(wanted.question.model)
    encode = predictor.model.encode
    monkeypatch.setattr(
        predictor.model, "encode", lambda images: batches.append(len(images)) or encode(images)
    )
    assert tuple(prepare(engine, wanted).encoded) == (2, 3, 1)
    assert batches == [3]
    window = engine.window_of(wanted.scan, "0,1")
    for position in wanted.positions:
        assert predictor.is_encoded(volume[position], window)
    assert not predictor.is_encoded(volume[0], window)


def test_what_cannot_be_encoded_does_not_keep_the_others(engine, portion, together):
    volume = noise(5, 40, 64)
    volume[3] = np.nan
    prepared = prepare(engine, portion(Lazy(volume, missing=1), (2, 3, 1, 4, 0)))
    assert tuple(prepared.encoded) == (2, 4, 0)
    assert prepared.skipped == (3, 1)


def test_nothing_can_be_read(engine, portion):
    prepared = prepare(engine, portion(Lazy(noise(5, 40, 64), missing=2), (2, 3)))
    assert prepared.encoded == {}
    assert prepared.skipped == (2,)


def test_the_displayed_slice_is_not_read_again_for_the_first_click(engine, portion, together):
    lazy = Lazy(noise(5, 40, 64), missing=None)
    wanted = portion(lazy, (2, 3))
    prepare(engine, wanted)
    assert lazy.read == [2, 3]
    engine.encode(wanted.question, wanted.scan)
    assert lazy.read == [2, 3]


def test_the_displayed_slice_is_prepared_for_its_first_question(
    engine, portion, together, monkeypatch
):
    volume = noise(5, 40, 64)
    wanted = portion(volume, (3, 2, 1))
    predictor = engine.load(wanted.question.model)
    prepared = []
    monkeypatch.setattr(type(predictor), "prepare", lambda self, one: prepared.append(one))
    prepare(engine, wanted)
    assert prepared == [predictor.encode(volume[2], engine.window_of(wanted.scan, "0,1"))]

    def fails(self, embedding):
        raise DeviceMemoryError("full")

    monkeypatch.setattr(type(predictor), "prepare", fails)
    assert tuple(prepare(engine, wanted).encoded) == (3, 2, 1)


def test_what_is_not_wanted_is_not_even_read(engine, portion):
    lazy = Lazy(noise(5, 40, 64), missing=-1)
    with pytest.raises(OvertakenError):
        prepare(engine, portion(lazy, (2, 3)), lambda: False)
    assert lazy.read == []


@pytest.fixture
def no_disk(monkeypatch):
    """Nothing can be kept on the disk."""
    monkeypatch.setenv("ICMOE_CACHE_BYTES", "0")


def in_memory(engine, wanted, count):
    """Let the memory keep so many slices of a portion."""
    predictor = engine.load(wanted.question.model)
    prepare(engine, wanted)
    (one,) = predictor.cache._entries.values()
    predictor.cache.capacity_bytes = count * one.nbytes
    predictor.cache.clear()
    return predictor


def test_without_a_disk_there_is_room_for_what_fits_into_memory(engine, portion, no_disk):
    volume = noise(9, 40, 64)
    in_memory(engine, portion(volume, (2,)), count=3)
    encoded = {}
    for position in (2, 3, 1, 4, 0):
        far_first = sorted(encoded.items(), key=lambda one: -abs(one[0] - 2))
        prepared = prepare(engine, portion(volume, (position,), former=far_first))
        assert prepared.room == 3
        encoded |= prepared.encoded
    assert len(encoded) == 5
    assert len(prepared.lost) == 2
    assert not prepared.lost & {2, 0}, "the nearest, and the newest"


def test_on_a_disk_that_can_be_written_there_is_room(engine, portion, tmp_path):
    predictor = in_memory(engine, portion(noise(5, 40, 64), (2,)), count=1)
    predictor.store.clear()
    former = {}
    for position in range(5):
        prepared = prepare(engine, portion(noise(5, 40, 64), (position,), former=former))
        assert prepared.room > 1000
        assert not prepared.lost
        former |= prepared.encoded
    predictor.store.clear()
    prepared = prepare(engine, portion(noise(5, 40, 64), (2,), former=former))
    assert prepared.lost == {0, 1, 3, 4}
    predictor.store.folder.rename(tmp_path / "elsewhere")
    predictor.store.folder.write_text("a file")
    prepared = prepare(engine, portion(noise(5, 40, 64), (3,)))
    assert prepared.room == 1, "the disk is gone"
    assert not prepared.lost


def test_a_scan_without_a_window(engine, portion):
    with pytest.raises(ImageError, match="bright"):
        prepare(engine, portion(noise(5, 40, 64), (2,), window="bright"))
