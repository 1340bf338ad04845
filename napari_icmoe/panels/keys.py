"""The keys panel: every key and mouse gesture, as they are bound at present."""

from __future__ import annotations

from html import escape

from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_icmoe.actions import ACTIONS, CLASS_ACTIONS, FAR_ACTIONS, MOVE_ACTIONS
from napari_icmoe.controller import AnnotateController
from napari_icmoe.keyboard_pointer import STRIDE
from napari_icmoe.panels.parts import in_column, keys_together, make_text
from napari_icmoe.shortcuts import keys_of, pan_keys

WITHIN = (
    ("← →", "The slice before, the slice after"),
    ("Tab, Space", "In this widget: on to the next part; press it"),
    ("Enter, F2", "In a table: change what is in the cell"),
)
GESTURES = (
    ("Click", "Point on the object"),
    ("Shift-click", "Point on the background"),
    ("Drag", "Box around the object"),
    ("Ctrl-click", "Remove the prompt under the pointer"),
)


class KeysPanel(QWidget):
    """A table of gestures and keys."""

    def __init__(self, controller: AnnotateController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = make_text()
        self.table.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        in_column(self, self.table)
        controller.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the present keys: users may have rebound them."""
        held = [(f"Hold {key}", "Pan and zoom") for key in pan_keys()]
        first, last = (" or ".join(keys_of(CLASS_ACTIONS[i])) or "—" for i in (0, -1))
        rows = [*GESTURES, *held, (f"{first} … {last}", "Choose a class of the table")]
        rows += [(" or ".join(keys_of(action)) or "—", action.description) for action in ACTIONS]
        rows += [
            (keys_together(actions), f"Move the keyboard pointer by {length}")
            for actions, length in ((MOVE_ACTIONS, "a pixel"), (FAR_ACTIONS, f"{STRIDE} pixels"))
        ]
        rows += WITHIN
        cells = "".join(
            f"<tr><td style='padding-right: 8px'><b>{escape(keys)}</b></td>"
            f"<td>{escape(meaning)}</td></tr>"
            for keys, meaning in rows
        )
        text = f"<table>{cells}</table>Rebind keys under File → Preferences → Shortcuts."
        if text != self.table.text():
            self.table.setText(text)
            self._fit_height()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Be as high as the table needs to be at the new width."""
        super().resizeEvent(event)
        self._fit_height()

    def _fit_height(self) -> None:
        self.table.setMinimumHeight(self.table.heightForWidth(self.width()))
