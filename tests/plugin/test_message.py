"""The message line: whole sentences, however long the names in them are."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest

from napari_icmoe.panels import MessageLine

SENTENCE = (
    "The mask was saved as /data/studies/2024_liver_metastasis_followup_patient_0001_contrast_"
    "phase_portal_venous_resampled_mask.nii.gz."
)


@pytest.fixture
def line(controller, qtbot):
    line = MessageLine(controller)
    qtbot.addWidget(line)
    return line


def test_a_long_name_goes_on_in_the_next_line(controller, line):
    line.resize(300, 20)
    controller.say("info", SENTENCE)
    assert line.minimumWidth() == 1
    assert line.minimumSizeHint().width() < 300
    assert line.minimumHeight() > 3 * line.fontMetrics().height()
    assert SENTENCE in line.toolTip()


def test_the_sentence_is_read_and_copied_as_it_was_said(controller, line):
    controller.say("info", SENTENCE)
    assert line.text() == SENTENCE
    line.setSelection(0, 40)
    QTest.keyClick(line, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    copied = QGuiApplication.clipboard().text()
    assert copied
    assert SENTENCE.startswith(copied)
    line.actions()[0].trigger()
    assert QGuiApplication.clipboard().text() == copied


def test_numbers_and_short_names_stay_in_one_piece(controller, line):
    controller.say("info", "12.5 of 40.0 MB of a-b are here.")
    assert "\u200b" not in super(MessageLine, line).text()
