"""Runs of a propagation: what one that was ended early offers, beside earlier proposals."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from icmoe_core.classes import default_classes
from icmoe_core.propagation.limits import Change
from icmoe_core.propagation.proposals import Proposal
from napari_icmoe.planes import Plane
from napari_icmoe.questions import ModelChoice
from napari_icmoe.review.orders import Order, begin
from napari_icmoe.review.runs import Run, still_open, summarise
from napari_icmoe.session import Session
from napari_icmoe.state import Place

CHANGE = Change(score=0.9, overlap=0.8, area=4, before=4, doubt=0.2)
SCAN = SimpleNamespace(uid="scan", version=0, data=np.zeros((3, 2, 2)))
PLACE = Place("scan", Plane((1, None, None)))


def proposal(label, seed="seed"):
    return Proposal(1, label, 0, seed, np.ones((2, 2), bool), CHANGE)


def run_of(window, *found, labels=(1, 2), **options):
    order = Order("scan", SCAN, PLACE.plane, labels, 0, 2, ModelChoice(), window)
    return Run(order, found={PLACE: found}, **options)


def session_with(*proposals):
    session = Session(default_classes(3))
    session.propose({PLACE: proposals}, [1, 2, 3], [PLACE])
    return session


@pytest.mark.parametrize("instances", [False, True])
def test_an_object_is_not_called_by_the_class_that_has_its_number(monkeypatch, instances):
    called = []
    monkeypatch.setattr(
        "icmoe_core.propagation.propagation.propagate",
        lambda *_, names, **__: called.append(dict(names)),
    )
    order = replace(run_of("full").order, instances=instances)
    engine = SimpleNamespace(load=lambda model: None, window_of=lambda scan, window: None)
    begin(engine, order, session_with().state, np.zeros((3, 2, 2), np.uint8), ())
    assert (1 in called[0]) is not instances


def test_what_a_run_did_not_reach_stays_and_what_it_did_is_replaced():
    former, unreached, other = proposal(1), proposal(2), proposal(3)
    session = session_with(former, unreached, other)
    again = proposal(1, "another")
    found = still_open(run_of("full", again), session.state)
    assert found == {PLACE: (again, unreached)}
    whole = still_open(run_of("full", again, whole=True), session.state)
    assert whole == {PLACE: (again,)}, "nothing was found of the second one any more"


def test_what_was_rejected_with_a_runs_settings_hides_no_earlier_proposal_of_others():
    run = run_of("full", proposal(1))
    session = session_with(proposal(2))
    session.reject_proposals([PLACE], lambda one: run.order.choices)
    earlier = proposal(2)  # with other settings, of the same seed
    session.propose({PLACE: [earlier]}, [2], [PLACE])
    assert still_open(run, session.state)[PLACE] == (*run.found[PLACE], earlier)
    assert "rejected" not in summarise(run, session.state)
    # the run itself does not propose it again
    run = run_of("full", proposal(1), proposal(2))
    assert [one.label for one in still_open(run, session.state)[PLACE]] == [1]
    assert "1 left out that you had rejected" in summarise(run, session.state)


def test_what_a_person_has_outlined_meanwhile_is_proposed_by_nobody():
    session = session_with(proposal(2))
    session.accept(PLACE, 1, None)
    found = still_open(run_of("full", proposal(1)), session.state)
    assert [one.label for one in found[PLACE]] == [2]
    session.approve(PLACE)
    assert not still_open(run_of("full", proposal(1)), session.state)
