"""The session's state and its one history, without a window."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from icmoe_core.classes import default_classes
from icmoe_core.propagation.limits import Change
from icmoe_core.propagation.proposals import Proposal
from napari_icmoe.history import History, Step
from napari_icmoe.planes import Plane
from napari_icmoe.review.marks import Origin, SliceState, slice_state
from napari_icmoe.session import Session
from napari_icmoe.state import Box, Click, Place, approved_planes, core_prompts

PLACES = tuple(Place("scan", Plane((index, None, None))) for index in range(3))


class Painted:
    """Labels with one voxel, and an edit that sets it."""

    nbytes = 8

    def __init__(self, labels: list[int], value: int) -> None:
        self.labels, self.before, self.value = labels, labels[0], value
        labels[0] = value

    def undo(self) -> None:
        self.labels[0] = self.before

    def redo(self) -> None:
        self.labels[0] = self.value


def proposal(label: int, doubt: float = 0.2, cautions: tuple[str, ...] = ()) -> Proposal:
    change = Change(score=0.9, overlap=0.8, area=4, before=4, doubt=doubt)
    return Proposal(1, label, 0, "seed", np.ones((2, 2), bool), change, cautions)


def test_core_prompts_keep_kinds_and_signs_apart():
    prompts = core_prompts((Click(1, 2), Box(0, 0, 5, 6), Click(3, 4, positive=False)))
    assert list(prompts.points) == [(1, 2), (3, 4)]
    assert list(prompts.point_labels) == [1, 0]
    assert list(prompts.boxes) == [(0, 0, 5, 6)]


def test_prompts_belong_to_their_place():
    session = Session(default_classes(2))
    session.add_prompt(PLACES[0], Click(1, 1), [1])
    session.add_prompt(PLACES[1], Click(2, 2), [1])
    session.cancel(PLACES[0])
    assert session.prompts_at(PLACES[0]) == ()
    assert session.prompts_at(PLACES[1]) == (Click(2, 2),)
    assert session.prompts_at(None) == ()


def test_accept_drops_the_prompts_and_undo_brings_both_back():
    session, labels = Session(default_classes(1)), [0]
    session.add_prompt(PLACES[0], Click(1, 1), [1])
    session.accept(PLACES[0], 7, Painted(labels, 7))
    assert (session.prompts_at(PLACES[0]), labels) == ((), [7])
    session.undo()
    assert (session.prompts_at(PLACES[0]), labels) == ((Click(1, 1),), [0])
    session.redo()
    assert (session.prompts_at(PLACES[0]), labels) == ((), [7])


def test_removing_the_active_class_chooses_another():
    session = Session(default_classes(3))
    session.choose_class(2)
    session.change_classes(session.state.classes.remove(2))
    assert session.state.active_class == 1
    session.undo()
    assert session.state.active_class == 2
    assert session.state.classes.ids == (1, 2, 3)


def test_a_class_is_added_and_chosen_in_one_step():
    session = Session(default_classes(3))
    session.change_classes(session.state.classes.remove(1))
    before = len(session.history)
    session.change_classes(session.state.classes.add("new"), "add class", active=1)
    assert session.state.active_class == 1
    assert len(session.history) == before + 1
    session.undo()
    assert session.state.active_class == 2


def test_what_changes_nothing_is_not_a_step():
    session = Session(default_classes(2))
    session.cancel(PLACES[0])
    session.clear()
    session.remove_prompt(PLACES[0])
    session.choose_class(1)
    session.choose_class(99)
    session.change_classes(session.state.classes)
    assert len(session.history) == 0
    assert session.undo() is None
    assert session.redo() is None


def test_a_hundred_steps_can_be_undone():
    session = Session(default_classes(1))
    for index in range(100):
        session.add_prompt(PLACES[0], Click(index, 0), [1])
    for _ in range(100):
        assert session.undo() is not None
    assert session.prompts_at(PLACES[0]) == ()
    for _ in range(100):
        assert session.redo() is not None
    assert len(session.prompts_at(PLACES[0])) == 100


def test_a_new_step_forgets_what_was_undone():
    history: History[int] = History()
    history.record(Step("a", 0, 1))
    history.undo()
    assert history.next_redo == "a"
    history.record(Step("b", 0, 2))
    assert history.next_redo is None
    assert history.next_undo == "b"


def state_of(session: Session, place: Place) -> SliceState:
    state = session.state
    return slice_state(state.mark_at(place), state.proposals.get(place, ()))


def test_a_slice_goes_from_proposed_to_approved():
    session = Session(default_classes(2))
    place = PLACES[1]
    assert state_of(session, place) is SliceState.EMPTY
    session.propose({place: [proposal(1), proposal(2, cautions=("it grew",))]}, [1, 2], PLACES)
    assert state_of(session, place) is SliceState.DOUBTFUL
    session.accept_proposals({place: [2]}, Painted([0], 2))
    assert state_of(session, place) is SliceState.PROPOSED
    session.accept_proposals({place: [1]}, Painted([0], 1))
    assert state_of(session, place) is SliceState.ACCEPTED
    assert session.state.mark_at(place).origins == {
        1: (Origin.PROPAGATED,),
        2: (Origin.PROPAGATED,),
    }
    session.record_stroke(Painted([0], 1), {place: [1]})
    assert state_of(session, place) is SliceState.EDITED
    session.approve(place)
    assert state_of(session, place) is SliceState.APPROVED
    assert approved_planes(session.state, "scan") == (place.plane,)
    assert approved_planes(session.state, "another scan") == ()
    session.approve(place, False)
    assert state_of(session, place) is SliceState.EDITED


def test_an_outline_of_ones_own_takes_the_place_of_a_proposal():
    session = Session(default_classes(2))
    session.propose({PLACES[0]: [proposal(1), proposal(2)]}, [1, 2], PLACES)
    session.accept(PLACES[0], 1, Painted([0], 1))
    assert [one.label for one in session.state.proposals[PLACES[0]]] == [2]
    session.undo()
    assert [one.label for one in session.state.proposals[PLACES[0]]] == [1, 2]


def test_a_second_propagation_replaces_what_the_first_proposed_for_its_labels():
    session = Session(default_classes(2))
    session.propose({place: [proposal(1), proposal(2)] for place in PLACES}, [1, 2], PLACES)
    again = proposal(1)
    session.propose({PLACES[0]: [again]}, [1], PLACES[:2])
    labels = {
        place: [one.label for one in found] for place, found in session.state.proposals.items()
    }
    assert labels == {PLACES[0]: [2, 1], PLACES[1]: [2], PLACES[2]: [1, 2]}  # 2 was not reached
    assert session.state.proposals[PLACES[0]][1] is again


def test_what_a_hand_painted_takes_the_place_of_a_proposal():
    session = Session(default_classes(2))
    session.propose({PLACES[0]: [proposal(1), proposal(2)]}, [1, 2], PLACES)
    session.record_stroke(Painted([0], 1), {PLACES[0]: [1]})
    assert [one.label for one in session.state.proposals[PLACES[0]]] == [2]


def test_another_mask_starts_without_marks_and_proposals_of_its_image_only():
    session = Session(default_classes(2))
    elsewhere = Place("another", PLACES[0].plane)
    session.propose({PLACES[0]: [proposal(1)], elsewhere: [proposal(1)]}, [1], [*PLACES, elsewhere])
    session.approve(PLACES[1])
    session.approve(elsewhere)
    session.start_anew("scan", "another mask", marks=True)
    assert set(session.state.proposals) == {elsewhere}
    assert set(session.state.marks) == {elsewhere}
    before = len(session.history)
    session.start_anew("scan", "another mask", marks=True)
    assert len(session.history) == before


def test_listeners_hear_every_step():
    session, heard = Session(default_classes(1)), []
    session.listeners.append(lambda what, step: heard.append((what, step.name)))
    session.add_prompt(PLACES[0], Click(1, 1), [1])
    session.undo()
    session.redo()
    session.undo()
    session.undo()
    assert heard == [("do", "click"), ("undo", "click"), ("redo", "click"), ("undo", "click")]


ACTIONS = st.one_of(
    st.tuples(st.just("click"), st.integers(0, 2), st.booleans()),
    st.tuples(st.just("box"), st.integers(0, 2), st.none()),
    st.tuples(st.just("remove"), st.integers(0, 2), st.none()),
    st.tuples(st.just("cancel"), st.integers(0, 2), st.none()),
    st.tuples(st.just("clear"), st.none(), st.none()),
    st.tuples(st.just("accept"), st.integers(0, 2), st.integers(1, 9)),
    st.tuples(st.just("stroke"), st.integers(0, 2), st.integers(1, 9)),
    st.tuples(st.just("propose"), st.integers(0, 2), st.integers(1, 3)),
    st.tuples(st.just("take"), st.integers(0, 2), st.integers(1, 3)),
    st.tuples(st.just("reject"), st.integers(0, 3), st.none()),
    st.tuples(st.just("approve"), st.integers(0, 2), st.booleans()),
    st.tuples(st.just("class"), st.none(), st.integers(1, 4)),
    st.tuples(st.just("lock"), st.none(), st.integers(1, 3)),
)


def perform(session: Session, labels: list[int], action: tuple) -> None:
    kind, where, value = action
    place = None if where is None else PLACES[min(where, 2)]
    match kind:
        case "click":
            session.add_prompt(place, Click(1, 2, value), [1])
        case "box":
            session.add_prompt(place, Box(0, 0, 3, 3), [1])
        case "remove":
            session.remove_prompt(place)
        case "cancel":
            session.cancel(place)
        case "clear":
            session.clear()
        case "accept":
            session.accept(place, value, Painted(labels, value))
        case "stroke":
            session.record_stroke(Painted(labels, value), {key: [value] for key in PLACES[:where]})
        case "propose":
            session.propose({place: [proposal(value)]}, [value], PLACES)
        case "take":
            session.accept_proposals({place: [value]}, Painted(labels, value))
        case "reject":
            session.reject_proposals(PLACES[:where])
        case "approve":
            session.approve(place, value)
        case "class":
            session.choose_class(value)
        case "lock":
            session.change_classes(session.state.classes.lock(value))


@settings(max_examples=60, deadline=None)
@given(actions=st.lists(ACTIONS, min_size=15, max_size=40), back=st.integers(0, 40))
def test_undo_and_redo_come_back_to_the_same_state(actions, back):
    session, labels = Session(default_classes(3)), [0]
    trail = [(session.state, labels[0])]
    for action in actions:
        before = len(session.history)
        perform(session, labels, action)
        if len(session.history) > before:
            trail.append((session.state, labels[0]))
    back = min(back, len(trail) - 1)
    for state, value in reversed(trail[len(trail) - 1 - back : -1]):
        session.undo()
        assert (session.state, labels[0]) == (state, value)
    for state, value in trail[len(trail) - back :]:
        session.redo()
        assert (session.state, labels[0]) == (state, value)


def rejected(session, place):
    return {(one.label, one.settings) for one in session.state.rejections.get(place, ())}


def test_a_rejection_is_remembered_until_something_is_done_there():
    session, labels = Session(default_classes(3)), [0]
    session.propose({PLACES[0]: [proposal(1), proposal(2)]}, [1, 2], PLACES)
    session.reject_proposals(PLACES, lambda one: "model")
    assert rejected(session, PLACES[0]) == {(1, "model"), (2, "model")}
    session.undo()
    assert not session.state.rejections
    session.redo()
    session.add_prompt(PLACES[0], Click(1, 1), [1])  # of the active class
    assert rejected(session, PLACES[0]) == {(2, "model")}
    session.undo()
    session.accept(PLACES[0], 2, Painted(labels, 2))
    assert rejected(session, PLACES[0]) == {(1, "model")}
    session.record_stroke(Painted(labels, 1), {PLACES[0]: [1]})
    assert not session.state.rejections


def test_a_prompt_for_one_object_says_nothing_of_another():
    session = Session(default_classes(3))
    session.propose({PLACES[0]: [proposal(1), proposal(7)]}, [1, 7], PLACES)
    session.reject_proposals(PLACES)
    session.add_prompt(PLACES[0], Click(1, 1), [8])
    assert rejected(session, PLACES[0]) == {(1, ""), (7, "")}, "the active class is 1"
    session.add_prompt(PLACES[0], Click(1, 1), [7])
    assert rejected(session, PLACES[0]) == {(1, "")}


def test_what_was_rejected_is_forgotten_with_the_pixels_or_the_mask():
    for marks in (True, False):
        session = Session(default_classes(3))
        session.propose({PLACES[0]: [proposal(1)]}, [1], PLACES)
        session.reject_proposals(PLACES)
        session.reject_proposals(PLACES)
        assert len(session.history) == 2
        session.start_anew("scan", "start anew", marks=marks)
        assert not session.state.rejections
        session.undo()
        assert rejected(session, PLACES[0]) == {(1, "")}


class Large(Painted):
    nbytes = 40


def test_the_memory_of_edits_is_bounded_and_the_last_step_can_always_be_undone():
    history, labels = History(max_bytes=100), [0]
    for value in range(1, 6):
        history.record(Step(str(value), value - 1, value, Large(labels, value)))
        history.record(Step("click", value, value))
    assert [step.name for step in history.done] == ["click", "4", "click", "5", "click"]
    alone = History(max_bytes=10)
    for value in range(2):
        alone.record(Step(str(value), value, value, Large(labels, value)))
    assert [step.name for step in alone.done] == ["1"]
    unbounded = History(max_bytes=None)
    for value in range(5):
        unbounded.record(Step(str(value), value, value, Large(labels, value)))
    assert len(unbounded) == 5
    bounded = History(max_bytes=100, done=unbounded.done)
    bounded.record(Step("next", 0, 0))
    assert [step.name for step in bounded.done] == ["3", "4", "next"]


def test_prior_logits_travel_with_the_prompts():
    logits = np.zeros((4, 4), np.float32)
    assert core_prompts((Click(0, 0),), logits).mask is logits
