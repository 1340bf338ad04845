"""Slices with the same pixels are told, however they are called, stored and turned."""

from dataclasses import replace

import numpy as np
import pytest

from icmoe_core.training.datasets import LabelledSlice
from icmoe_core.training.duplicates import in_words, pixel_hash, without_duplicates
from icmoe_core.windowing import Window

IMAGE = np.random.default_rng(0).integers(-1000, 1000, (20, 30)).astype(np.int16)


def part(image, case="a"):
    labels = np.zeros(image.shape[:2], np.uint8)
    return LabelledSlice(case, case, 0, 1, image, labels, Window(0, 1), (1.0, 1.0), (1,))


@pytest.mark.parametrize(
    "same",
    [
        IMAGE.astype(">i2"),
        IMAGE.astype(float),
        IMAGE.T,
        IMAGE[::-1],
        np.rot90(IMAGE),
        IMAGE[:, ::-1],
    ],
    ids=["byte order", "dtype", "transposed", "upside down", "turned", "mirrored"],
)
def test_the_same_pixels_have_the_same_hash(same):
    assert pixel_hash(same) == pixel_hash(IMAGE)


def test_other_pixels_have_another_hash():
    other = IMAGE.copy()
    other[3, 4] += 1
    assert pixel_hash(other) != pixel_hash(IMAGE)
    colour = np.stack([IMAGE] * 3, axis=-1)
    assert pixel_hash(colour) not in (pixel_hash(IMAGE), pixel_hash(colour[..., :1]))


def test_the_first_of_duplicates_is_kept():
    first, other = part(IMAGE), part(IMAGE + 1)
    again = replace(part(IMAGE.T.copy(), "b"), window=Window(0, 2))
    assert list(without_duplicates([first, other, again]).values()) == [first, other]
    assert in_words(0) == ()
    assert in_words(1)[0].startswith("1 slice is")
    assert in_words(2)[0].startswith("2 slices are")
