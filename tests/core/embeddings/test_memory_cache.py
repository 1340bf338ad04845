"""Embeddings in memory: bounded by bytes, and what was used longest ago goes first."""

import numpy as np
import torch

from icmoe_core.embeddings import Embedding, EmbeddingCache, compact
from icmoe_core.frames import Frame
from icmoe_core.windowing import Window


def embedding(key, side=10):
    picture = np.zeros((side, side), np.float32)
    frame = Frame((side, side), (64, 64), 64, 16)
    return Embedding(torch.zeros(1, 2, 5, 5).half(), picture, frame, Window(0, 1), key)


def test_what_was_used_longest_ago_makes_room():
    one = embedding("a")
    assert one.nbytes == 2 * 5 * 5 * 2 + 10 * 10 * 4
    cache = EmbeddingCache(3 * one.nbytes)
    for key in "abc":
        cache.add(embedding(key))
    assert cache.nbytes == 3 * one.nbytes
    assert cache.get("a") is not None
    cache.add(embedding("d"))
    assert [key in cache for key in "abcd"] == [True, False, True, True]
    cache.add(embedding("e", side=14))  # nearly twice as many bytes
    assert [key in cache for key in "acde"] == [False, False, True, True]
    assert cache.nbytes <= cache.capacity_bytes


def test_the_newest_is_kept_however_large_it_is():
    cache = EmbeddingCache(0)
    for key in "ab":
        cache.add(embedding(key))
    assert len(cache) == 1
    assert cache.get("a") is None
    assert cache.get("b") is not None
    cache.clear()
    assert (len(cache), cache.nbytes) == (0, 0)


def test_one_that_is_added_again_counts_once():
    cache = EmbeddingCache()
    for _ in range(2):
        cache.add(embedding("a"))
    assert cache.nbytes == embedding("a").nbytes


def test_features_are_rounded_where_they_fit():
    features = torch.randn(3, 2, 4, 4)
    features[1, 0, 0, 0] = 1e5  # beyond float16
    one, large, other = compact(features)
    assert one.dtype == other.dtype == torch.float16
    assert large.dtype == torch.float32
    assert torch.equal(large, features[1:2])
    assert torch.equal(one, features[:1].half())
    assert one.untyped_storage().nbytes() == one.nbytes, "no part of a batch keeps all of it"
