"""Journal files: appended one record at a time, torn at worst in the last one, owned by one."""

import errno
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from icmoe_core.errors import InputFileError, OutputFileError
from napari_icmoe.journal import files, fingerprints
from napari_icmoe.journal.files import JournalFile, read_journal
from napari_icmoe.journal.fingerprints import fingerprint
from napari_icmoe.journal.lines import FORMAT, VERSION, JournalError
from napari_icmoe.journal.ownership import holding, is_owned, lock_path
from napari_icmoe.journal.packing import (
    pack,
    pack_mask,
    pack_values,
    pack_voxels,
    unpack,
    unpack_mask,
    unpack_values,
    unpack_voxels,
)
from napari_icmoe.journal.session_files import read_session, write_session

HEADER = {"type": "header", "format": FORMAT, "version": VERSION}
WRITER = """
import sys, itertools
from pathlib import Path
from napari_icmoe.journal.files import JournalFile
file = JournalFile(Path(sys.argv[1]), [{"type": "header", "format": "icmoe-journal", "version": 1}])
for number in itertools.count():
    file.append({"type": "step", "number": number, "ballast": "x" * 5000})
    print(number, flush=True)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan-1.icmoe-journal"


def numbers(path):
    return [record["number"] for record in read_journal(path).records[1:]]


def test_records_come_back_in_their_order(path):
    file = JournalFile(path, [HEADER])
    for number in range(3):
        file.append({"number": number, "name": "Leber\u2028 ä"})
    file.close()
    assert numbers(path) == [0, 1, 2]
    assert not is_owned(path)


def test_a_torn_line_is_passed_over_and_cut_off_at_the_next_append(path):
    JournalFile(path, [HEADER, {"number": 0}]).close()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"number": 1, "vox')
    assert numbers(path) == [0]
    file = JournalFile(path)
    file.append({"number": 2})
    file.close()
    assert numbers(path) == [0, 2]
    assert path.read_bytes().startswith(whole)


@pytest.mark.parametrize("tail", [b"\0" * 300, b"\xff\xfe", b"{", b'{"number": 1}'])
def test_whatever_is_left_of_a_last_line_counts_as_not_written(path, tail):
    JournalFile(path, [HEADER, {"number": 0}]).close()
    with path.open("ab") as file:
        file.write(tail)
    reading = read_journal(path)
    assert len(reading.records) == 2
    assert not reading.damaged


def test_damage_in_the_middle_is_told_from_a_torn_end(path):
    JournalFile(path, [HEADER, *({"number": n} for n in range(5))]).close()
    data = bytearray(path.read_bytes())
    data[data.index(b'"number":2') + 3] = 0
    path.write_bytes(data)
    reading = read_journal(path)
    assert reading.damaged
    assert [record.get("number") for record in reading.records] == [None, 0, 1]
    with pytest.raises(JournalError, match="damaged"):
        JournalFile(path)
    assert path.read_bytes() == data, "and it is left alone"


def test_two_owners_cannot_write_one_journal(path):
    first = JournalFile(path, [HEADER])
    assert is_owned(path)
    with pytest.raises(JournalError, match="another window"):
        JournalFile(path)
    first.close()
    assert not is_owned(path)
    JournalFile(path).close()


def test_the_lock_is_the_same_file_for_as_long_as_there_is_a_journal(path):
    JournalFile(path, [HEADER]).close()
    first = lock_path(path).stat().st_ino
    JournalFile(path).close()
    assert lock_path(path).stat().st_ino == first
    JournalFile(path).remove()
    assert list(path.parent.iterdir()) == []


def test_who_holds_a_journal_keeps_others_from_it(path):
    JournalFile(path, [HEADER]).close()
    with holding(path), pytest.raises(JournalError, match="another window"):
        JournalFile(path)
    path.unlink()
    with pytest.raises(InputFileError, match="gone"), holding(path):
        pass


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_after_kill_9_at_most_the_last_record_is_lost(path):
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
    seen = -1
    while seen < 50:
        seen = int(child.stdout.readline())
    assert is_owned(path), "while its owner lives"
    os.kill(child.pid, signal.SIGKILL)
    written = [int(line) for line in child.stdout.read().splitlines()]
    child.wait()
    assert not is_owned(path)
    found = numbers(path)
    assert found == list(range(len(found)))
    assert found[-1] >= max([seen, *written])
    file = JournalFile(path)
    file.append({"number": len(found)})
    file.close()
    assert numbers(path)[-1] == len(found)


def test_a_full_disk_is_said_and_leaves_what_was_written(path, monkeypatch):
    file = JournalFile(path, [HEADER, {"number": 0}])
    written = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OutputFileError, match="no space left"):
        file.append({"number": 1})
    assert path.read_bytes() == written


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_said(path):
    path.parent.chmod(0o500)
    with pytest.raises(OutputFileError, match="choose another folder"):
        JournalFile(path, [HEADER])
    path.parent.chmod(0o700)


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFileError, match="choose another folder"):
        JournalFile(tmp_path / "file" / "journals" / "a.icmoe-journal", [HEADER])


def test_a_newer_format_and_other_files_are_refused(path, tmp_path):
    JournalFile(path, [{**HEADER, "version": VERSION + 1}]).close()
    with pytest.raises(JournalError, match="update napari-icmoe"):
        read_journal(path)
    other = tmp_path / "notes.txt"
    for content in (b"", b"hello\n", b'{"format": "other"}\n', b"[1]\n"):
        other.write_bytes(content)
        with pytest.raises(JournalError, match="not a session"):
            read_journal(other)
    with pytest.raises(InputFileError, match="gone"):
        read_journal(tmp_path / "missing.icmoe-journal")


def test_session_files_are_whole_or_refused(tmp_path):
    path = tmp_path / "a.icmoe-session"
    records = [HEADER, {"number": 1}]
    write_session(path, records)
    assert list(read_session(path).records) == records
    whole = path.read_bytes()
    for damaged in (whole[:-5], whole[:20] + b"\0\0\0" + whole[23:], b"something else"):
        path.write_bytes(damaged)
        with pytest.raises(InputFileError, match="damaged"):
            read_session(path)
    with pytest.raises(InputFileError, match="no file"):
        read_session(tmp_path / "none.icmoe-session")


def test_arrays_come_back_bit_for_bit():
    rng = np.random.default_rng(5)
    for array in (
        rng.normal(size=(3, 4)).astype(np.float32),
        rng.integers(0, 9, (5,)).astype(">i2"),
        np.zeros(0, np.uint8),
    ):
        back = unpack(pack(array))
        assert back.shape == array.shape
        assert np.array_equal(back, array)
        assert back.dtype == array.dtype.newbyteorder("=")
    for share in (0, 0.02, 0.5, 1):
        mask = rng.random((13, 7)) < share
        assert np.array_equal(unpack_mask(pack_mask(mask)), mask)
        voxels = np.flatnonzero(rng.random(5000) < share)
        packed = pack_voxels(voxels)
        assert np.array_equal(unpack_voxels(packed), voxels)
        for values in (np.full(len(voxels), 7, np.uint16), rng.integers(0, 4, len(voxels))):
            back = unpack_values(pack_values(values), len(voxels))
            assert np.array_equal(back, values)
            assert back.dtype == values.dtype


def test_voxels_far_apart_need_no_more_than_64_bits():
    voxels = np.array([0, 1, 2, 2**33, 2**33 + 1, 2**40])
    assert np.array_equal(unpack_voxels(pack_voxels(voxels)), voxels)


def test_fingerprints_tell_pixels_apart_and_not_their_order_in_memory():
    scan = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    known = fingerprint(scan)
    assert len(known) == 32
    assert fingerprint(np.asfortranarray(scan)) == known
    assert fingerprint(scan.astype(">i2")) == known
    assert fingerprint(scan[::-1][::-1]) == known
    other = scan.copy()
    other[2, 3, 4] += 1
    assert len({known, fingerprint(other), fingerprint(scan.reshape(4, 3, 5))}) == 3
    assert len({known, fingerprint(scan.astype(np.int32)), fingerprint(scan[0])}) == 3


@pytest.mark.parametrize(
    "shape", [(60, 8, 9), (4, 30, 8, 9), (40, 12, 8, 9), (3, 500, 9), (5000, 9), (30, 8, 9, 3)]
)
def test_of_a_large_scan_some_parts_are_read_however_its_axes_lie(monkeypatch, shape):
    monkeypatch.setattr(fingerprints, "WHOLE", 8000)
    pixels, read = np.arange(np.prod(shape), dtype=np.int32).reshape(shape), []

    class Lazy:
        dtype = pixels.dtype

        def __getitem__(self, index):
            read.append(pixels[index])
            return read[-1]

    lazy = Lazy()
    lazy.shape = shape
    known = fingerprint(lazy)
    assert len(read) == fingerprints.SAMPLED
    assert sum(part.nbytes for part in read) <= 8000
    assert fingerprint(pixels) == known
    changed = pixels.copy()
    changed[-1] += 1
    assert fingerprint(changed) != known
    first = [int(part.flat[0]) for part in read]
    assert first[0] == 0
    assert first == sorted(first)
