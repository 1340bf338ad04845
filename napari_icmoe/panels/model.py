"""The model panel: which model answers, on which device, and through which window it looks."""

from __future__ import annotations

from napari.layers import Image
from qtpy.QtWidgets import QCheckBox, QFormLayout, QWidget

from icmoe_core.windowing import WINDOW_NAMES, Window
from napari_icmoe.controller import AnnotateController
from napari_icmoe.panels.parts import make_combo, make_text
from napari_icmoe.questions import ModelChoice

DEVICES = ("auto", "cpu", "cuda", "mps")


class ModelPanel(QWidget):
    """Choices of model, device and window."""

    def __init__(self, controller: AnnotateController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.model = make_combo("Weights that are not on this computer are downloaded")
        self.model.addItem(controller.view.model.name, controller.view.model.name)
        self.device = make_combo("auto takes a GPU if there is one")
        self.device.addItems(DEVICES)
        self.windows = make_combo(
            "The intensities that the model gets to see, whatever the contrast on the screen: "
            "a name, or two numbers LOW,HIGH in the units of the scan"
        )
        self.windows.setEditable(True)
        self.windows.addItems(WINDOW_NAMES)
        self.seen = make_text()
        self.ahead = QCheckBox("Prepare slices in the background")
        self.ahead.setToolTip(
            "The model looks at the displayed slice and its neighbours before you ask, and at "
            "what your pointer rests on; off saves power, and answers take longer"
        )
        self.ahead.setChecked(controller.ahead.on)
        self._seen_of: Image | None = None
        self._window = controller.view.window
        self._form = form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Model", self.model)
        form.addRow("Device", self.device)
        form.addRow("Window", self.windows)
        form.addRow("", self.seen)
        form.addRow(self.ahead)
        self.model.activated.connect(self._choose_model)
        self.device.activated.connect(self._choose_model)
        self.windows.activated.connect(self._choose_window)
        line = self.windows.lineEdit()
        if line is not None:
            line.editingFinished.connect(self._choose_window)
        self.ahead.toggled.connect(controller.ahead.switch)
        controller.changed.connect(self.refresh)
        self.refresh()

    def show_models(self, entries: list[tuple[str, str]]) -> None:
        """Offer models, as pairs of a name and how it is called here."""
        chosen = self._controller.view.model.name
        self.model.clear()
        for name, text in entries:
            self.model.addItem(text, name)
        self.model.setCurrentIndex(max(0, self.model.findData(chosen)))

    def refresh(self) -> None:
        """Show what is chosen, and the window that the last answer was made with."""
        view = self._controller.view
        row = self.model.findData(view.model.name)
        if row >= 0:
            self.model.setCurrentIndex(row)
        if view.window != self._window:  # it was not chosen here
            self._window = view.window
            self.windows.setEditText(view.window)
        answer, image = self._controller.tool.shown, self._controller.image
        if answer is not None:
            self.seen.setText(_in_words(answer.window))
        elif image is not self._seen_of:
            self.seen.clear()
        self._seen_of = image
        self._form.setRowVisible(self.seen, bool(self.seen.text()))

    def _choose_model(self) -> None:
        chosen, name = self._controller.view.model, self.model.currentData()
        experts = chosen.experts if name == chosen.name else "default"  # they belong to one model
        self._controller.set_model(ModelChoice(name, self.device.currentText(), experts))

    def _choose_window(self) -> None:
        self._controller.set_window(self.windows.currentText().strip().replace(" ", ""))


def _in_words(window: Window) -> str:
    return f"last seen: {window.low:g} … {window.high:g} ({window.name})"
