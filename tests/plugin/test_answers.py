"""Answers are kept up to a number of bytes, and belong to certain pixels."""

import gc

import numpy as np
from napari.layers import Image

from icmoe_core.predictor import Predictor
from icmoe_core.windowing import Window
from napari_icmoe.answers import AnswerCache
from napari_icmoe.engine import Engine
from napari_icmoe.planes import Plane
from napari_icmoe.questions import Answer, ModelChoice, Question
from napari_icmoe.scans import Scans
from napari_icmoe.state import Click, Place


def answer(image, index, nbytes=100):
    place = Place(image, Plane((index, None, None)))
    question = Question(place, 0, (Click(1, 1),), ModelChoice(), "auto")
    return Answer(question, Window(0, 1), np.zeros(nbytes, bool))


def test_the_answers_used_longest_ago_are_dropped_first():
    cache, answers = AnswerCache(250), [answer("a", index) for index in range(3)]
    cache.add(answers[0])
    cache.add(answers[1])
    assert cache.get(answers[0].question) is answers[0]
    cache.add(answers[2])
    assert cache.nbytes == 200
    assert cache.get(answers[1].question) is None
    assert cache.get(answers[0].question) is answers[0]
    cache.add(answers[0])  # once more is not twice
    assert cache.nbytes == 200


def test_one_answer_is_kept_however_large():
    cache = AnswerCache(10)
    cache.add(answer("a", 0))
    cache.add(answer("a", 1))
    assert len(cache) == 1
    assert cache.get(answer("a", 1).question) is not None


def test_the_answers_of_a_removed_image_are_forgotten():
    cache = AnswerCache()
    for image in ("a", "b"):
        cache.add(answer(image, 0))
    cache.forget_image("a")
    assert len(cache) == 1
    assert cache.nbytes == 100
    assert cache.get(answer("b", 0).question) is not None


def test_a_slice_is_written_to_the_disk_once_it_is_answered(qapp, tiny_name, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    scans, engine = Scans(), Engine()
    layer = Image(np.random.default_rng(0).random((2, 32, 32), np.float32))
    place = Place(str(layer.unique_id), Plane((0, None, None)))
    scan = scans.scan_of(layer)
    model = ModelChoice(tiny_name, "cpu")
    question = Question(place, scan.version, (Click(9, 9),), model, "full")
    predict, written = Predictor.predict, []

    def look(predictor, *args):
        written.extend(tmp_path.rglob("*.zarr"))
        return predict(predictor, *args)

    monkeypatch.setattr(Predictor, "predict", look)
    engine.answer(question, scan)
    assert written == []
    assert engine.load(model).store.usage().slices == 1
    scans.close()


def test_new_pixels_have_another_version_and_another_window(qapp):
    scans, engine = Scans(), Engine()
    layer = Image(np.linspace(0, 1, 64).reshape(4, 4, 4))
    first = scans.scan_of(layer)
    windows = [engine.window_of(first, "full")]
    replaced = []
    scans.replaced.connect(replaced.append)
    for top in range(2, 6):  # arrays come and go, and their ids come again
        layer.data = np.linspace(0, top, 64).reshape(4, 4, 4)
        gc.collect()
        windows.append(engine.window_of(scans.scan_of(layer), "full"))
    assert [window.high for window in windows] == [1, 2, 3, 4, 5]
    assert replaced == [layer] * 4
    assert scans.scan_of(layer).version > first.version
    scans.close()
