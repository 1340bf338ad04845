"""Memory stays bounded over 1,000 clicks on 20 volumes, all of them encoded ahead."""

import gc
import weakref

import numpy as np
import psutil
from slice_gate import noise

from icmoe_core.embeddings import EmbeddingCache
from napari_icmoe import engine as engines
from napari_icmoe.annotate import AnnotateWidget
from napari_icmoe.questions import ModelChoice
from napari_icmoe.state import Click

VOLUMES, CLICKS, SLICES = 20, 50, 6
WAIT_MS = 20_000
SETTLED_AFTER = 8
"""So many volumes fill what is kept for a while; from then on nothing may grow."""


class Volume(np.ndarray):
    """An array to which a weak reference may be held."""


def add_volume(viewer, number):
    """Open a volume, in place of the one before; the only reference to it is the window's."""
    volume = (noise(SLICES, 48, 64) + number).view(Volume)
    viewer.add_image(volume, name=f"volume {number}")
    return weakref.ref(volume)


def test_a_thousand_clicks_on_twenty_volumes(
    make_napari_viewer, qtbot, gate, tiny_name, monkeypatch
):
    monkeypatch.setattr(engines, "WINDOWS", 5)
    viewer = make_napari_viewer()
    widget = AnnotateWidget(viewer)
    viewer.window.add_dock_widget(widget)
    controller = widget.controller
    controller.set_model(ModelChoice(tiny_name, "cpu"))
    asker = controller.asker
    volumes, sizes = [], []
    embeddings = []
    add = EmbeddingCache.add

    def add_watched(cache, embedding):
        embeddings.append(weakref.ref(embedding))
        return add(cache, embedding)

    monkeypatch.setattr(EmbeddingCache, "add", add_watched)
    ahead = controller.ahead
    process = psutil.Process()
    for number in range(VOLUMES):
        volumes.append(add_volume(viewer, number))
        image = viewer.layers[f"volume {number}"]
        controller.set_image(image)
        if number:
            viewer.layers.remove(f"volume {number - 1}")
        for click in range(CLICKS):
            viewer.dims.set_current_step(0, click // 10 % SLICES)
            controller.prompting.add(Click(click % 48, click % 64))
            qtbot.waitUntil(lambda: controller.answer is not None, timeout=WAIT_MS)
            if click % 10 == 9:
                controller.prompting.clear()
        qtbot.waitUntil(lambda: ahead.progress == (SLICES, SLICES), timeout=WAIT_MS)
        predictor = asker.engine.load(controller.view.model)
        assert predictor.cache.nbytes <= predictor.cache.capacity_bytes
        assert asker.answers.nbytes <= asker.answers.limit_bytes
        assert len(asker.engine._windows) <= 5
        predictor.cache.clear()  # it is bounded, and is not what is looked for here
        asker.answers.forget_image(str(image.unique_id))
        gc.collect()
        assert sum(one() is not None for one in embeddings) <= 1
        sizes.append(process.memory_info().rss)
    print("MB after each volume:", [round(size / 1e6, 1) for size in sizes])
    assert len(ahead._queue._known) <= 1
    qtbot.waitUntil(lambda: not any(one() is not None for one in volumes[:-1]), timeout=WAIT_MS)
    growth = (sizes[-1] - sizes[SETTLED_AFTER]) / (VOLUMES - 1 - SETTLED_AFTER)
    assert growth < 500_000, "bytes a volume"
