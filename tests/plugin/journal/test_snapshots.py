"""Masks are read for the journal as they were when it came to know them, whatever comes later."""

import tracemalloc

import numpy as np
import pytest
from desk import Desk, Restored, whole

from napari_icmoe.journal import snapshots
from napari_icmoe.journal.files import read_journal
from napari_icmoe.journal.packing import unpack_voxels
from napari_icmoe.journal.snapshots import MaskSnapshot
from napari_icmoe.painted_voxels import PaintedVoxels


def test_of_a_mask_in_which_there_was_nothing_what_came_later_is_taken_back(tmp_path):
    desk = Desk(tmp_path)
    desk.paint(3, 9, 2)
    desk.paint(5, 3, 0)
    desk.accept(0)
    desk.session.undo()
    desk.flush()
    assert desk.failures == []
    assert Restored(read_journal(desk.journal.path).records).whole == whole(desk.session, desk.mask)


@pytest.mark.parametrize("before", [True, False], ids=["before it is read", "after"])
def test_a_mask_that_is_edited_while_it_is_read_is_kept_as_it_was(tmp_path, monkeypatch, before):
    desk = Desk(tmp_path, np.pad(np.full((1, 2, 3), 7, np.uint16), ((1, 1), (1, 1), (1, 1))))
    desk.paint(3, 9, 2)
    labelled = snapshots._labelled

    def read(array):
        monkeypatch.setattr(snapshots, "_labelled", labelled)
        found = None if before else labelled(array)
        desk.paint(25, 12, 3)
        desk.accept(0)
        desk.session.undo()
        desk.paint(2, 4, 0)
        return labelled(array) if found is None else found

    monkeypatch.setattr(snapshots, "_labelled", read)
    desk.flush()
    assert desk.failures == []
    assert Restored(read_journal(desk.journal.path).records).whole == whole(desk.session, desk.mask)


def test_a_large_mask_with_little_in_it_takes_little_memory_to_be_read():
    mask = np.zeros((200, 512, 512), np.uint16)
    mask[50, 100:200, 100:200] = 3
    mask[120, 5, 6] = 4
    snapshot = MaskSnapshot(0, mask, PaintedVoxels())
    tracemalloc.start()
    record = snapshot.take(mask)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6
    assert np.array_equal(unpack_voxels(record["content"]["voxels"]), np.flatnonzero(mask))
