"""Removed images: nothing keeps their pixels, and what was done on them says nothing of others."""

import gc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from icmoe_core.propagation.limits import Change
from icmoe_core.propagation.proposals import Proposal
from napari_icmoe.label_layers import make_target
from napari_icmoe.panels import MeasuresPanel, PromptPanel, PropagationPanel, ReviewPanel
from napari_icmoe.planes import Plane
from napari_icmoe.review.map_layers import Map, MapLayer
from napari_icmoe.scans import Scans
from napari_icmoe.state import Click

CHANGE = Change(score=0.9, overlap=0.8, area=4, before=4, doubt=0.2)


@pytest.fixture
def viewer(controller):
    """Without a window."""
    return controller.viewer


@pytest.fixture
def panels(controller, qtbot):
    kinds = (PromptPanel, PropagationPanel, ReviewPanel, MeasuresPanel)
    prompt, propagation, review, measures = (kind(controller) for kind in kinds)
    for panel in (prompt, propagation, review, measures):
        qtbot.addWidget(panel)
        panel.show()
    return SimpleNamespace(prompt=prompt, propagation=propagation, review=review, measures=measures)


def open_scan(controller, name):
    image = controller.viewer.add_image(np.zeros((5, 8, 9), np.float32), name=name)
    controller.set_image(image)
    return image


def is_freed(reference):
    gc.unfreeze()
    gc.collect()
    return reference() is None


def test_a_scan_with_a_mask_is_not_followed_any_more(controller, viewer, panels, qtbot):
    image = open_scan(controller, "scan")
    mask = make_target(image, instances=False)
    viewer.add_layer(mask)
    controller.set_target(mask)
    qtbot.waitUntil(lambda: panels.measures.counter.complete)
    viewer.layers.remove(image)
    assert panels.measures.counter.mask is None
    qtbot.waitUntil(lambda: controller.image is None)
    assert not controller.view.scans._followed


def test_asking_about_a_removed_image_keeps_none_of_it():
    from napari.layers import Image

    scans, image = Scans(), Image(np.zeros((5, 8, 9), np.float32))
    scans.forget(image)
    scans.scan_of(image)
    seen = weakref.ref(image)
    del image
    assert is_freed(seen)


def test_a_map_keeps_no_image(viewer):
    image = viewer.add_image(np.zeros((5, 8, 9), np.float32))
    maps = MapLayer(viewer, Map.UNCERTAINTY, viewer.add_layer)
    maps.show(image, Plane((2, None, None)), np.zeros((8, 9), np.float32))
    seen = weakref.ref(image)
    viewer.layers.clear()
    del image
    assert is_freed(seen)


def test_what_was_done_on_another_image_says_nothing_of_this_one(controller, viewer, panels, qtbot):
    former = open_scan(controller, "former")
    place, session = controller.reviewing.stack[3], controller.session
    proposal = Proposal(3, 1, 2, "seed", np.ones((8, 9), bool), CHANGE)
    session.propose({place: [proposal]}, [1], [place])
    session.approve(controller.reviewing.stack[1])
    session.add_prompt(controller.reviewing.stack[2], Click(3, 3), [1])
    clear, look = panels.prompt.buttons["clear"], panels.review.buttons["look"]
    controller.changed.emit()
    assert clear.isEnabled()
    assert look.isEnabled()
    assert panels.review.text.text() == "Nothing is proposed here."
    assert panels.propagation.text.text() == ""

    viewer.layers.remove(former)
    qtbot.waitUntil(lambda: controller.image is None)
    open_scan(controller, "next")
    assert not clear.isEnabled()
    assert not look.isEnabled()
    assert panels.review.text.text() == "There is nothing to review on this slice yet."
    assert "Accept an outline on one slice" in panels.propagation.text.text()
