"""What was on when the model was used last is on at the next start."""

from dataclasses import replace

import pytest
from napari.components import ViewerModel

from napari_icmoe.controller import AnnotateController
from napari_icmoe.learning.last_used import FILE, LastUsed, load_last_used, save_last_used
from napari_icmoe.learning.version_store import DEFAULT, VersionStore


@pytest.fixture
def store():
    """The folder that every start looks into."""
    return VersionStore()


@pytest.fixture
def start(qapp, qtbot, store):
    """Starts anew; returns the versions, and what has been said until they were looked at."""
    opened = []

    def begin(wait=True):
        controller = AnnotateController(ViewerModel())
        opened.append(controller)
        said = []
        controller.said.connect(lambda level, sentence: said.append((level, sentence)))
        versions = controller.versions
        if wait:
            qtbot.waitUntil(lambda: versions.remembering.started)
        return versions, said

    yield begin
    for controller in opened:
        controller.close()


def written(qtbot, store, key):
    qtbot.waitUntil(lambda: getattr(load_last_used(store.folder), "version", 0) == key)


def test_at_first_the_model_answers_as_it_came(start, store):
    versions, said = start()
    assert (versions.active, said) == (DEFAULT, [])
    assert not (store.folder / FILE).exists()


@pytest.mark.parametrize("bare", [False, True])
def test_what_was_on_is_on_again(start, store, make_version, qtbot, bare):
    version = make_version("liver")
    versions, _ = start()
    key = None if bare else version.id
    versions.switch_on(key)
    written(qtbot, store, key)

    again, said = start()
    assert again.active == key
    assert said == [("info", f"{'Bare model' if bare else 'liver'!r} answers, as last time.")]
    assert again._controller.view.model.experts == (None if bare else str(version.path))
    again.toggle_compare()
    assert again.active == (version.id if bare else DEFAULT)
    again.switch_on(DEFAULT)
    written(qtbot, store, DEFAULT)
    assert start()[0].active == DEFAULT


def test_a_version_whose_file_is_gone_is_said_once(start, store, make_version, qtbot):
    version = make_version("liver")
    versions, _ = start()
    versions.switch_on(version.id)
    written(qtbot, store, version.id)
    version.path.unlink()
    again, said = start()
    assert again.active == DEFAULT
    assert [level for level, _ in said] == ["warning"]
    assert "'liver', which was on last, is gone" in said[0][1]
    written(qtbot, store, DEFAULT)
    assert start()[1] == []


def test_a_version_of_another_model_stays_off(start, store, make_version, qtbot):
    version = make_version("heart")
    store._write(replace(version, base="sam-vit-b"))
    save_last_used(store.folder, LastUsed("sam-vit-b", version.id, "heart"))
    versions, said = start()
    assert versions.active == DEFAULT
    assert "belongs to the model sam-vit-b" in said[0][1]


def test_what_is_chosen_before_it_is_known_stays(start, store, make_version, qtbot):
    version = make_version("liver")
    save_last_used(store.folder, LastUsed("lite-medsam", version.id, "liver"))
    versions, said = start(wait=False)
    versions._controller.set_model(replace(versions._controller.view.model, experts=None))
    qtbot.waitUntil(lambda: versions.remembering.started)
    assert (versions.active, said) == (None, [])
    written(qtbot, store, None)


def test_a_restored_session_wins(start, store, make_version, qtbot):
    version = make_version("liver")
    save_last_used(store.folder, LastUsed("lite-medsam", version.id, "liver"))
    versions, _ = start(wait=False)
    versions.remembering.keep_present()  # the session was made with what the model came with
    qtbot.waitUntil(lambda: versions.remembering.started)
    assert versions.active == DEFAULT


def test_a_file_without_sense_counts_as_none(store):
    store.folder.mkdir(parents=True)
    for text in ("", "[]", "{}", '{"base": 1, "version": null, "name": "x"}'):
        (store.folder / FILE).write_text(text)
        assert load_last_used(store.folder) is None
