"""Finished journals are deleted after a month; whatever else could be somebody's work is not."""

import os
import time

import pytest
from desk import Desk

from napari_icmoe.journal.expiry import KEPT_DAYS, delete_expired
from napari_icmoe.journal.files import read_journal
from napari_icmoe.journal.folders import discard
from napari_icmoe.journal.lines import encode_line
from napari_icmoe.journal.ownership import lock_path

DAY_S = 86_400


@pytest.fixture
def journal(tmp_path):
    """Writes a journal: with some work, saved or not, closed or not."""

    def write(saved=True, closed=True, more=False):
        desk = Desk(tmp_path)
        desk.click(0)
        desk.accept(0)
        if saved:
            desk.recorder.write_saved(0, desk.recorder.steps, lambda: True)
        if more:
            desk.paint(0, 3, 2)
        desk.flush()
        path = desk.journal.path
        if closed:
            desk.recorder.end()
            desk.flush()
        else:
            desk.journal.leave()
        return path

    return write


def later(path, days):
    """A moment so many days after the journal was written, on the disk too."""
    written = time.time() - days * DAY_S
    os.utime(path, (written, written))
    return time.time() + days * DAY_S


def test_a_finished_journal_is_deleted_after_a_month_and_not_before(journal, tmp_path):
    path = journal()
    assert delete_expired(tmp_path) == []
    assert delete_expired(tmp_path, later(path, KEPT_DAYS - 1)) == []
    now = later(path, KEPT_DAYS + 1)
    assert delete_expired(tmp_path) == [], "the file is old, but what it tells is not"
    assert delete_expired(tmp_path, now) == [path]
    assert not path.exists()
    assert not lock_path(path).exists()


@pytest.mark.parametrize(
    "kind",
    [{"saved": False}, {"closed": False}, {"more": True}, {"saved": False, "closed": False}],
)
def test_what_was_not_saved_or_not_closed_is_never_deleted(journal, tmp_path, kind):
    path = journal(**kind)
    assert delete_expired(tmp_path, later(path, 1000)) == []
    assert path.exists()


def test_what_is_damaged_newer_or_discarded_is_never_deleted(journal, tmp_path):
    damaged, newer, put_aside = journal(), journal(), discard(journal())
    lines = damaged.read_bytes().splitlines(keepends=True)
    lines[2] = b"{torn\n"
    damaged.write_bytes(b"".join(lines))
    records = read_journal(newer).records
    newer.write_bytes(b"".join(map(encode_line, [{**records[0], "version": 99}, *records[1:]])))
    odd = tmp_path / "odd.icmoe-journal"
    odd.write_bytes(b'"type":"closed"')
    now = max(later(path, 1000) for path in (damaged, newer, put_aside, odd))
    assert delete_expired(tmp_path, now) == []
    assert all(path.exists() for path in (damaged, newer, put_aside, odd))


def test_what_somebody_goes_on_with_is_not_deleted(journal, tmp_path):
    from napari_icmoe.journal.files import JournalFile

    path = journal()
    now = later(path, 1000)
    file = JournalFile(path)
    assert delete_expired(tmp_path, now) == []
    file.close()
    assert delete_expired(tmp_path, now) == [path]


def test_a_folder_that_is_not_there_is_no_trouble(tmp_path):
    assert delete_expired(tmp_path / "none") == []


def test_a_window_deletes_what_has_expired_and_offers_the_rest(annotator, crash, journals):
    one = annotator()
    one.accept(1)
    unfinished = crash(one)
    two = annotator()
    two.accept(2)
    two.wait()
    finished = two.path
    two.current.recorder.write_saved(0, two.current.recorder.steps, lambda: True)
    two.close()
    text = finished.read_text()
    year = 365 * DAY_S
    shifted = [
        encode_line({**record, "time": record["time"] - year} if "time" in record else record)
        for record in read_journal(finished).records
    ]
    assert '"closed"' in text
    finished.write_bytes(b"".join(shifted))
    for path in (finished, unfinished):
        later(path, 365)
    three = annotator()
    three.wait()
    assert not finished.exists()
    assert [offer.path for offer in three.current.offers] == [unfinished]
