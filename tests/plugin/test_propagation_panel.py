"""The propagation panel: a range that begins before it ends, and how the last run on it ended."""

from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_icmoe.panels import PropagationPanel
from napari_icmoe.review.propagating import Propagating


@pytest.fixture
def panel(controller, qtbot):
    controller.set_image(controller.viewer.add_image(np.zeros((30, 8, 9)), name="scan"))
    panel = PropagationPanel(controller)
    qtbot.addWidget(panel)
    panel.show()
    return panel


def chosen(panel):
    return panel._controller.ordering._range[:2]


def test_the_wheel_leaves_the_range_alone(panel):
    event = QWheelEvent(
        QPointF(5, 5),
        QPointF(panel.last.mapToGlobal(QPoint(5, 5))),
        QPoint(0, -120),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(panel.last, event)
    assert chosen(panel) == (0, 29)
    assert panel.last.focusPolicy() == Qt.FocusPolicy.StrongFocus, "the wheel does not choose it"


def test_an_end_before_the_beginning_takes_it_along(panel):
    panel.last.setValue(10)
    panel.first.setValue(17)
    assert (panel.first.value(), panel.last.value()) == chosen(panel) == (17, 17)
    panel.last.setValue(3)
    assert (panel.first.value(), panel.last.value()) == chosen(panel) == (3, 3)


def test_a_number_counts_when_it_is_typed_to_its_end(panel):
    panel.first.setValue(7)
    panel.last.selectAll()
    QTest.keyClicks(panel.last, "15")
    assert panel.first.value() == 7, "it was not 1 on the way"
    panel._controller.ordering.propagate()
    assert chosen(panel) == (7, 15)


def test_why_a_run_ended_is_told_of_its_scan_alone(controller, panel, monkeypatch):
    scan = controller.image
    monkeypatch.setattr(Propagating, "running", True)
    controller.propagating.endings = [SimpleNamespace(reason="It was the end of the range.")]
    controller.changed.emit()
    monkeypatch.setattr(Propagating, "running", False)
    controller.changed.emit()
    assert panel.text.text() == "It was the end of the range."
    controller.set_image(controller.viewer.add_image(np.zeros((30, 8, 9)), name="next"))
    assert "end of the range" not in panel.text.text()
    controller.set_image(scan)
    assert panel.text.text() == "It was the end of the range."
