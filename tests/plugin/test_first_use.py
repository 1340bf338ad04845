"""On a new computer the runtimes are measured once, by a process of its own."""

import sys
import time
from types import SimpleNamespace

import pytest

from napari_icmoe import first_use
from napari_icmoe.engine import ModelChoice
from napari_icmoe.first_use import FirstUse
from napari_icmoe.workers import Background

MODEL = ModelChoice("lite-medsam", "cpu")


class Engine:
    """Stands for the real one, whose runtimes take minutes to measure."""

    def __init__(self):
        self.unmeasured, self.changed = True, []

    def is_unmeasured(self, choice):
        return self.unmeasured

    def change_runtime(self, choice):
        self.changed.append(choice)
        return "openvino"


@pytest.fixture
def asker(qapp):
    return SimpleNamespace(engine=Engine(), worker=Background())


def command(code):
    return sys.executable, "-c", code


def watched(asker, monkeypatch, code):
    monkeypatch.setattr(first_use, "COMMAND", command(code))
    made, said = FirstUse(asker), []
    made.said.connect(lambda level, sentence: said.append(sentence))
    return made, said


def test_what_was_measured_is_used(asker, monkeypatch, qtbot, tmp_path):
    told = tmp_path / "told"
    code = f"import sys; open({str(told)!r}, 'w').write(' '.join(sys.argv[1:]))"
    made, said = watched(asker, monkeypatch, code)
    with qtbot.waitSignal(made.changed, timeout=10_000):
        made.look(MODEL)
    assert told.read_text() == "--model lite-medsam --device cpu"
    assert asker.engine.changed == [MODEL]
    assert "once" in said[0]
    assert "openvino" in said[1]
    made.look(MODEL)  # it is done once only
    qtbot.wait(100)
    assert len(asker.engine.changed) == 1


def test_nothing_is_measured_twice(asker, monkeypatch, qtbot):
    made, said = watched(asker, monkeypatch, "raise SystemExit(7)")
    asker.engine.unmeasured = False
    made.look(MODEL)
    qtbot.wait(200)
    assert said == asker.engine.changed == []


def test_a_failure_leaves_all_as_it_was(asker, monkeypatch, qtbot, caplog):
    made, _ = watched(asker, monkeypatch, "raise SystemExit('no such processor')")
    made.look(MODEL)
    qtbot.waitUntil(lambda: "no such processor" in caplog.text, timeout=10_000)
    assert asker.engine.changed == []


def test_closing_ends_the_measurement(asker, monkeypatch, qtbot):
    made, _ = watched(asker, monkeypatch, "import time; time.sleep(60)")
    made.look(MODEL)
    qtbot.waitUntil(lambda: made._process is not None, timeout=10_000)
    began = time.perf_counter()
    made.close()
    assert made._process.wait(10) != 0
    assert time.perf_counter() - began < 10
    qtbot.wait(100)
    assert asker.engine.changed == []
