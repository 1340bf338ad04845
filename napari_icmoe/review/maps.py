"""Maps: overlays that show how sure the model is of its answer, and who decided it.

They belong to the prompts on the displayed slice, or else to what is outlined there. They are
computed only while they are wanted, on the engine's thread, after whatever the user asks.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal

from icmoe_core.errors import IcmoeError
from napari_icmoe.engine import MissingWeightsError
from napari_icmoe.events import Connections
from napari_icmoe.history import Step
from napari_icmoe.next_turn import next_turn
from napari_icmoe.questions import Question
from napari_icmoe.review.explaining import Explanation, explain, question_of_mask, without_experts
from napari_icmoe.review.map_layers import Map, MapLayer
from napari_icmoe.timers import once
from napari_icmoe.workers import NewestWins

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController

logger = logging.getLogger(__name__)

SETTLE_MS = 150
"""A slice is explained once nothing has changed for this long, and nobody waits for the model."""


class Maps(QObject):
    """The overlays of one viewer.

    Parameters
    ----------
    controller : AnnotateController

    Attributes
    ----------
    on : set of Map
        Those that the user has switched on.
    explanation : Explanation or None
        Of exactly what is displayed, if it is there.
    """

    changed = Signal()
    """What is on, what is shown, or what is waited for is another one."""

    def __init__(self, controller: AnnotateController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.on: set[Map] = set()
        self.explanation: Explanation | None = None
        self._about = self._fault = ""
        self._controller = controller
        self._question: Question | None = None  # what the explanation is of
        self._difference: NDArray[np.float32] | None = None
        self._layers = {kind: MapLayer(controller.viewer, kind, self._add_layer) for kind in Map}
        self._work = NewestWins(self, controller.asker.worker)
        self._work.answered.connect(self._on_done)
        self._work.failed.connect(self._on_failed)
        self._settled = once(SETTLE_MS, self)
        self._settled.timeout.connect(self._ask)
        self._connections = Connections()
        self._connections.add(self._on_removed, controller.viewer.layers.events.removed)
        controller.changed.connect(self.refresh)
        # prompts are told of before anything is drawn: an old map must not be seen beside them
        controller.session.listeners.append(self._on_step)

    @property
    def busy(self) -> bool:
        """Whether a map is on its way."""
        return bool(self.on) and self._question is not None and not self._fault and self._missing()

    @property
    def status(self) -> str:
        """What the maps are about, or why there is none, in a sentence."""
        if not self.on:
            return ""
        return self._fault or ("Working …" if self.busy else self._about)

    def toggle(self, kind: Map | str) -> None:
        """Switch a map on or off."""
        self.switch(Map(kind), Map(kind) not in self.on)

    def switch(self, kind: Map, on: bool) -> None:
        """Switch a map on or off."""
        if on:
            self.on.add(kind)
            self._fault = ""
        else:
            self.on.discard(kind)
            self._layers[kind].remove()
        self.refresh()
        self.changed.emit()

    def refresh(self) -> None:
        """Show what is known of the displayed slice; ask for what is missing."""
        if not isalive(self):
            return
        question = self._wanted() if self.on else None
        if question != self._question:  # nothing stale stays on the screen
            self._question, self.explanation, self._difference = question, None, None
            self._fault = ""
            self._work.drop()
        self._draw()
        if self.busy and not self._settled.isActive():
            self._settled.start()
        self.changed.emit()

    def lay_anew(self) -> None:
        """Lay the overlays onto the image anew, which lies elsewhere now."""
        for layer in self._layers.values():
            layer.remove()
        self.refresh()

    def close(self) -> None:
        """Take the overlays away; nothing more is asked."""
        if self._on_step in self._controller.session.listeners:
            self._controller.session.listeners.remove(self._on_step)
        self._connections.close()
        self._settled.stop()
        self._work.close()
        self.on.clear()
        for layer in self._layers.values():
            layer.remove()

    def _on_step(self, what: str, step: Step) -> None:
        if self.on:
            self.refresh()

    # --- what is asked -------------------------------------------------------------------

    def _wanted(self) -> Question | None:
        """Return what the maps are about: the prompts on the slice, or the box of an outline."""
        view = self._controller.view
        question = view.question
        if question is None:
            self._about = "Maps need a slice: open a scan, and show it in 2D."
            return None
        if question.prompts:
            self._about = "Of the prompts on this slice."
            return question
        found = question_of_mask(question, self._outline(question))
        name = self._class_name()
        self._about = (
            f"Of {name} on this slice, asked anew with the box around it."
            if found is not None
            else f"Nothing to look into on this slice: make a prompt, or outline {name}."
        )
        return found

    def _outline(self, question: Question) -> NDArray[np.bool_]:
        """Return what is proposed for the active class on the slice, or else its mask."""
        view, target = self._controller.view, self._controller.target
        label = self._controller.session.state.active_class
        for proposal in view.proposals:
            if proposal.label == label:
                return proposal.mask
        if target is None or target.layer.data.shape != view.shape:
            return np.zeros((0, 0), bool)
        return np.asarray(target.layer.data[question.place.plane.index]) == label

    def _class_name(self) -> str:
        state = self._controller.session.state
        return repr(state.classes[state.active_class].name)

    def _missing(self) -> bool:
        wants_base = Map.DIFFERENCE in self.on and self._difference is None
        return self.explanation is None or wants_base

    def _ask(self) -> None:
        question, asker = self._question, self._controller.asker
        image = self._controller.image
        if question is None or image is None or not self.busy:
            return
        if asker.busy or self._work.busy:  # what the user asks comes first
            self._settled.start()
            return
        work = explain if self.explanation is None else without_experts
        scan, prior = self._controller.view.scans.scan_of(image), asker.prior_of(question)
        self._work.submit(question, partial(work, asker.engine, question, scan, prior))

    def _on_done(self, question: Question, result: Any) -> None:
        if question != self._question:
            return
        if isinstance(result, Explanation):
            self.explanation = result
        elif self.explanation is not None:
            self._difference = self.explanation.probability - result
        self.refresh()

    def _on_failed(self, question: Question, error: Exception) -> None:
        if isinstance(error, MissingWeightsError):
            self._fault = "The model is not on this computer yet: make a prompt to download it."
        elif isinstance(error, IcmoeError):
            self._fault = str(error)
        else:
            logger.error("A map failed", exc_info=error)
            self._fault = f"The map could not be made ({error})."
        self.changed.emit()

    # --- what is shown -------------------------------------------------------------------

    def _draw(self) -> None:
        image, question, found = self._controller.image, self._question, self.explanation
        if image is None:  # napari may be in the middle of deleting several layers
            next_turn(self, self._clear_away)
        values: dict[Map, NDArray | None] = dict.fromkeys(Map)
        if found is not None:
            values = {
                Map.UNCERTAINTY: found.uncertainty,
                Map.VOTES: found.winner,
                Map.DIFFERENCE: self._difference,
            }
        for kind, layer in self._layers.items():
            shown = values[kind]
            if kind not in self.on or shown is None or image is None or question is None:
                layer.hide()
            elif layer.values is not shown or not layer.present:
                layer.show(image, question.place.plane, shown, question.region)

    def _clear_away(self) -> None:
        if isalive(self) and self._controller.image is None:
            for layer in self._layers.values():
                layer.remove()

    def _add_layer(self, layer: Layer) -> None:
        """Put a map above masks and preview, which would cover it, and below the prompts."""
        tool, layers = self._controller.tool, self._controller.viewer.layers
        with tool.keeping_active():
            layers.append(layer)
            if tool.overlays.boxes in layers:
                layers.move(layers.index(layer), layers.index(tool.overlays.boxes))

    def _on_removed(self, event: Any) -> None:
        if not isalive(self):
            return
        for kind, layer in self._layers.items():
            if layer.layer is not None and event.value is layer.layer:
                layer.layer = None  # the user has deleted it, and that is an answer
                self.on.discard(kind)
                self.changed.emit()
