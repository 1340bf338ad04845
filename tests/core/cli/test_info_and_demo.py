import json
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from skimage.io import imread

from icmoe_core.cli import demo as demo_command
from icmoe_core.cli.info import _size
from icmoe_core.io import read_labels, read_volume
from icmoe_core.samples import SAMPLES


def test_info_is_the_same_in_words_and_in_json(icmoe, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    record = json.loads(icmoe("info", "--json").stdout)
    models = {model["name"]: model for model in record["models"]}
    assert models["lite-medsam"]["present"]
    assert models["lite-medsam"]["licence"] == "Apache-2.0"
    assert not models["sam-vit-h"]["present"]
    assert record["cache"]["megabytes"] == 0
    words = icmoe("info").stdout
    for text in (record["packages"]["torch"], record["device"]["device"], *models):
        assert text in words


def test_a_file_that_another_process_removes_meanwhile_is_not_counted(tmp_path, monkeypatch):
    for name in ("kept", "gone"):
        (tmp_path / name).write_bytes(b"12345")
    whole = type(tmp_path).is_file

    def removed_after_a_look(path):
        found = whole(path)
        if path.name == "gone":
            path.unlink()
        return found

    monkeypatch.setattr(type(tmp_path), "is_file", removed_after_a_look)
    assert _size(tmp_path) == 5


def test_demo_without_a_screen_writes_masks_and_a_picture(icmoe, tmp_path, monkeypatch):
    folder = tmp_path / "out" / "deeper"
    record = json.loads(icmoe("demo", "--json", "--output-dir", folder).stdout)
    assert record["box"]["dice"] > 0.85
    assert record["click"]["dice"] > 0.7
    grid = read_volume(SAMPLES["brain1"].image).grid
    for name in ("box", "click"):
        assert read_labels(record[name]["mask"], grid)[:, :, record["slice"]].any()
    picture = imread(record["overlay"])
    assert picture.shape == (768, 2 * 768, 3)
    for colour in (demo_command.TRUTH, demo_command.ANSWER, demo_command.PROMPT):
        assert np.all(picture == colour, axis=2).sum() > 50


def test_demo_says_why_it_opens_no_window(icmoe, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    words = icmoe("demo", "--output-dir", tmp_path).stdout
    assert "no screen" in words
    assert words.count("Dice 0.") == 2
    assert str(tmp_path / "brain-tumour.png") in words


@pytest.fixture
def screen(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":99")


def use_entry_points(monkeypatch, *values):
    entries = [EntryPoint("window", value, demo_command.WINDOW_GROUP) for value in values]
    monkeypatch.setattr(demo_command, "entry_points", lambda group: entries)


def test_demo_without_the_plugin_says_so(screen, monkeypatch):
    use_entry_points(monkeypatch)
    assert "not installed" in demo_command.find_window()[1]
    use_entry_points(monkeypatch, "no_such_module:open")
    assert "no_such_module" in demo_command.find_window()[1]


def test_demo_opens_what_the_plugin_offers(icmoe, screen, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("icmoe_core.cli.demo.outline_sample", opened.append, raising=True)
    monkeypatch.setattr(demo_command, "find_window", lambda: (lambda: opened.append("window"), ""))
    assert icmoe("demo", "--output-dir", tmp_path).exit_code == 0
    assert opened == ["window"]


def test_demo_replaces_nothing_in_a_folder_that_was_named(icmoe, tmp_path, monkeypatch):
    monkeypatch.setattr(demo_command, "SAMPLES", {})  # what goes on finds no sample
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "icmoe-demo"
    folder.mkdir()
    (folder / "brain-tumour.png").write_bytes(b"mine")
    result = icmoe("demo", "--headless", "--output-dir", folder)
    assert result.exit_code == 1
    assert "--overwrite to replace it" in result.stderr
    for more in (("--output-dir", folder, "--overwrite"), ()):
        with pytest.raises(KeyError):
            icmoe("demo", "--headless", *more)


def test_demo_cannot_write_into_a_file(icmoe, tmp_path):
    (tmp_path / "file").touch()
    result = icmoe("demo", "--headless", "--output-dir", tmp_path / "file" / "folder")
    assert result.exit_code == 1
    assert "--output-dir" in result.stderr
    assert len(result.stderr.splitlines()) == 1
