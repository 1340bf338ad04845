"""What is accepted before its answer is there is written, whatever is done meanwhile."""

from dataclasses import replace

import numpy as np
import pytest

from icmoe_core.errors import PromptError
from icmoe_core.windowing import Window
from napari_icmoe.ahead.encoding import EncodingAhead
from napari_icmoe.engine import Engine
from napari_icmoe.planes import Plane
from napari_icmoe.questions import Answer, ModelChoice
from napari_icmoe.state import Click, Place

SHAPE = (9, 20, 24)


@pytest.fixture
def faults(monkeypatch):
    """Slices on which the model fails; elsewhere it outlines a few pixels around each click."""
    faults = {}

    def answer(engine, question, scan, prior=None, is_wanted=None):
        index = question.place.plane.fixed[0]
        if index in faults:
            raise faults[index]
        mask = np.zeros(SHAPE[1:], bool)
        for prompt in question.prompts:
            mask[int(prompt.row) - 1 : int(prompt.row) + 2, int(prompt.column)] = True
        return Answer(question, Window(0, 1, "x"), mask)

    monkeypatch.setattr(Engine, "answer", answer)
    monkeypatch.setattr(EncodingAhead, "_feed", lambda ahead: None)
    return faults


class Person:
    """Somebody who accepts faster than the model answers."""

    def __init__(self, controller, brake, qtbot):
        self.controller, self.brake, self.qtbot = controller, brake, qtbot
        self.said = []
        controller.said.connect(lambda level, sentence: self.said.append(sentence))
        self.image = self.open("stack")
        controller.set_image(self.image)
        brake.pull()

    def open(self, name):
        return self.controller.viewer.add_image(np.zeros(SHAPE, np.float32), name=name)

    def place(self, index, image=None):
        return Place(str((image or self.image).unique_id), Plane((index, None, None)))

    def click(self, index, row=10, column=5):
        self.controller.viewer.dims.set_point(0, index)
        self.controller.prompting.add(Click(row, column))

    def accept(self, index, row=10, column=5):
        self.click(index, row, column)
        self.controller.prompting.accept()

    def wait(self):
        self.brake.let_go()
        asker = self.controller.asker
        self.qtbot.waitUntil(lambda: not asker.busy and asker.worker.idle)
        self.qtbot.wait(20)

    def written(self, image=None):
        """Slices that hold something, and what."""
        layer = self.controller.masks.mask_of(image or self.image)
        if layer is None:
            return {}
        return {
            int(index): np.unique(layer.data[index][layer.data[index] > 0]).tolist()
            for index in np.flatnonzero(layer.data.any(axis=(1, 2)))
        }


@pytest.fixture
def person(controller, brake, qtbot, faults):
    return Person(controller, brake, qtbot)


def test_several_are_written_one_after_the_other(person):
    for index, label in ((4, 1), (5, 2), (6, 3)):
        person.controller.choose_class(label)
        person.accept(index)
    person.click(7)
    person.wait()
    assert person.written() == {4: [1], 5: [2], 6: [3]}
    assert set(person.controller.session.state.prompts) == {person.place(7)}
    assert person.controller.answer is not None, "what is shown is asked about in the end"
    assert not person.said


def test_undo_takes_back_what_was_accepted_with_the_prompt_and_nothing_else(person):
    person.accept(4)
    person.accept(5)
    person.controller.undo()
    assert "slice 5 of 'stack'" in person.said[-1]
    person.click(4, 3, 3)
    person.controller.undo()
    person.wait()
    assert person.written() == {4: [1]}
    assert len(person.said) == 1


def test_escape_takes_back_what_was_accepted_on_its_slice_only(person):
    person.accept(4)
    person.accept(5)
    person.controller.prompting.cancel()
    assert "slice 5 of 'stack'" in person.said[-1]
    person.wait()
    assert person.written() == {4: [1]}


def test_clearing_all_prompts_takes_back_everything(person):
    person.accept(4)
    person.accept(5)
    person.controller.prompting.clear()
    assert "slice 4 of 'stack' and slice 5 of 'stack'" in person.said[-1]
    person.wait()
    assert person.written() == {}


def test_another_image_is_no_reason_to_wait_no_longer(person):
    other = person.open("other")
    person.accept(4)
    person.controller.set_image(other)
    person.accept(3)
    person.wait()
    assert person.written() == {4: [1]}
    assert person.written(other) == {3: [1]}
    assert person.controller.target.layer is person.controller.masks.mask_of(other)
    assert not person.controller.session.state.prompts
    marks = person.controller.session.state.marks
    assert set(marks) == {person.place(4), person.place(3, other)}


def test_an_image_that_is_removed_takes_its_accepts_with_it_and_no_others(person):
    other = person.open("other")
    person.accept(4)
    person.controller.set_image(other)
    person.accept(3)
    person.controller.viewer.layers.remove(other)
    assert "slice 3 of 'other'" in person.said[-1]
    person.wait()
    assert person.written() == {4: [1]}
    person.accept(5)
    assert person.controller.image is person.image


def test_new_pixels_elsewhere_take_back_what_was_accepted_there(person):
    other = person.open("other")
    person.accept(4)
    person.controller.set_image(other)
    person.accept(3)
    person.image.data = np.ones(SHAPE, np.float32)
    person.wait()
    assert "slice 4 of 'stack'" in person.said[-1]
    assert person.written() == {}
    assert person.written(other) == {3: [1]}


def test_a_slice_without_an_answer_is_named_and_the_others_are_written(person, faults):
    faults[4] = PromptError("The click lies on nothing: click elsewhere.")
    person.accept(4)
    person.accept(5)
    person.wait()
    assert person.said[-1].startswith("The click lies on nothing: click elsewhere.")
    assert "slice 4 of 'stack'" in person.said[-1]
    assert person.written() == {5: [1]}
    assert set(person.controller.session.state.prompts) == {person.place(4)}


def test_a_model_that_fails_is_not_asked_again_for_each(person, faults):
    faults[4] = faults[5] = RuntimeError("broken")
    person.accept(4)
    person.accept(5)
    person.wait()
    assert "slice 4 of 'stack' and slice 5 of 'stack'" in person.said[1]
    assert person.said[0] == person.said[2], "slice 5 is shown, and asked about"
    assert len(person.said) == 3
    assert not person.controller.asker.busy


def test_a_click_after_the_accept_stays_and_is_asked_about(person):
    person.accept(4)
    person.click(4, 3, 20)
    person.wait()
    assert person.written() == {4: [1]}
    assert person.controller.prompts == (Click(3, 20),)
    assert person.controller.answer.question.prompts == (Click(3, 20),)
    person.controller.undo()
    assert person.controller.prompts == (Click(10, 5), Click(3, 20))


def test_accepts_on_one_slice_outline_what_was_clicked_in_between(person):
    person.accept(4)
    person.controller.choose_class(2)
    person.accept(4, 3, 20)
    person.wait()
    assert person.controller.prompts == ()
    labels = person.controller.target.layer.data[4]
    assert (labels[10, 5], labels[3, 20]) == (1, 2)


def test_the_same_accept_once_more_is_written_as_it_is_chosen_now(person):
    person.accept(4)
    person.controller.choose_class(2)
    person.controller.prompting.accept()
    person.wait()
    assert person.written() == {4: [2]}
    assert not person.said


def test_what_is_accepted_with_another_answer_meanwhile_is_not_written_twice(person):
    person.accept(4)
    accepting, view = person.controller.accepting, person.controller.view
    shown = replace(view.question, model=ModelChoice("sam-vit-b"))
    mask = np.zeros(SHAPE[1:], bool)
    mask[0, 0] = True
    accepting.accept(shown, Answer(shown, Window(0, 1, "x"), mask), person.image)
    person.wait()
    assert not accepting.waits
    layer = person.controller.masks.mask_of(person.image)
    assert np.argwhere(layer.data).tolist() == [[4, 0, 0]]


@pytest.mark.parametrize("objects", [True, False])
def test_an_object_stays_one_and_a_class_stays_one(person, objects):
    controller = person.controller
    controller.set_instances(objects)
    controller.choose_class(2)
    person.accept(4)
    controller.set_instances(not objects)
    controller.choose_class(3)
    controller.change_classes(controller.session.state.classes.lock(2))
    person.wait()
    # the lock is one of class 2, and no object's
    assert person.written() == ({4: [1]} if objects else {})
    assert len(person.said) == (0 if objects else 1)


def test_what_is_written_elsewhere_is_in_the_journal_of_its_image(person):
    other = person.open("other")
    person.accept(4)
    person.controller.set_image(other)
    person.wait()
    recorder = person.controller.journaling._scans[str(person.image.unique_id)].recorder
    layer = person.controller.masks.mask_of(person.image)
    assert recorder.knows(layer.data)
