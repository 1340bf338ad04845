"""Scans and masks on the disk, and what a person does with their list."""

import nibabel as nib
import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox

AFFINE = np.diag([-2.0, 2.0, 3.0, 1.0])
SHAPE = (12, 10, 6)


def write_scan(path, value=0.0, shape=SHAPE):
    rng = np.random.default_rng(len(path.name))
    path.parent.mkdir(parents=True, exist_ok=True)
    array = rng.normal(size=shape).astype(np.float32) + value
    nib.save(nib.Nifti1Image(array, AFFINE), path)


def write_mask(path, shape=SHAPE):
    array = np.zeros(shape, np.uint8)
    array[2:5, 3:6, 1:3] = 1
    nib.save(nib.Nifti1Image(array, AFFINE), path)
    return array


def shows(panel, name):
    browser = panel.browser
    return lambda: browser.shown == name and browser.wanted is None and not browser.replacing.busy


def texts(panel):
    return [panel.model.index(row).data() for row in range(panel.model.rowCount())]


def paint(panel, where=(1, 2, 3)):
    controller = panel.browser._controller
    if controller.target is None:
        from napari_icmoe.label_layers import make_target

        layer = make_target(controller.image, instances=False)
        controller.viewer.add_layer(layer)
        controller.set_target(layer)
    layer = controller.target.layer
    layer.data_setitem(tuple(np.array([index]) for index in where), 1)
    return layer


def answer(panel, qtbot, text):
    """Click a button of the question about the present scan."""
    qtbot.waitUntil(lambda: any(box.isVisible() for box in panel.findChildren(QMessageBox)))
    box = next(box for box in panel.findChildren(QMessageBox) if box.isVisible())
    question = box.text()
    button = next(button for button in box.buttons() if button.text().replace("&", "") == text)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    return question
