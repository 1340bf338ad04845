"""The life of versions: kept, switched on and off, compared, rolled back, renamed, deleted."""

import json
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from icmoe_core.errors import ModelError, OutputFileError
from icmoe_core.experts.shipped import FOLDER
from napari_icmoe.learning.version_store import DEFAULT, VersionStore


def test_a_version_is_kept_under_a_name_that_tells_nothing(store, make_version):
    version = make_version("Liver of Erika M")
    assert "liver" not in version.path.name.lower()
    (found,) = store.load()
    assert found == version
    assert found.score("box") == 0.9
    assert found.score("click", "before") == 0.6
    assert found.date.astimezone().year == 2025
    note = json.loads(version.path.with_suffix(".json").read_text())
    assert "data" not in note["record"]


def test_names_are_told_apart(store, make_version):
    names = [make_version("liver").name for _ in range(3)]
    assert names == ["liver", "liver 2", "liver 3"]


def test_a_file_without_a_note_is_adopted(store, make_version):
    version = make_version("liver")
    version.path.with_suffix(".json").unlink()
    (found,) = store.load()
    assert found.name == "Recovered"
    assert found.base == "lite-medsam"
    assert version.path.with_suffix(".json").is_file()
    (store.folder / "nonsense.safetensors").write_bytes(b"no experts")
    assert len(store.load()) == 1


def test_a_note_that_cannot_be_read_is_left_as_it_is(store, make_version):
    version = make_version("liver")
    note = version.path.with_suffix(".json")
    note.write_text('{"name": "my words", ')
    (found,) = store.load()
    assert (found.id, found.name) == (version.id, "Recovered")
    assert note.read_text() == '{"name": "my words", '


def test_a_file_that_is_still_being_written_is_passed_over(store, make_version):
    version = make_version("liver")
    unfinished = version.path.with_name(".icmoe-0123.safetensors")
    unfinished.write_bytes(version.path.read_bytes())
    assert [one.id for one in store.load()] == [version.id]
    assert not unfinished.with_suffix(".json").exists()


def test_children_of_a_deleted_version_go_to_its_parent(store, make_version):
    first = make_version("one")
    second = make_version("two", parent=first.id)
    store.remove(first)
    (left,) = store.load()
    assert (left.id, left.parent) == (second.id, DEFAULT)
    assert sorted(p.suffix for p in store.folder.iterdir()) == [".json", ".safetensors"]


def test_what_is_exported_can_be_imported(store, make_version, tmp_path):
    version = make_version("liver")
    store.export(version, tmp_path / "liver.safetensors")
    other = VersionStore(tmp_path / "elsewhere")
    found = other.import_file(tmp_path / "liver.safetensors", "lite-medsam")
    assert found.name == "liver"
    assert found.path.read_bytes() == version.path.read_bytes()


def test_a_file_that_does_not_fit_is_refused(store, tmp_path, make_version):
    with pytest.raises(ModelError, match="trained on the model lite-medsam, not on sam-vit-b"):
        store.import_file(FOLDER / "lite-medsam.safetensors", "sam-vit-b")
    other = tmp_path / "other.safetensors"
    save_file({}, other)
    with pytest.raises(ModelError, match="holds no experts"):
        store.import_file(other, "lite-medsam")
    assert store.load() == ()
    version = make_version("liver")
    version.path.unlink()
    with pytest.raises(ModelError, match="'liver' is gone"):
        store.export(version, tmp_path / "x.safetensors")


def test_a_folder_that_cannot_be_made_is_one_sentence():
    with pytest.raises(OutputFileError, match="/proc"):
        VersionStore(Path("/proc/experts")).new_path()


def test_switching_comparing_and_rolling_back(controller, versions, make_version, said, store):
    first = make_version("one")
    second = make_version("two", parent=first.id)
    versions.refresh()
    versions.wait(lambda: len(versions.listed) == 2)
    assert versions.active == DEFAULT
    assert versions.switch_on(first.id)
    assert controller.view.model.experts == str(first.path)
    versions.toggle_compare()
    assert versions.active == DEFAULT
    versions.toggle_compare()
    assert versions.active == first.id
    assert "'one' answers now" in said[-1]
    versions.switch_on(second.id)
    versions.roll_back()
    assert versions.active == first.id
    versions.roll_back()
    assert versions.active == DEFAULT
    versions.roll_back()
    assert "nothing to roll back" in said[-1]
    versions.switch_on(None)
    assert controller.view.model.experts is None


def test_the_version_that_answers_is_deleted(versions, make_version):
    first = make_version("one")
    second = make_version("two", parent=first.id)
    versions.refresh()
    versions.wait(lambda: len(versions.listed) == 2)
    versions.switch_on(second.id)
    versions.delete(second.id)
    versions.wait(lambda: len(versions.listed) == 1)
    assert versions.active == first.id
    assert not second.path.exists()


def test_a_file_deleted_behind_our_back(versions, make_version, said):
    version = make_version("one")
    versions.refresh()
    versions.wait(lambda: len(versions.listed) == 1)
    version.path.unlink()
    assert not versions.switch_on(version.id)
    assert said == [
        f"The file of 'one' is gone from {version.path.parent}: choose another version, or import "
        "it again."
    ]
    versions.wait(lambda: not versions.listed)
    assert versions.active == DEFAULT


def test_a_version_of_another_model_is_not_switched_on(controller, versions, store, said):
    path = store.new_path()
    path.write_bytes(b"")
    version = store.add(path, "heart", "sam-vit-b", DEFAULT, {})
    versions.refresh()
    versions.wait(lambda: bool(versions.listed))
    assert not versions.switch_on(version.id)
    assert "belongs to the model sam-vit-b" in said[-1]


def test_renaming_exporting_and_importing_in_the_background(versions, make_version, said, tmp_path):
    version = make_version("one")
    versions.refresh()
    versions.wait(lambda: len(versions.listed) == 1)
    versions.rename(version.id, "  My   liver ")
    versions.wait(lambda: versions.listed[0].name == "My liver")
    versions.rename(version.id, " ")
    versions.export(version.id, tmp_path / "liver")
    versions.wait(lambda: (tmp_path / "liver.safetensors").is_file() and bool(said))
    versions.export(version.id, tmp_path / "liver")
    assert "exists already" in said[-1]
    versions.import_file(tmp_path / "liver.safetensors")
    versions.wait(lambda: len(versions.listed) == 2)
    versions.import_file(tmp_path / "absent.safetensors")
    versions.wait(lambda: "no expert file" in said[-1])
    assert {one.name for one in versions.listed} == {"My liver", "liver"}
