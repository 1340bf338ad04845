"""The maps panel: switches of the overlays that show the model's doubt, and what they mean."""

from __future__ import annotations

from qtpy.compat import isalive
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_icmoe.actions import MAP_ACTIONS
from napari_icmoe.controller import AnnotateController
from napari_icmoe.panels.parts import in_column, make_button, make_swatch, make_text, with_keys
from napari_icmoe.review.map_layers import ADDED, REMOVED, Map, expert_color

TEXTS = {
    Map.UNCERTAINTY: "Uncertainty",
    Map.VOTES: "Winning expert",
    Map.DIFFERENCE: "Difference",
}
TIPS = {
    Map.UNCERTAINTY: "How open the experts' vote was: clear at 0, magenta at 1 bit. Measured on "
    "held-out slices, a wrong pixel near the object was more uncertain than a right one 87 times "
    "in 100. A certain answer can be wrong all the same.",
    Map.VOTES: "Whose vote counts most at each pixel. The legend tells the colours.",
    Map.DIFFERENCE: "What the experts change: lime where they make the object more likely, "
    "violet where less, nothing where they agree with the base model.",
}


class MapsPanel(QWidget):
    """A button for each map, a sentence about what they show, and the legends."""

    def __init__(self, controller: AnnotateController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.maps = controller.maps
        self.buttons = {}
        row = QGridLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        for column, kind in enumerate(Map):
            button = make_button(TEXTS[kind], checkable=True)
            button.clicked.connect(lambda _=False, kind=kind: self.maps.toggle(kind))
            row.addWidget(button, 0, column)
            self.buttons[kind] = button
        self.status = make_text()
        self._legend = QWidget()
        self._rows = QGridLayout(self._legend)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setVerticalSpacing(1)
        self._rows.setColumnStretch(1, 1)
        self._shown: list[tuple[tuple[int, int, int], str]] = []
        in_column(self, row, self.status, self._legend)
        self.maps.changed.connect(self.refresh)
        controller.changed.connect(self._refresh_keys)
        self._refresh_keys()
        self.refresh()

    def refresh(self) -> None:
        """Show which maps are on, what they are about, and their legends."""
        if not isalive(self):
            return
        for kind, button in self.buttons.items():
            button.setChecked(kind in self.maps.on)
        text = self.maps.status
        if text != self.status.text():
            self.status.setText(text)
        self.status.setVisible(bool(text))
        self._show_legend()

    def legend(self) -> list[tuple[tuple[int, int, int], str]]:
        """Return the colours on the slice, and what each stands for."""
        found, rows = self.maps.explanation, []
        if Map.VOTES in self.maps.on and found is not None:
            if len(found.experts) == 1:
                rows.append((expert_color(0), "No experts took part: the base decides everywhere"))
            else:
                for position, (name, share) in enumerate(
                    zip(found.experts, found.shares, strict=True)
                ):
                    rows.append((expert_color(position), f"{name}: {_percent(share)}"))
        if Map.DIFFERENCE in self.maps.on and found is not None:
            rows.append((_rgb(ADDED), "more likely with the experts"))
            rows.append((_rgb(REMOVED), "less likely with the experts"))
        return rows

    def _show_legend(self) -> None:
        rows = self.legend()
        if rows == self._shown:
            return
        self._shown = rows
        while (item := self._rows.takeAt(0)) is not None:
            old = item.widget()
            if old is not None:
                old.hide()  # it is deleted a moment later
                old.deleteLater()
        for row, (color, meaning) in enumerate(rows):
            swatch, text = QLabel(), make_text()
            swatch.setPixmap(make_swatch(color).pixmap(14, 14))
            text.setText(meaning)
            self._rows.addWidget(swatch, row, 0)
            self._rows.addWidget(text, row, 1)
        self._legend.setVisible(bool(rows))

    def _refresh_keys(self) -> None:
        if not isalive(self):
            return
        for kind, action in zip(Map, MAP_ACTIONS, strict=True):
            self.buttons[kind].setToolTip(with_keys(TIPS[kind], action.name))


def _percent(share: float) -> str:
    return "< 1 % of the slice" if 0 < share < 0.01 else f"{100 * share:.0f} % of the slice"


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
