"""Encoded slices on disk: a few files, bounded, and never believed when damaged."""

import os
import re
import shutil
import threading
import time
from contextlib import suppress

import pytest
import torch
from stored_slices import SHAPE, features_of

from icmoe_core.embeddings import EmbeddingStore, merging, packs
from icmoe_core.errors import IcmoeError


def fill(store, numbers):
    """Write slices one by one, as they are encoded."""
    for number in numbers:
        store.write({f"{number}": features_of(number)})


def holds(store, numbers):
    """Whether a store that has seen nothing of it yet reads slices as they were written."""
    fresh = EmbeddingStore(store.folder)
    return [
        (found := fresh.read(f"{n}")) is not None and found.equal(features_of(n)) for n in numbers
    ]


def files(store):
    return [path for path in store.folder.rglob("*") if path.is_file() and path.name != ".lock"]


def damage(path, at=100):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_features_come_back_exactly(store):
    assert store.read("1") is None
    store.write({"1": features_of(1), "2": features_of(2).float()})
    assert torch.equal(store.read("1"), features_of(1))
    assert store.read("1").is_contiguous(memory_format=torch.channels_last)
    assert store.read("2").dtype == torch.float32
    assert holds(store, [1])
    assert "1" in store
    assert "3" not in store


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
def test_a_slice_that_is_no_numbers_is_not_kept_and_one_with_a_large_sum_is(store, broken):
    shape = 1, 2, 64, 64
    large = torch.full(shape, 60_000.0, dtype=torch.float16)  # whose sum float16 does not hold
    bad = torch.ones(shape, dtype=torch.float16)
    bad[0, 1, 3, 5] = broken
    store.write({"large": large, "bad": bad, "fine": torch.ones_like(bad)})
    assert torch.equal(store.read("large"), large)
    assert store.read("fine") is not None
    assert store.read("bad") is None


def test_a_volume_is_a_few_files(store):
    fill(store, range(130))
    assert all(holds(store, range(130)))
    store.tidy()
    assert all(holds(store, range(130)))
    usage = store.usage()
    assert usage.slices == 130
    assert usage.packs == 130 // merging.SLICES + 1
    assert len(files(store)) == 2 * usage.packs
    assert usage.nbytes == sum(path.stat().st_size for path in files(store))
    assert EmbeddingStore(store.folder).usage() == usage


def test_small_packs_are_merged_as_they_come(store):
    count = 3 * merging.SLICES
    for numbers in (range(count), [count]):  # what comes last has the rest merged
        fill(store, numbers)
        while store.merging:
            time.sleep(0.01)
    assert store.usage().packs < merging.SLICES
    assert all(holds(store, range(count + 1)))


def test_others_find_what_was_merged_meanwhile(store):
    fill(store, range(5))
    other = EmbeddingStore(store.folder)
    assert other.read("3") is not None
    fill(store, range(5, 40))
    store.tidy()
    assert store.usage().packs == -(-40 // merging.SLICES)
    for number in range(40):
        assert torch.equal(other.read(f"{number}"), features_of(number))
    assert other.usage() == store.usage()


def test_what_was_used_longest_ago_makes_room(store):
    fill(store, [0])
    one = store.usage().nbytes
    small = EmbeddingStore(store.folder, capacity_bytes=3 * one + one // 2)
    fill(small, [1, 2])
    for path in store.folder.glob("*.zarr"):  # written just now, all of them
        os.utime(path, ns=(time.time_ns() - 10**10,) * 2)
    assert small.read("0") is not None
    fill(small, [3])
    assert small.read("0") is not None
    assert small.read("3") is not None
    assert small.usage().slices == 3
    assert small.usage().nbytes <= small.capacity_bytes


def test_a_damaged_slice_is_dropped_and_the_others_of_its_pack_are_not(store):
    store.write({f"{n}": features_of(n) for n in range(4)})
    (shard,) = (path for path in files(store) if path.name != "zarr.json")
    damage(shard)
    assert sum(holds(store, range(4))) == 3
    assert store.usage().slices == 3
    lost = holds(store, range(4)).index(False)
    fill(store, [lost])
    assert all(holds(store, range(4)))


@pytest.mark.parametrize(
    "harm", ["index", "cut", "gone", "metadata", "empty", "no metadata", "dtype", "shape"]
)
def test_damaged_packs_are_dropped(store, harm):
    store.write({"1": features_of(1)})
    (shard,) = (path for path in files(store) if path.name != "zarr.json")
    metadata = next(store.folder.glob("*.zarr")) / "zarr.json"
    if harm == "index":
        damage(shard, -3)
    elif harm == "cut":
        shard.write_bytes(shard.read_bytes()[:-50])
    elif harm == "gone":
        shard.unlink()
    elif harm == "metadata":
        metadata.write_text(metadata.read_text()[:-30])
    elif harm == "dtype":
        metadata.write_text(metadata.read_text().replace("float16", "gloat16"))
    elif harm == "shape":
        metadata.write_text(re.sub(r'("shape": \[\s*1),', r"\1, 1000000000,", metadata.read_text()))
    elif harm == "empty":
        shard.write_bytes(b"")
    else:
        metadata.unlink()
    assert not any(holds(store, [1]))
    assert store.read("1") is None
    assert store.usage().slices == 0
    assert files(store) == []
    fill(store, [1])
    assert all(holds(store, [1]))


def test_batches_are_written_in_threads_and_found_at_once(store):
    batches = [{f"{n}": features_of(n) for n in range(5 * b, 5 * b + 5)} for b in range(20)]
    for batch in batches:
        store.write_soon(batch)
        assert all(key in store for key in batch)
        assert all(torch.equal(store.read(key), features) for key, features in batch.items())
    store.tidy()
    assert all(holds(store, range(100)))
    assert store.usage().packs == 10  # each of two batches, the least that make a full one


def test_what_is_written_late_is_found_at_once_and_on_the_disk_afterwards(store):
    with store.late(seconds=0.2):
        fill(store, [1])
        with store.late():
            fill(store, [2])
        assert "1" in store
        assert torch.equal(store.read("2"), features_of(2))
        other = threading.Thread(target=fill, args=(store, [5]))
        other.start()
        other.join()
        assert all(holds(store, [5]))  # another thread does not wait for it
    assert not any(holds(store, [1]))
    store.tidy()
    assert all(holds(store, [1, 2]))
    with suppress(KeyboardInterrupt), store.late():
        fill(store, [3])
        raise KeyboardInterrupt
    fill(store, [4])  # at once again
    assert all(holds(store, [4]))
    store.tidy()
    assert all(holds(store, [3]))


def test_which_of_some_slices_are_kept(store):
    fill(store, range(3))
    store.write_soon({"3": features_of(3)})
    assert store.kept(f"{n}" for n in range(6)) == {"0", "1", "2", "3"}
    EmbeddingStore(store.folder).clear()
    assert store.kept(["0", "1"]) == set()


def test_why_slices_cannot_be_written_is_known_until_they_can(store):
    fill(store, [1])
    assert store.fault is None
    store.folder.rename(store.folder.with_name("elsewhere"))
    store.folder.write_text("a file")
    fill(store, [2])
    assert isinstance(store.fault, OSError)
    store.folder.unlink()
    fill(store, [2])
    assert store.fault is None


def test_packs_that_vanish_are_no_error(store):
    fill(store, range(3))
    shutil.rmtree(store.folder)
    assert store.read("1") is None
    fill(store, [1])
    assert all(holds(store, [1]))


def test_clear_removes_packs_and_nothing_else(store):
    fill(store, range(3))
    other = store.folder / "letter.txt"
    other.write_text("mine")
    nbytes = store.usage().nbytes
    assert store.clear() == nbytes
    assert files(store) == [other]
    assert store.usage().slices == 0
    assert store.clear() == 0


def test_leftovers_of_killed_processes_are_swept(store):
    fill(store, [1])
    half = store.folder / ".icmoe-0123456789abcdef"
    half.mkdir()
    (half / "zarr.json").write_text("{")
    fill(store, [2])
    assert half.is_dir(), "it may be written right now"
    os.utime(half, (0, time.time() - packs.ABANDONED_S - 1))
    fill(store, [3])
    assert not half.exists()
    assert all(holds(store, [1, 2, 3]))


def test_the_capacity_can_be_set(tmp_path, monkeypatch):
    monkeypatch.setenv("ICMOE_CACHE_BYTES", "12345")
    assert EmbeddingStore(tmp_path).capacity_bytes == 12345
    monkeypatch.setenv("ICMOE_CACHE_BYTES", "0")
    store = EmbeddingStore(tmp_path)
    fill(store, [1])
    assert list(tmp_path.iterdir()) == []
    for wrong in ("4 GB", "²"):
        monkeypatch.setenv("ICMOE_CACHE_BYTES", wrong)
        with pytest.raises(IcmoeError, match="whole number of bytes"):
            EmbeddingStore(tmp_path)


def test_the_folder_is_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if os.name == "posix" and os.uname().sysname == "Linux":
        assert EmbeddingStore().folder == tmp_path / "icmoe" / "embeddings"


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("a file")
    store = EmbeddingStore(taken)
    fill(store, [1])
    assert store.read("1") is None
    assert store.usage().slices == 0
    assert store.clear() == 0
    assert taken.read_text() == "a file"


def test_names_tell_nothing(store):
    fill(store, [1])
    names = {path.name for path in store.folder.iterdir()}
    assert SHAPE[0] == len(names - {".lock"})
    (name,) = names - {".lock"}
    assert len(name.removesuffix(".zarr")) == 16
