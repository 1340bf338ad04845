"""The strip: one mark for each slice of the stack, and how many there are of each kind."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QToolTip, QVBoxLayout, QWidget

from napari_icmoe.controller import AnnotateController
from napari_icmoe.panels.parts import make_text, set_text
from napari_icmoe.review.marks import SliceState

HEIGHT = 30
COLORS = {
    SliceState.EMPTY: "#808080",
    SliceState.PROPOSED: "#4aa8ff",
    SliceState.DOUBTFUL: "#ffb02e",
    SliceState.ACCEPTED: "#2ea043",
    SliceState.EDITED: "#b07cff",
    SliceState.APPROVED: "#2ee6a6",
}
FILLS = {  # how high a mark is, so that colours are not all that tells them apart
    SliceState.EMPTY: 0.15,
    SliceState.PROPOSED: 0.55,
    SliceState.DOUBTFUL: 0.9,
    SliceState.ACCEPTED: 0.7,
    SliceState.EDITED: 0.8,
    SliceState.APPROVED: 1.0,
}
OUTLINED = (SliceState.PROPOSED, SliceState.DOUBTFUL)
_GAP_FROM = 4.0  # pixels a slice from which marks have a gap between them
_POINTER = 5  # height of the triangle that shows where one is


class Strip(QWidget):
    """Marks along the axis of the stack; a click goes to a slice, the arrow keys go along."""

    chosen = Signal(int)
    """Number of the slice that was clicked on."""

    def __init__(self, controller: AnnotateController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.states: list[SliceState] = []
        self.position: int | None = None
        self.setFixedHeight(HEIGHT)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName("Slices of the stack")
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def show_states(self, states: list[SliceState], position: int | None) -> None:
        """Draw the states of all slices, and where one is."""
        if (states, position) != (self.states, self.position):
            self.states, self.position = states, position
            self.update()

    def slice_at(self, x: float) -> int:
        """Return the number of the slice whose mark lies at `x`."""
        count = len(self.states)
        return min(max(int(x / max(self.width(), 1) * count), 0), count - 1)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the marks."""
        painter = QPainter(self)
        if not self.states:
            return
        step = self.width() / len(self.states)
        gap = 1.0 if step >= _GAP_FROM else 0.0
        floor = self.height() - _POINTER - 1
        for number, state in enumerate(self.states):
            high = FILLS[state] * (floor - 1)
            mark = QRectF(number * step, floor - high, max(step - gap, 1.0), high)
            color = QColor(COLORS[state])
            if state in OUTLINED and step >= _GAP_FROM:
                faint = QColor(color)
                faint.setAlpha(90)
                painter.fillRect(mark, faint)
                painter.setPen(QPen(color, 1))
                painter.drawRect(mark.adjusted(0.5, 0.5, -0.5, -0.5))
            else:
                painter.fillRect(mark, color)
        if self.position is not None:
            middle = (self.position + 0.5) * step
            painter.setPen(QPen(self.palette().windowText().color(), 1.5))
            painter.drawLine(int(middle), 0, int(middle), floor)
            painter.drawLine(int(middle), floor, int(middle) - _POINTER, self.height())
            painter.drawLine(int(middle), floor, int(middle) + _POINTER, self.height())
        if self.hasFocus():
            painter.setPen(QPen(self.palette().highlight().color(), 1))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Go to the slice under the pointer."""
        if self.states and event.button() == Qt.MouseButton.LeftButton:
            self.chosen.emit(self.slice_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Go along with the pointer while the button is held."""
        if self.states and event.buttons() & Qt.MouseButton.LeftButton:
            self.chosen.emit(self.slice_at(event.position().x()))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Go to the slice before or after."""
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        if step is None or self.position is None:
            super().keyPressEvent(event)
        else:
            self.chosen.emit(min(max(self.position + step, 0), len(self.states) - 1))

    def event(self, event: QEvent) -> bool:
        """Say what is known of the slice under the pointer."""
        if isinstance(event, QHelpEvent) and self.states:
            number = self.slice_at(event.pos().x())
            lines = [f"Slice {number}: {self.states[number].value}"]
            lines += self._controller.reviewing.cautions(number)
            QToolTip.showText(event.globalPos(), "\n".join(lines), self)
            return True
        return super().event(event)


class StripPanel(QWidget):
    """The strip with its counts."""

    def __init__(self, controller: AnnotateController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.strip = Strip(controller)
        self.counts = make_text()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 0, 6, 0)
        layout.setSpacing(2)
        layout.addWidget(self.strip)
        layout.addWidget(self.counts)
        self.strip.chosen.connect(controller.reviewing.go_to)
        controller.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the present states."""
        reviewing = self._controller.reviewing
        states = reviewing.states()
        self.setVisible(len(states) > 1)
        self.strip.show_states(states, reviewing.position)
        set_text(self.counts, _counts(states, reviewing.position))


def _counts(states: list[SliceState], position: int | None) -> str:
    here = "" if position is None else f"Slice {position} of 0 … {len(states) - 1}"
    told = [
        f'<span style="color:{COLORS[state]}">■</span>&nbsp;{states.count(state)}&nbsp;'
        + state.value.replace(" ", "&nbsp;")
        for state in SliceState
        if state is not SliceState.EMPTY and state in states
    ]
    return " &nbsp; ".join([here, *told])  # a line ends between two counts, not within one
