"""The prompt panel: the tool, its sign, what to do next, and what to do with the preview."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QWidget,
)

from napari_icmoe.actions import ACTIONS_BY_NAME, MOVE_ACTIONS
from napari_icmoe.controller import AnnotateController
from napari_icmoe.overlays import NEGATIVE, POSITIVE
from napari_icmoe.panels.parts import (
    in_column,
    in_row,
    keys_in_brackets,
    keys_together,
    make_bar,
    make_button,
    make_text,
    set_share,
    set_text,
)
from napari_icmoe.shortcuts import pan_keys

HINT_LINES = 3
"""Of the longest hint, in a panel as wide as it is at first. With fewer, the buttons below would
jump while they are aimed at."""


class PromptPanel(QWidget):
    """Tool button, sign, hint, and the buttons for the preview and the history."""

    def __init__(self, controller: AnnotateController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.tool = make_button(checkable=True)
        self.tool.setMinimumHeight(34)
        self.tool.clicked.connect(lambda: self._do(controller.prompting.toggle))
        self.sample = make_button(
            "Open a sample scan", "A brain MR with a tumour, which comes with the plugin"
        )
        self.sample.clicked.connect(self._open_sample)

        self.positive = make_button("●  Object", checkable=True)
        self.negative = make_button("✚  Background", checkable=True)
        self.positive.setStyleSheet(
            f"QPushButton:checked {{ background: {POSITIVE}; color: black }}"
        )
        self.negative.setStyleSheet(
            f"QPushButton:checked {{ background: {NEGATIVE}; color: black }}"
        )
        signs = QButtonGroup(self)
        for button in (self.positive, self.negative):
            signs.addButton(button)
            button.clicked.connect(self._choose_sign)
        sign_row = in_row(self.positive, self.negative)

        self.hint = make_text()
        self.hint.setAlignment(Qt.AlignmentFlag.AlignTop)

        self.buttons = {
            name: make_button(text)
            for name, text in (
                ("accept", "Accept"),
                ("cancel", "Cancel"),
                ("undo", "Undo"),
                ("redo", "Redo"),
                ("remove_last", "Remove last"),
                ("clear", "Clear all"),
            )
        }
        grid = QGridLayout()
        grid.setSpacing(2)
        for position, (name, button) in enumerate(self.buttons.items()):
            button.clicked.connect(lambda _=False, name=name: self._run(name))
            grid.addWidget(button, position // 2, position % 2)
        self.buttons["accept"].setMinimumHeight(30)
        self.buttons["cancel"].setMinimumHeight(30)

        self.download = DownloadRow(controller)
        in_column(self, self.tool, sign_row, self.download, self.hint, self.sample, grid)
        controller.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the present state."""
        c = self._controller
        self.tool.setChecked(c.tool.on)
        self.tool.setEnabled(c.image is not None)
        self.tool.setText(
            f"Prompting is on{keys_in_brackets('toggle_tool')}"
            if c.tool.on
            else f"Start prompting{keys_in_brackets('toggle_tool')}"
        )
        self.positive.setChecked(c.prompting.positive)
        self.negative.setChecked(not c.prompting.positive)
        for button in (self.positive, self.negative):
            button.setToolTip(
                "What a plain click marks; Shift turns it round for one click"
                f"{keys_in_brackets('toggle_sign')}"
            )
        set_text(self.hint, self._hint(), HINT_LINES)
        self.sample.setVisible(c.image is None)
        self.download.refresh()
        history = c.session.history
        self.buttons["accept"].setEnabled(bool(c.prompts or c.view.proposals))
        begun = c.pointer.has_begun or c.propagating.running
        self.buttons["cancel"].setEnabled(bool(c.prompts) or begun)
        self.buttons["remove_last"].setEnabled(bool(c.prompts))
        self.buttons["clear"].setEnabled(c.reviewing.on_image(c.session.state.prompts))
        self.buttons["undo"].setEnabled(history.next_undo is not None)
        self.buttons["redo"].setEnabled(history.next_redo is not None)
        for name, button in self.buttons.items():
            tip = f"{ACTIONS_BY_NAME[name].description}{keys_in_brackets(name)}"
            if name == "undo" and history.next_undo:
                tip = f"Undo: {history.next_undo}{keys_in_brackets(name)}"
            if name == "redo" and history.next_redo:
                tip = f"Redo: {history.next_redo}{keys_in_brackets(name)}"
            button.setToolTip(tip)

    def _hint(self) -> str:
        c = self._controller
        if c.image is None:
            return "Open a scan (File → Open, or drop it on the window) to begin."
        if c.view.plane is None:
            return "Prompts need a slice: show the scan in 2D and move the slider onto it."
        if c.prompts:
            if c.asker.downloading:
                return "Your prompts are answered as soon as the model is here."
            if c.asker.slow or (c.asker.busy and c.answer is None):
                # Words, since an animated bar redraws the canvas with every frame.
                loaded = c.asker.engine.loaded
                return "Working …" if loaded else "The model is being loaded; your prompts wait."
            if c.answer is None and not c.busy:
                return (
                    "There is no preview. Change the prompts or the model, or try again"
                    f"{keys_in_brackets('accept')}."
                )
            return (
                "Wrong somewhere? Click what is missing, Shift-click what is too much. "
                f"Right? Accept it{keys_in_brackets('accept')}."
            )
        if c.view.proposals:
            return (
                f"Proposed. Right? Accept it{keys_in_brackets('accept')}. Wrong? Click what is "
                f"missing, Shift-click what is too much, or reject it{keys_in_brackets('reject')}."
            )
        if not c.tool.on:
            return "Start prompting, then click on a structure or drag a box around it."
        if c.pointer.position is not None:
            return (
                f"{keys_together(MOVE_ACTIONS)} move the pointer. Click at it"
                f"{keys_in_brackets('point_click')}, or begin a box at it and end it at the "
                f"opposite corner{keys_in_brackets('point_box')}."
            )
        return (
            "Click on a structure, or drag a box around it. "
            f"Hold {' or '.join(pan_keys()) or 'the pan key'} to pan and zoom; Ctrl-click removes "
            f"a prompt. Without a mouse: {keys_together(MOVE_ACTIONS)}."
        )

    def _choose_sign(self) -> None:
        if self.positive.isChecked() != self._controller.prompting.positive:
            self._controller.prompting.toggle_sign()

    def _run(self, name: str) -> None:
        self._do(lambda: ACTIONS_BY_NAME[name].run(self._controller))

    def _do(self, action: Callable[[], None]) -> None:
        action()
        self.refresh()

    def _open_sample(self) -> None:
        self._controller.viewer.open_sample("napari-icmoe", "brain")


class DownloadRow(QWidget):
    """How far the download of a model has come, and a button that ends it."""

    def __init__(self, controller: AnnotateController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.bar = make_bar()
        self.text = make_text()
        self.cancel = make_button("Cancel", "End the download; what came is kept")
        self.cancel.clicked.connect(lambda: controller.asker.cancel_download())
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text, 0, 0, 1, 2)
        layout.addWidget(self.bar, 1, 0)
        layout.addWidget(self.cancel, 1, 1)
        self.hide()

    def refresh(self) -> None:
        """Show the present state; nothing where nothing is being downloaded."""
        asker = self._controller.asker
        if asker.downloading is None or asker.progress is None:
            self.hide()
            return
        have, whole = (number / 1e6 for number in asker.progress)
        set_share(self.bar, have / max(whole, 1e-6))
        set_text(self.text, f"Downloading {asker.downloading}: {have:.0f} of {whole:.0f} MB")
        self.show()
