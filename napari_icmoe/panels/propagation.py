"""The propagation panel: from which slice to which, of what, and why it ended where it did."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QSpinBox, QWidget

from napari_icmoe.controller import AnnotateController
from napari_icmoe.panels.parts import make_button, make_spin_box, make_text, set_text, with_keys

_EMPTY = (
    "Accept an outline on one slice or several, then propagate it: every slice around it gets a "
    "proposal, which you accept or reject."
)


class PropagationPanel(QWidget):
    """Range, objects, start and cancel; and how the last run ended."""

    def __init__(self, controller: AnnotateController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._range_of: tuple[str, int, int] | None = None
        self._ranges: dict[tuple[str, int, int], tuple[int, int]] = {}
        self._endings: object = None  # of the last run that was seen
        self._run_on: str | None = None  # unique id of the image that it was on
        self.first = make_spin_box("First slice of the range to fill, included")
        self.last = make_spin_box("Last slice of the range to fill, included")
        self.from_here = make_button("⇤", "Let the range begin on the displayed slice")
        self.to_here = make_button("⇥", "Let the range end on the displayed slice")
        self.every = QCheckBox("All classes")
        self.every.setToolTip(
            "Carry on every class that is not locked, in one run, instead of the active one"
        )
        self.start = make_button("Propagate")
        self.start.setMinimumHeight(30)
        self.cancel = make_button("Cancel", "End the run; what was proposed so far is kept")
        self.text = make_text()
        self.text.setTextFormat(Qt.TextFormat.PlainText)  # names of classes are in it

        ends = QHBoxLayout()
        ends.setSpacing(3)
        for part in (QLabel("From"), self.first, self.from_here, QLabel("to"), self.last):
            ends.addWidget(part)
        ends.addWidget(self.to_here)
        ends.addStretch(1)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(3)
        grid.addLayout(ends, 0, 0, 1, 2)
        grid.addWidget(self.every, 1, 0, 1, 2)
        grid.addWidget(self.start, 2, 0)
        grid.addWidget(self.cancel, 2, 1)
        grid.addWidget(self.text, 3, 0, 1, 2)

        self.from_here.clicked.connect(lambda: self._set_end(self.first))
        self.to_here.clicked.connect(lambda: self._set_end(self.last))
        # a range that would end before it begins takes the other end along
        self.first.valueChanged.connect(lambda first: self._push(self.last, max, first))
        self.last.valueChanged.connect(lambda last: self._push(self.first, min, last))
        self.every.toggled.connect(self._note_range)
        self.start.clicked.connect(lambda: controller.ordering.propagate())
        self.cancel.clicked.connect(lambda: controller.propagating.cancel())
        controller.began.connect(self._take_typed)
        controller.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the present state."""
        c = self._controller
        size = len(c.reviewing.stack)
        self._fit_range(size)
        running = c.propagating.running
        shown = None if c.image is None else str(c.image.unique_id)
        if running and c.propagating.endings is not self._endings:  # it has just begun
            self._endings, self._run_on = c.propagating.endings, shown
        for part in (self.first, self.last, self.from_here, self.to_here, self.every):
            part.setEnabled(size > 1 and not running)
        self.start.setEnabled(size > 1 and c.target is not None and not running)
        self.start.setToolTip(
            with_keys(
                "Propose outlines on the slices of the range, from those of the mask", "propagate"
            )
        )
        self.cancel.setEnabled(running)
        set_text(self.text, self._words(size, ended_here=shown == self._run_on))

    def _words(self, size: int, *, ended_here: bool) -> str:
        c = self._controller
        if c.image is None or size < 2:
            return "Propagation needs a scan of several slices."
        if c.propagating.running:
            done, whole = c.propagating.progress
            return f"{done} of up to {whole} slices are proposed …" if done else "Beginning …"
        if c.propagating.endings and ended_here:
            return "\n".join(ending.reason for ending in c.propagating.endings)
        return "" if c.reviewing.on_image(c.session.state.proposals) else _EMPTY

    def _fit_range(self, size: int) -> None:
        """Let the range be that of the stack that is displayed: as it was left, or all of it."""
        c = self._controller
        place = c.view.place
        axis = None if place is None else place.plane.cut_axis
        if place is None or axis is None:
            self._range_of = None
            return
        stack = (place.image, axis, size)
        if stack == self._range_of:
            return
        self._range_of = stack
        first, last = self._ranges.get(stack, (0, size - 1))
        for box, value in ((self.first, first), (self.last, last)):
            box.blockSignals(True)
            box.setRange(0, size - 1)
            box.setValue(value)
            box.blockSignals(False)
        self._note_range()

    def _set_end(self, box: QSpinBox) -> None:
        position = self._controller.reviewing.position
        if position is not None:
            box.setValue(position)

    def _push(self, other: QSpinBox, bound: Callable[[int, int], int], end: int) -> None:
        """Let the other end of the range be at `end` at most, or at least."""
        other.setValue(bound(other.value(), end))
        self._note_range()

    def _take_typed(self) -> None:
        """Take what is being typed: keys and buttons do not take the keyboard from the boxes."""
        for box in (self.first, self.last):
            box.interpretText()

    def _note_range(self) -> None:
        if self._range_of is not None:
            self._ranges[self._range_of] = self.first.value(), self.last.value()
        self._controller.ordering.choose_range(
            self.first.value(), self.last.value(), every=self.every.isChecked()
        )
