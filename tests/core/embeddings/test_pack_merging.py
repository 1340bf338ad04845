"""Small packs become full ones, whoever else is at it, and no slice is lost on the way."""

import threading

import pytest
import torch
from filelock import FileLock
from stored_slices import features_of

from icmoe_core.embeddings import EmbeddingStore, merging
from icmoe_core.embeddings.merging import Merger, batches
from icmoe_core.embeddings.packs import write_pack


def fill(store, numbers):
    for number in numbers:
        store.write({f"{number}": features_of(number)})


def whole(store, numbers):
    return all(torch.equal(store.read(f"{n}"), features_of(n)) for n in numbers)


@pytest.fixture
def lock(store):
    """What somebody else holds who merges."""
    store.folder.mkdir(parents=True)
    return FileLock(store.folder / ".lock", thread_local=False)


def test_tidying_waits_for_whoever_merges(store, lock):
    fill(store, range(5))
    lock.acquire()
    release = threading.Timer(0.3, lock.release)
    release.start()
    store.tidy()
    release.join()
    assert store.usage().packs == 1
    assert whole(EmbeddingStore(store.folder), range(5))


def test_tidying_does_not_wait_for_ever(store, lock, monkeypatch):
    monkeypatch.setattr(merging, "PATIENCE_S", 0.1)
    fill(store, range(5))
    with lock:
        store.tidy()
        assert store.usage().packs == 5
    assert whole(EmbeddingStore(store.folder), range(5))


def test_where_there_is_nothing_to_merge_nothing_is_waited_for(store, lock):
    fill(store, [1])
    with lock:
        store.tidy()  # it would take half a minute


def test_an_empty_folder_is_not_made_by_tidying(store):
    store.tidy()
    assert not store.folder.exists()


def test_writers_start_one_thread_among_them(store, monkeypatch):
    started, go_on = [], threading.Event()

    def merge_all(self):
        started.append(threading.current_thread())
        go_on.wait(10)

    monkeypatch.setattr(Merger, "_merge_all", merge_all)
    at_once = threading.Barrier(8)

    def write(number):
        at_once.wait()
        store.write({f"{number} {n}": features_of(n) for n in range(merging.SLICES - 1)})

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert store.merging
    assert len(started) == 1
    go_on.set()
    store._merger.wait()
    assert not store.merging


def test_all_merges_are_made_in_one_thread(store, monkeypatch):
    """A new thread each time would leave the memory of a pack in a heap of its own each time."""
    real, threads = Merger.merge, []

    def merge(self, packs):
        threads.append(threading.current_thread())
        real(self, packs)

    monkeypatch.setattr(Merger, "merge", merge)
    for first in (0, merging.SLICES):
        fill(store, range(first, first + merging.SLICES))
        store._merger.wait()
    assert len(threads) == 2
    assert len(set(threads)) == 1
    assert whole(EmbeddingStore(store.folder), range(2 * merging.SLICES))


def test_a_slice_whose_other_pack_has_gone_is_not_dropped(store):
    """What is known of the other pack may be older than what has become of it."""
    store.write({"1": features_of(1)})
    (first,) = store._index.packs
    store._index.add(write_pack(store.folder, ["1"], features_of(1).numpy()))
    other = store._index.known("1")
    assert other.path != first.path
    other.path.rename(store.folder.parent / "gone")
    store._merger.merge([first])
    assert whole(EmbeddingStore(store.folder), [1])


def test_a_batch_that_cannot_be_merged_does_not_keep_the_others(store, monkeypatch):
    fill(store, range(merging.SLICES - 1))
    store.write({f"{n}": features_of(n).float() for n in (31, 32)})  # of another kind
    kinds = {pack.kind for pack in store._index.packs}
    assert len(kinds) == 2
    real, refused = Merger.merge, []

    def merge(self, packs):
        if not refused:
            refused.append(packs)
            raise OSError("the disk is full")
        real(self, packs)

    store.write({"33": features_of(33).float()})
    monkeypatch.setattr(Merger, "merge", merge)
    before = store.usage().packs
    store.tidy()
    assert 2 < store.usage().packs < before
    monkeypatch.undo()
    store.tidy()
    assert store.usage().packs == 2
    assert store.usage().slices == merging.SLICES - 1 + 3


def test_batches_fill_a_pack_and_are_of_one_kind(store):
    fill(store, range(3))
    packs = store._index.packs
    assert list(batches(packs)) == []
    (batch,) = batches(packs, least=2)
    assert sorted(pack.keys[0] for pack in batch) == ["0", "1", "2"]
