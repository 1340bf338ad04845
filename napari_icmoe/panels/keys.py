"""The keys panel: every key and mouse gesture, as they are bound at present."""

from __future__ import annotations

from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_icmoe.controller import AnnotateController
from napari_icmoe.panels.parts import make_text
from napari_icmoe.shortcuts import ACTIONS, CLASS_ACTIONS, keys_of, pan_keys

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
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setVerticalSpacing(1)
        self._grid.setColumnStretch(1, 1)
        self._shown: list[tuple[str, str]] = []
        controller.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the present keys: users may have rebound them."""
        held = [(f"Hold {key}", "Pan and zoom") for key in pan_keys()]
        first, last = (" or ".join(keys_of(CLASS_ACTIONS[i])) or "—" for i in (0, -1))
        rows = [*GESTURES, *held, (f"{first} … {last}", "Choose a class of the table")]
        rows += [(" or ".join(keys_of(action)) or "—", action.description) for action in ACTIONS]
        rows.append(("", "Rebind keys under File → Preferences → Shortcuts."))
        if rows == self._shown:
            return
        self._shown = rows
        while (item := self._grid.takeAt(0)) is not None:
            old = item.widget()
            if old is not None:
                old.deleteLater()
        for row, (keys, meaning) in enumerate(rows):
            label = make_text()
            label.setText(meaning)
            if keys:
                self._grid.addWidget(QLabel(f"<b>{keys}</b>"), row, 0)
                self._grid.addWidget(label, row, 1)
            else:
                self._grid.addWidget(label, row, 0, 1, 2)
