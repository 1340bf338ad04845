"""Maps: what is asked and shown, exactly, and on a real scan with the real model."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from qtpy.QtCore import Qt
from shown_masks import outlined

from napari_icmoe.actions import ACTIONS
from napari_icmoe.engine import Engine
from napari_icmoe.helper_layers import is_helper
from napari_icmoe.panels.maps import MapsPanel
from napari_icmoe.planes import Plane
from napari_icmoe.questions import ModelChoice, Question
from napari_icmoe.review.explaining import Explanation, explain, question_of_mask, without_experts
from napari_icmoe.review.map_layers import HEAT, SIGNED, Map, MapLayer
from napari_icmoe.scans import Scans, nearest_image
from napari_icmoe.state import Box, Place, core_prompts

PLACE = Place("image", Plane((3, None, None)))
MODEL_MS = 60_000


def test_an_outline_is_asked_for_with_the_box_around_it():
    question = Question(PLACE, 0, (), ModelChoice(), "auto")
    mask = np.zeros((8, 9), bool)
    assert question_of_mask(question, mask) is None
    mask[2, 3] = mask[5, 7] = True
    found = question_of_mask(question, mask)
    assert found.prompts == (Box(2, 3, 6, 8),)
    assert (found.place, found.model) == (question.place, question.model)


def test_the_shares_of_the_experts():
    winner = np.array([[1, 1], [3, 1]], np.uint8)
    none = np.zeros((2, 2), np.float32)
    assert Explanation(none, ("frozen", "b", "c"), winner, none).shares == (0.75, 0.0, 0.25)


def test_colours_are_clear_where_there_is_nothing_to_tell():
    assert HEAT.map(np.array([0.0]))[0, 3] == 0
    assert SIGNED.map(np.array([0.5]))[0, 3] == pytest.approx(0, abs=0.01)
    violet, lime = SIGNED.map(np.array([0.0, 1.0]))
    assert violet[2] > violet[1]
    assert lime[1] > lime[2]


def test_the_keys_are_free():
    keys = [key for action in ACTIONS for key in action.keys]
    assert len(keys) == len(set(keys))
    from napari.utils.shortcuts import default_shortcuts

    taken = {
        str(key)
        for name, bound in default_shortcuts.items()
        for key in bound
        if name != "napari:activate_direct_mode"  # D, on Shapes layers only
    }
    ours = {"U", "W", "D", "Ctrl+Right", "Ctrl+Left", "Ctrl+D"}
    assert not ours & taken


# --- layers ------------------------------------------------------------------------------


def test_a_layer_lies_on_its_plane():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((4, 6, 8)), scale=(3, 2, 1), translate=(10, 20, 30))
    maps = MapLayer(viewer, Map.UNCERTAINTY, viewer.add_layer)
    values = np.random.default_rng(0).random((6, 8)).astype(np.float32)
    maps.show(image, Plane((2, None, None)), values)
    assert isinstance(maps.layer, Image)
    assert maps.layer.data.shape == (1, 6, 8)
    assert np.allclose(maps.layer.data_to_world((0, 5, 7)), image.data_to_world((2, 5, 7)))
    turned = values[:4, :6]
    maps.show(image, Plane((None, None, 5)), turned)
    assert maps.layer.data.shape == (4, 6, 1)
    assert np.allclose(maps.layer.data_to_world((3, 5, 0)), image.data_to_world((3, 5, 5)))
    assert is_helper(maps.layer)
    maps.hide()
    assert not maps.layer.visible
    maps.remove()
    assert not maps.present
    assert list(viewer.layers) == [image]


def test_a_picture_and_the_winners():
    viewer = ViewerModel()
    picture = viewer.add_image(np.zeros((6, 8, 3), np.uint8), rgb=True)
    maps = MapLayer(viewer, Map.VOTES, viewer.add_layer)
    maps.show(picture, Plane((None, None)), np.ones((6, 8), np.uint8))
    assert isinstance(maps.layer, Labels)
    assert maps.layer.data.shape == (6, 8)
    assert not maps.layer.editable


# --- the model ---------------------------------------------------------------------------


@pytest.fixture
def panel(viewer, brain, qtbot):
    panel = MapsPanel(brain.controller)
    viewer.window.add_dock_widget(panel, name="Maps", area="left")
    return panel


def layer_of(panel, kind):
    return panel.maps._layers[kind].layer


def there(panel, kind):
    layer = panel.maps._layers[kind]
    return lambda: layer.present and layer.layer.visible and not panel.maps.busy


def test_nothing_is_computed_while_nothing_is_on(panel, hands, lesion, brain, answered, qtbot):
    hands.box(lesion[2])
    answered(brain)
    qtbot.wait(400)
    assert panel.maps.explanation is None
    assert not panel.maps.busy


def test_uncertainty_by_key_and_by_button(viewer, panel, hands, lesion, brain, answered, qtbot):
    hands.box(lesion[2])
    answered(brain)
    hands.key("u")
    qtbot.waitUntil(there(panel, Map.UNCERTAINTY), timeout=MODEL_MS)
    assert panel.buttons[Map.UNCERTAINTY].isChecked()
    assert "prompts on this slice" in panel.status.text()
    controller = brain.controller
    assert controller.tool.on, "the tool stays on"
    layer = layer_of(panel, Map.UNCERTAINTY)
    assert nearest_image(viewer) is not layer
    predictor = controller.asker.engine.load(controller.view.model)
    scan = controller.view.scans.scan_of(controller.image)
    window = controller.asker.engine.window_of(scan, "auto")
    embedding = predictor.encode(np.asarray(scan.data[lesion[1]]), window)
    expected = predictor.predict(embedding, core_prompts(controller.prompts))
    assert np.allclose(layer.data[0], expected.uncertainty)
    qtbot.mouseClick(panel.buttons[Map.UNCERTAINTY], Qt.MouseButton.LeftButton)
    assert layer not in viewer.layers
    assert panel.status.text() == ""


def test_another_prompt_or_slice_is_never_shown_the_old_map(
    viewer, panel, hands, lesion, brain, answered, qtbot
):
    hands.box(lesion[2])
    answered(brain)
    panel.maps.toggle("uncertainty")
    qtbot.waitUntil(there(panel, Map.UNCERTAINTY), timeout=MODEL_MS)
    first = layer_of(panel, Map.UNCERTAINTY).data.copy()
    hands.click(60, 60)
    assert not layer_of(panel, Map.UNCERTAINTY).visible
    answered(brain)
    qtbot.waitUntil(there(panel, Map.UNCERTAINTY), timeout=MODEL_MS)
    assert not np.array_equal(layer_of(panel, Map.UNCERTAINTY).data, first)
    viewer.dims.set_current_step(0, lesion[1] + 1)
    assert not layer_of(panel, Map.UNCERTAINTY).visible
    assert "Nothing to look into" in panel.status.text()
    viewer.dims.set_current_step(0, lesion[1])
    qtbot.waitUntil(there(panel, Map.UNCERTAINTY), timeout=MODEL_MS)


def test_votes_and_difference_of_the_mask(viewer, panel, hands, lesion, brain, answered, qtbot):
    hands.box(lesion[2])
    answered(brain)
    hands.key("a")
    panel.maps.toggle(Map.VOTES)
    panel.maps.toggle(Map.DIFFERENCE)
    qtbot.waitUntil(there(panel, Map.VOTES), timeout=MODEL_MS)
    qtbot.waitUntil(there(panel, Map.DIFFERENCE), timeout=MODEL_MS)
    assert "asked anew with the box" in panel.status.text()
    found = panel.maps.explanation
    assert len(found.experts) > 1
    assert sum(found.shares) == pytest.approx(1)
    assert len(panel.legend()) == len(found.experts) + 2
    winner = layer_of(panel, Map.VOTES)
    assert isinstance(winner, Labels)
    assert set(np.unique(winner.data)) <= set(range(1, len(found.experts) + 1))
    assert brain.controller.target.layer is not winner
    assert winner not in [
        brain.scan.target.itemData(row) for row in range(brain.scan.target.count())
    ]
    difference = layer_of(panel, Map.DIFFERENCE).data
    assert np.abs(difference).max() <= 1
    model = brain.controller.asker.engine.load(brain.controller.view.model).model
    assert model.experts_enabled, "the experts are on again"


def test_the_user_deletes_a_map(viewer, panel, hands, lesion, brain, answered, qtbot):
    hands.box(lesion[2])
    answered(brain)
    panel.maps.toggle(Map.UNCERTAINTY)
    qtbot.waitUntil(there(panel, Map.UNCERTAINTY), timeout=MODEL_MS)
    viewer.layers.remove(layer_of(panel, Map.UNCERTAINTY))
    assert not panel.buttons[Map.UNCERTAINTY].isChecked()
    hands.key("u")
    qtbot.waitUntil(there(panel, Map.UNCERTAINTY), timeout=MODEL_MS)
    viewer.layers.clear()
    qtbot.wait(100)
    assert len(viewer.layers) == 0
    panel.maps.toggle(Map.UNCERTAINTY)
    assert "Maps need a slice" in panel.status.text()


def test_prompts_come_first(panel, hands, lesion, brain, answered, qtbot):
    order = []
    controller = brain.controller
    controller.asker.answered.connect(lambda *_: order.append("answer"))
    panel.maps._work.answered.connect(lambda *_: order.append("map"))
    panel.maps.toggle(Map.UNCERTAINTY)
    hands.box(lesion[2])
    answered(brain)
    qtbot.waitUntil(there(panel, Map.UNCERTAINTY), timeout=MODEL_MS)
    assert order == ["answer", "map"]


def test_on_and_off_differ_only_by_the_experts(lesion):
    from icmoe_core.io import read_volume, to_display
    from icmoe_core.samples import SAMPLES

    volume = read_volume(SAMPLES["brain1"].image)
    image = Image(to_display(volume.array, volume.grid.affine))
    scan = Scans().scan_of(image)
    place = Place(str(image.unique_id), Plane((lesion[1], None, None)))
    question = Question(place, 0, (Box(*lesion[2]),), ModelChoice(), "auto")
    engine = Engine()
    with_experts = explain(engine, question, scan)
    base = without_experts(engine, question, scan)
    answer = engine.answer(question, scan)
    inside = with_experts.probability >= 0.5
    assert np.array_equal(inside, outlined(answer, inside.shape))
    assert base.shape == with_experts.probability.shape
    assert not np.array_equal(base, with_experts.probability)
    none = Question(place, 0, question.prompts, ModelChoice(experts=None), "auto")
    alone = explain(engine, none, scan)
    assert len(alone.experts) == 1
    assert np.array_equal(alone.probability, base)
