"""Scans of a folder: found, their states kept, and read with the mask beside them."""

import json
import threading

import numpy as np
import pytest
from listed_scans import SHAPE, write_mask, write_scan

from icmoe_core.errors import InputFileError
from napari_icmoe.worklist.listing import (
    ScanState,
    Worklist,
    key_of,
    load_states,
    open_worklist,
    save_state,
    states_file,
)
from napari_icmoe.worklist.opening import is_saved, read_scan
from napari_icmoe.worklist.scan_folders import find_scans, mask_path, saved_mask


def test_scans_are_found_in_natural_order(folder):
    names, masks, notice = find_scans(folder)
    assert names == ("patient1.nii.gz", "patient2.nii.gz", "patient10.nii.gz")
    assert masks == {"patient2_mask.nii.gz"}
    assert notice == ""


def test_dicom_folders_are_scans_and_labels_are_not(tmp_path):
    def touch(name, content=b""):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    dicom = bytes(128) + b"DICM"
    touch("DICOMDIR", dicom)
    touch("p2/series/1.2.840.1", dicom)
    touch("p2/series/1.2.840.2", dicom)
    touch("p2/readme.txt", b"hello")
    touch("p1/ct/image.dcm")
    touch("p3/t1.nrrd")
    touch("p3/t1_label.nrrd")
    touch("p3/t1.seg.nrrd")
    touch("labelsTr/p3.nii.gz")
    touch(".hidden/x.nii")
    touch("p3/._t1.nrrd")
    touch("p3/.icmoe-0123.nii.gz")
    names, masks, _ = find_scans(tmp_path)
    assert names == ("p1/ct", "p2/series", "p3/t1.nrrd")
    assert masks == {"p3/t1_label.nrrd", "p3/t1.seg.nrrd", "labelsTr/p3.nii.gz"}


def test_a_folder_that_is_itself_a_series(tmp_path):
    (tmp_path / "a.dcm").touch()
    assert find_scans(tmp_path)[0] == (".",)
    assert open_worklist(tmp_path).path_of(".") == tmp_path


def test_bad_folders(tmp_path):
    with pytest.raises(InputFileError, match="choose another one"):
        find_scans(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(InputFileError):
        find_scans(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert find_scans(tmp_path / "empty") == ((), frozenset(), "")


def test_a_whole_disk_is_no_worklist(folder, monkeypatch):
    monkeypatch.setattr("napari_icmoe.worklist.scan_folders.MOST_FILES", 2)
    assert "choose a smaller folder" in find_scans(folder)[2]


def test_where_masks_are(tmp_path):
    series = tmp_path / "1.2.840"
    series.mkdir()
    assert mask_path(series) == tmp_path / "1.2.840_mask.nii.gz"
    assert mask_path(tmp_path / "a.1.NII.GZ").name == "a.1_mask.nii.gz"
    assert mask_path(tmp_path / "a.tif").name == "a_mask.png"
    scan = tmp_path / "a.nrrd"
    assert saved_mask(scan) is None
    (tmp_path / "a_mask.nrrd").touch()
    assert saved_mask(scan).name == "a_mask.nrrd"
    (tmp_path / "a_mask.nii.gz").touch()
    assert saved_mask(scan).name == "a_mask.nii.gz"


def test_neighbours():
    scans = Worklist(None, ("a", "b", "c"))
    assert [scans.neighbour(name, 1) for name in (None, "a", "c")] == ["a", "b", None]
    assert [scans.neighbour(name, -1) for name in (None, "a", "c")] == ["c", None, "b"]
    scans = scans.with_state("b", ScanState.DONE)
    assert scans.neighbour("a", 1, skip_done=True) == "c"
    assert scans.neighbour("b", 1, skip_done=True) == "c"
    assert scans.count() == {
        ScanState.UNTOUCHED: 2,
        ScanState.IN_WORK: 0,
        ScanState.DONE: 1,
    }


def test_states_are_kept_under_hashes(folder, data_folder):
    file = states_file(folder)
    save_state(file, key_of("patient1.nii.gz"), ScanState.DONE)
    save_state(file, key_of("patient10.nii.gz"), ScanState.IN_WORK)
    assert file.is_relative_to(data_folder / "worklists")
    kept = file.read_text()
    assert "patient" not in kept + str(file.name)
    assert len(json.loads(kept)["states"]) == 2
    scans = open_worklist(folder)
    assert [scans.state_of(name) for name in scans.names] == ["done", "in work", "in work"]
    assert scans.count()[ScanState.IN_WORK] == 2, "a saved mask is work, too"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"states": {"a": "what"}}', "\xff"])
def test_a_damaged_file_is_put_aside(folder, content):
    file = states_file(folder)
    file.parent.mkdir(parents=True)
    file.write_text(content, encoding="latin-1")
    states, notice = load_states(file)
    assert states == {}
    assert "put aside" in notice
    assert file.with_suffix(".damaged").read_text(encoding="latin-1") == content
    save_state(file, key_of("a"), ScanState.DONE)
    assert load_states(file) == ({key_of("a"): "done"}, "")
    file.write_text("{")  # once more: what was put aside before stays
    assert "put aside" in save_state(file, key_of("b"), ScanState.DONE)
    assert load_states(file) == ({key_of("b"): "done"}, "")
    assert file.with_suffix(".damaged").read_text(encoding="latin-1") == content
    assert len(list(file.parent.glob("*.damaged*"))) == 2


def test_a_file_that_cannot_be_opened_is_left_alone(folder, monkeypatch):
    file = states_file(folder)
    save_state(file, key_of("patient1.nii.gz"), ScanState.DONE)
    before = file.read_bytes()

    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.read_text", refuse)
        with pytest.raises(InputFileError, match="Permission denied"):
            load_states(file)
        with pytest.raises(InputFileError, match="Permission denied"):
            save_state(file, key_of("patient2.nii.gz"), ScanState.DONE)
        scans = open_worklist(folder)
        assert "cannot be read" in scans.notice
        assert len(scans.names) == 3, "the scans can be worked on all the same"
    assert file.read_bytes() == before
    assert not list(file.parent.glob("*.damaged*"))


def test_windows_that_write_at_once_lose_nothing(folder):
    file = states_file(folder)
    keys = [[f"{window}-{number}" for number in range(15)] for window in range(4)]

    def write(own):
        for key in own:
            save_state(file, key, ScanState.DONE)

    threads = [threading.Thread(target=write, args=(own,)) for own in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(load_states(file)[0]) == {key for own in keys for key in own}


def test_a_scan_comes_with_the_mask_beside_it(folder):
    alone, both = (read_scan(folder / f"patient{number}.nii.gz") for number in (1, 2))
    assert alone.labels is None
    assert both.labels.shape == both.layer[0].shape
    assert both.labels.sum() == 18
    assert both.labels.flags.writeable
    attributes = {"metadata": both.layer[1]["metadata"]}
    assert is_saved(both.labels, attributes, [both.mask])
    both.labels[0, 0, 0] = 1
    assert not is_saved(both.labels, attributes, [both.mask])
    assert not is_saved(both.labels, attributes, [folder / "missing.nii.gz"])
    assert is_saved(np.zeros_like(both.labels), attributes, [])


def test_a_time_series_comes_with_its_mask(tmp_path):
    write_scan(tmp_path / "t.nii.gz", shape=(*SHAPE, 3))
    labels = write_mask(tmp_path / "t_mask.nii.gz", (*SHAPE, 3))
    opened = read_scan(tmp_path / "t.nii.gz")
    assert opened.labels.shape == (3, 6, 10, 12)
    assert opened.labels.sum() == labels.sum()
    attributes = {"metadata": opened.layer[1]["metadata"]}
    assert is_saved(opened.labels, attributes, [opened.mask])


def test_a_mask_that_does_not_fit_is_left_alone(folder):
    write_mask(folder / "patient1_mask.nii.gz", (5, 5, 5))
    opened = read_scan(folder / "patient1.nii.gz")
    assert opened.labels is None
    assert "was not opened" in opened.notice


def test_a_label_map_is_no_scan(folder):
    with pytest.raises(InputFileError, match="label map"):
        read_scan(folder / "patient2_mask.nii.gz")
