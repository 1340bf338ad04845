"""Approved slices on their way to the process that learns from them."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from icmoe_core.embeddings import embedding_key
from icmoe_core.errors import DatasetError, InputFileError
from icmoe_core.windowing import choose_window
from napari_icmoe.learning.child import learn
from napari_icmoe.learning.handover import (
    ApprovedScan,
    count_classes,
    read_scan,
    write_scan,
    write_scans,
)
from napari_icmoe.learning.messages import Report, Request, ScanNote, SliceNote, WorstNote
from napari_icmoe.planes import Plane

RNG = np.random.default_rng(0)
AXIAL = (Plane((4, None, None)), Plane((1, None, None)))


def scan(shape=(6, 20, 24), planes=AXIAL, rgb=False):
    data = RNG.integers(-1000, 1000, (*shape, 3) if rgb else shape).astype(">i2")
    labels = np.zeros(shape, np.uint16)
    labels[..., 2:10, 3:12] = 2
    labels[..., 15:17, 3:5] = 7  # 4 pixels: too few
    spacing = tuple(float(axis + 1) for axis in range(len(shape)))
    return ApprovedScan("uid", "Erika M", "Erika M", data, rgb, labels, planes, spacing, "auto")


def test_slices_arrive_as_they_are_seen_in_the_window(tmp_path):
    sent = scan()
    note = write_scan(sent, tmp_path / "scan-0.npz")
    first, second = read_scan(tmp_path, note)
    assert (first.axis, first.index, second.index) == (0, 1, 4)
    assert first.classes == (2,)
    assert first.spacing == (2.0, 3.0)
    assert first.image.dtype == sent.data.dtype
    np.testing.assert_array_equal(first.labels, sent.labels[1])
    window = choose_window(sent.data, "auto")
    keys = [embedding_key(image, window, "w") for image in (first.image, sent.data[1])]
    assert keys[0] == keys[1], "so that what was encoded need not be encoded again"
    assert (first.window.low, first.window.high) == (window.low, window.high)


def test_time_points_colour_and_pictures(tmp_path):
    series = scan((2, 6, 20, 24), (Plane((1, 3, None, None)),))
    (part,) = read_scan(tmp_path, write_scan(series, tmp_path / "a.npz"))
    assert (part.case, part.axis, part.index) == ("Erika M, 1", 1, 3)
    colour = scan((20, 24), (Plane((None, None)),), rgb=True)
    (part,) = read_scan(tmp_path, write_scan(colour, tmp_path / "b.npz"))
    assert (part.axis, part.index, part.image.shape) == (None, 0, (20, 24, 3))


def test_no_name_is_in_the_file(tmp_path):
    write_scan(scan(), tmp_path / "scan-0.npz")
    assert b"Erika" not in (tmp_path / "scan-0.npz").read_bytes()


def test_what_is_painted_after_the_start_is_not_seen(tmp_path):
    live = scan()
    taken = live.as_now()
    assert set(taken.copied) == set(AXIAL)
    expected = live.labels[1].copy()
    live.labels[:] = 9
    note = write_scan(taken, tmp_path / "scan-0.npz")
    first, _ = read_scan(tmp_path, note)
    np.testing.assert_array_equal(first.labels, expected)
    assert first.classes == (2,)


def test_labels_of_enough_pixels_are_counted():
    assert count_classes(scan()) == {2: 2}


def test_a_file_that_is_gone_or_damaged(tmp_path):
    note = write_scan(scan(), tmp_path / "scan-0.npz")
    (tmp_path / "scan-0.npz").write_bytes(b"PK")
    with pytest.raises(InputFileError, match="gone or damaged: start it anew"):
        list(read_scan(tmp_path, note))
    (tmp_path / "scan-0.npz").unlink()
    with pytest.raises(InputFileError, match="gone or damaged"):
        list(read_scan(tmp_path, note))


def test_a_request_and_reports_survive_the_line():
    note = ScanNote("f", "p", (0.0, 1.0, "auto"), (SliceNote("c", 0, 3, (1.0, 2.0), (1, 2)),))
    request = Request(
        "/job",
        "/out",
        "m",
        "cpu",
        None,
        (note,),
        (("a", "b"),),
        (1,),
        0.2,
        ("p",),
        9.0,
        6,
        ((1, "Leber"), (2, "Milz")),
    )
    line = request.to_line()
    assert "\n" not in line
    assert Request.from_line(line) == request
    worst = (WorstNote("s", 1, "box", 0.5, 0.6),)
    report = Report(
        "done", "done", 3, None, {"mask": 0.5}, (0.8, 0.7), (0.5, 0.5), 1.0, worst=worst
    )
    assert Report.from_line(report.to_line()) == report
    for other in ("", "Downloading …", "[1]", json.dumps({"kind": "done", "new": 1})):
        assert Report.from_line(other) is None


def test_classes_are_called_by_their_names(tmp_path):
    first = scan()
    other = replace(scan(), name="other", patient="other")
    other.labels[4, 12:19, 14:22] = 3  # on one slice of one patient only
    notes = write_scans((first, other), tmp_path)
    request = Request(
        str(tmp_path),
        str(tmp_path / "out.safetensors"),
        "lite-medsam",
        "cpu",
        None,
        notes,
        (),
        (2, 3),
        0.2,
        ("other",),
        1.0,
        1,
        ((2, "Leber"), (3, "Herd")),
    )
    commands = SimpleNamespace(finishing=lambda: False, paused=False)
    with pytest.raises(DatasetError, match="no other slice shows class 'Herd': hold out"):
        learn(request, commands, lambda report: None)
