"""A training keeps its scans until they are in its files, and nothing of it once it has ended."""

import gc
import weakref

import numpy as np
import pytest

from napari_icmoe.learning.budgets import BUDGETS
from napari_icmoe.learning.handover import ApprovedScan
from napari_icmoe.learning.trainer import Plan, State, Trainer
from napari_icmoe.planes import Plane
from napari_icmoe.questions import ModelChoice


@pytest.fixture
def trainer(versions):
    trainer = Trainer(versions)
    yield trainer
    trainer.close()


def plan_on(data, window="auto"):
    labels = np.ones(data.shape, np.uint16)
    scan = ApprovedScan(
        "uid", "scan", "patient", data, False, labels, (Plane((1, None, None)),), (1,) * 3, window
    )
    return Plan((scan,), (), (1,), "organ", BUDGETS[0], 0.2, (), ModelChoice())


def is_freed(reference):
    gc.unfreeze()
    gc.collect()
    return reference() is None


def test_once_they_are_in_its_files_it_lets_go_of_the_scans(trainer, versions, stand_in, qtbot):
    data = np.random.default_rng(0).random((3, 40, 64)).astype(np.float32)
    seen = weakref.ref(data)
    trainer.start(plan_on(data))
    process = weakref.ref(trainer._process)
    del data
    qtbot.waitUntil(lambda: trainer.report is not None and trainer.report.step >= 2)
    assert is_freed(seen)
    trainer.stop()
    qtbot.waitUntil(lambda: trainer.state is State.IDLE)
    qtbot.waitUntil(lambda: process() is None)
    qtbot.waitUntil(lambda: [version.name for version in versions.listed] == ["organ"])


def test_one_that_could_not_begin_lets_go_as_well(trainer, qtbot):
    data = np.zeros((3, 40, 64), np.float32)
    seen = weakref.ref(data)
    trainer.start(plan_on(data, "no such window"))
    process = weakref.ref(trainer._process)
    del data
    qtbot.waitUntil(lambda: trainer.state is State.IDLE)
    qtbot.waitUntil(lambda: process() is None)
    assert is_freed(seen)
