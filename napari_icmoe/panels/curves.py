"""The curves of a training: losses, Dice on what is held out, and the experts' load."""

from __future__ import annotations

import math

import pyqtgraph
from napari.utils.theme import get_theme
from qtpy.QtCore import Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_icmoe.learning.curves import Curves, Series
from napari_icmoe.panels.parts import make_text

HEIGHT = 90
LEAST_WIDTH = 260
"""Of the view in a narrow dock, before it is laid out."""
STEPS = 50
"""The plots grow by that many steps at once: an axis that stays as it is need not be drawn anew."""
PENS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#0072b2", "#999999", "#b8a800")
"""Colours that stay apart with any colour vision (Okabe and Ito), readable on dark and light."""

LOSS_TIP = "Each term of the loss, smoothed; lower is better"
DICE_TIP = "Mean Dice on the held-out slices, with a box and with one click; higher is better"
LOAD_TIP = "How often each adaptive expert is chosen; even shares are good"


class CurvesView(QWidget):
    """Three plots under each other, each with its legend in words above it."""

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(1)
        self.plots = {
            name: _Plot(name, tip)
            for name, tip in (("Loss", LOSS_TIP), ("Dice", DICE_TIP), ("Load", LOAD_TIP))
        }
        for name in ("Loss", "Dice"):  # all have the same steps
            self.plots[name].canvas.hideAxis("bottom")
        for plot in self.plots.values():
            layout.addWidget(plot.legend)
            layout.addWidget(plot.canvas)
        self.set_theme(theme)

    def set_theme(self, theme: str) -> None:
        """Take the colours of a napari theme."""
        colors = get_theme(theme)
        for plot in self.plots.values():
            plot.set_colors(colors.background.as_hex(), colors.text.as_hex())

    def show_curves(self, curves: Curves) -> None:
        """Draw the series as they are now."""
        last = max((one.steps[-1] for one in curves.losses.values() if one.steps), default=0)
        load = {f"expert {number}": one for number, one in enumerate(curves.load, start=1)}
        self.plots["Loss"].show_series(curves.losses, last)
        self.plots["Dice"].show_series({"box": curves.box, "click": curves.click}, last)
        self.plots["Load"].show_series(load, last)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Wrap the legends anew."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Be as high as the wrapped legends need.

        A section that folds asks how high its content would like to be, and not at which width.
        """
        for plot in self.plots.values():
            plot.legend.setFixedHeight(plot.legend.heightForWidth(max(self.width(), LEAST_WIDTH)))
        self.setMinimumHeight(self.sizeHint().height())


class _Plot:
    """A small plot without buttons, and a legend."""

    def __init__(self, name: str, tip: str) -> None:
        self._name = name
        self._items: dict[str, pyqtgraph.PlotDataItem] = {}
        self.legend: QLabel = make_text()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setToolTip(tip)
        self.canvas = pyqtgraph.PlotWidget()
        self.canvas.setFixedHeight(HEIGHT)
        self.canvas.setToolTip(tip)
        self.canvas.setAccessibleName(f"Curve of {name.lower()}")
        self.canvas.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.canvas.setMouseEnabled(x=False, y=False)
        self.canvas.setMenuEnabled(False)
        self.canvas.hideButtons()
        self.canvas.getPlotItem().getAxis("left").setWidth(34)
        self._ranges: tuple[float, float] = (0.0, 0.0)

    def set_colors(self, background: str, text: str) -> None:
        self.canvas.setBackground(background)
        for side in ("left", "bottom"):
            axis = self.canvas.getPlotItem().getAxis(side)
            axis.setPen(text)
            axis.setTextPen(text)

    def show_series(self, series: dict[str, Series], last: int) -> None:
        self._fit(last, max((max(one.values, default=0.0) for one in series.values()), default=0.0))
        parts = []
        for (name, one), color in zip(series.items(), PENS, strict=False):
            if name not in self._items:
                pen = pyqtgraph.mkPen(color, width=1)
                marks = {"symbol": "o", "symbolSize": 5, "symbolBrush": color, "symbolPen": None}
                few = marks if self._name == "Dice" else {}
                self._items[name] = self.canvas.plot(pen=pen, **few)
            self._items[name].setData(one.steps, one.values)
            value = f"&nbsp;{one.values[-1]:.2f}" if one.values else ""
            words = name.replace(" ", "&nbsp;")
            parts.append(f'<span style="color:{color}">■</span>&nbsp;{words}{value}')
        for name in set(self._items) - set(series):  # of a training before
            self.canvas.removeItem(self._items.pop(name))
        text = f"<b>{self._name}</b>&nbsp; {'&nbsp; '.join(parts)}"
        if text != self.legend.text():
            self.legend.setText(text)

    def _fit(self, last: int, highest: float) -> None:
        """Leave room for the step `last` and for values up to `highest`, in round numbers."""
        ranges = STEPS * math.ceil(max(last, 1) / STEPS), max(1.0, math.ceil(2 * highest) / 2)
        if ranges != self._ranges:
            self._ranges = ranges
            self.canvas.setXRange(0, ranges[0], padding=0.01)
            self.canvas.setYRange(0, ranges[1], padding=0.1)
