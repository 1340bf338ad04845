"""On a new computer the runtimes are measured once, by a process of its own."""

import json
import signal
import sys
import time
from dataclasses import asdict, replace
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from icmoe_core.runtimes import measured
from icmoe_core.runtimes.choosing import fastest
from icmoe_core.runtimes.measured import Measured
from napari_icmoe import engine as engines
from napari_icmoe import first_use, measuring_process
from napari_icmoe.engine import Unmeasured
from napari_icmoe.first_use import FirstUse
from napari_icmoe.questions import ModelChoice
from napari_icmoe.workers import Background

MODEL = ModelChoice("lite-medsam", "cpu")
OTHER = ModelChoice("sam-vit-b", "cpu")
QUICKEST = Measured("openvino-bf16", 200.0, 30.0, 1.0, 1.0, True)
QUICK = Measured("openvino-fp32", 400.0, 60.0, 1.0, 1.0, True)
TORCH = Measured("torch", 900.0, 90.0, 1.0, 1.0, True)
WRONG = Measured("openvino-bf16", 200.0, 30.0, 0.9, 0.8, False)


def line(*found):
    """Code that prints what is known of some runtimes."""
    return f"print({json.dumps({'measured': [asdict(one) for one in found]})!r}, flush=True)"


FOUND = f"{line(QUICK)}; {line(QUICK, TORCH)}"
"""What the process prints: a line for each runtime."""
USED = "Answers are quicker from now on: openvino-fp32 was measured to give the same masks."


class Engine:
    """Stands for the real one, whose runtimes take minutes to measure."""

    def __init__(self, folder):
        self.folder, self.runtime, self.changed = folder, "torch", []
        self.usable = ("openvino-bf16", "openvino-fp32", "torch")

    def file(self, choice):
        return self.folder / f"{choice.name}.json"

    def unmeasured(self, choice):
        known = {one.name for one in measured._read(self.file(choice)) or ()}
        left = tuple(name for name in ("openvino-fp32", "torch") if name not in known)
        return Unmeasured(left, self.file(choice), self.runtime) if left else None

    def change_runtime(self, choice):
        chosen = fastest(measured._read(self.file(choice)))
        if chosen == self.runtime or chosen not in self.usable:
            return None
        self.runtime = chosen
        self.changed.append((choice, chosen))
        return chosen


@pytest.fixture
def folder(tmp_path):
    """Where what was measured is remembered."""
    return tmp_path / "runtimes"


@pytest.fixture
def unwritable(folder):
    """The folder cannot even be made."""
    folder.write_text("a file")
    return folder


@pytest.fixture
def window(qapp, qtbot, folder, monkeypatch):
    """Opens a window whose measuring process runs some code; others may follow."""
    windows = []

    def make(code):
        monkeypatch.setattr(measuring_process, "COMMAND", (sys.executable, "-c", code))
        made = FirstUse(SimpleNamespace(engine=Engine(folder), worker=Background()))
        made.sentences, made.searched = [], []
        made.said.connect(lambda level, sentence: made.sentences.append(sentence))
        made.searching.connect(made.searched.append)
        windows.append(made)
        return made

    yield make
    for made in windows:
        made.close()
    free(qtbot)


def remembered(folder):
    return [Measured(**one) for one in json.loads((folder / "lite-medsam.json").read_text())]


def process_of(made):
    """The process that measures, or None before it is there."""
    return None if made._process is None else made._process._process


def free(qtbot):
    """Wait until nothing is measured any more."""
    qtbot.waitUntil(lambda: not first_use._MEASURING.locked(), timeout=10_000)
    qtbot.wait(50)


def test_what_was_measured_is_used_and_remembered(window, folder, qtbot, tmp_path):
    told = tmp_path / "told"
    code = f"import sys; open({str(told)!r}, 'w').write(' '.join(sys.argv[1:])); print(1); {FOUND}"
    made = window(code)
    with qtbot.waitSignal(made.changed, timeout=10_000):
        made.look(MODEL)
    free(qtbot)
    assert told.read_text() == "--model lite-medsam --device cpu"
    assert made._engine.changed == [(MODEL, "openvino-fp32")]
    assert "about a minute" in made.sentences[0]
    assert made.sentences[1:] == [USED]
    assert remembered(folder) == [QUICK, TORCH]
    made.look(MODEL)  # it is done once only
    qtbot.wait(100)
    assert len(made._engine.changed) == 1


def test_the_first_that_is_right_is_used_before_the_others_are_known(
    window, folder, qtbot, tmp_path
):
    go_on = tmp_path / "go on"
    waiting = (
        f"import time, pathlib\nwhile not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.01)"
    )
    made = window(f"{line(QUICK)}\n{waiting}\n{line(QUICK, QUICKEST, TORCH)}")
    with qtbot.waitSignal(made.changed, timeout=10_000):
        made.look(MODEL)
    assert made._engine.runtime == "openvino-fp32"
    assert made.searched == [True, False]
    qtbot.waitUntil(lambda: made.sentences[1:] == [USED])
    assert remembered(folder) == [QUICK]
    with qtbot.waitSignal(made.changed, timeout=10_000):
        go_on.touch()
    assert made._engine.runtime == "openvino-bf16"
    qtbot.waitUntil(lambda: made.sentences[2:] == [USED.replace("fp32", "bf16")])


def test_one_that_is_wrong_is_not_used(window, folder, qtbot):
    made = window(f"{line(WRONG)}; {line(WRONG, QUICK)}; {line(WRONG, QUICK, TORCH)}")
    made.look(MODEL)
    qtbot.waitUntil(lambda: made._engine.runtime == "openvino-fp32", timeout=10_000)
    free(qtbot)
    assert [name for _, name in made._engine.changed] == ["openvino-fp32"]
    assert remembered(folder) == [WRONG, QUICK, TORCH]


def test_plain_torch_stays_where_it_is_quickest(window, qtbot):
    slow = replace(QUICK, encode_ms=2000.0)
    made = window(line(replace(slow, usable=False), TORCH))
    made.look(MODEL)
    qtbot.waitUntil(lambda: len(made.sentences) == 2, timeout=10_000)
    assert made.sentences[1] == ("Measured: plain torch is quickest on this computer, and is used.")
    assert made._engine.changed == []
    assert made.searched == [True, False]


def test_plain_torch_takes_its_place_again_where_it_proves_quickest(window, qtbot):
    slow = replace(QUICK, encode_ms=2000.0)
    made = window(f"{line(slow)}; {line(slow, TORCH)}")
    made.look(MODEL)
    qtbot.waitUntil(lambda: len(made.sentences) == 3, timeout=10_000)
    assert made.sentences[1:] == [
        USED,
        "Measured: plain torch is quickest on this computer, and is used.",
    ]
    assert [name for _, name in made._engine.changed] == ["openvino-fp32", "torch"]


def test_what_this_window_cannot_use_is_told(window, qtbot):
    made = window(FOUND)
    made._engine.usable = ("torch",)
    made.look(MODEL)
    qtbot.waitUntil(lambda: len(made.sentences) == 2, timeout=10_000)
    assert made.sentences[1] == (
        "openvino-fp32 is quickest on this computer, but cannot be used in this window, and the "
        "log says why; plain torch is used."
    )
    assert made._engine.changed == []
    assert made.searched == [True, False]


def test_a_search_without_end_is_given_up(window, qtbot, monkeypatch):
    monkeypatch.setattr(first_use, "SEARCH_MS", 100)
    made = window("import time; time.sleep(60)")
    made.look(MODEL)
    qtbot.waitUntil(lambda: made.searched == [True, False], timeout=10_000)
    assert process_of(made).poll() is None, "but it is still measured"


def test_a_process_that_tells_too_little_is_not_asked_again(window, folder, qtbot):
    made = window(line(QUICK))
    with qtbot.waitSignal(made.changed, timeout=10_000):
        made.look(MODEL)
    qtbot.waitUntil(lambda: len(remembered(folder)) == 2, timeout=10_000)
    assert remembered(folder)[1].note == "its process told too little"


def test_a_window_that_is_gone_is_no_failure(window, folder, qtbot, tmp_path):
    go_on = tmp_path / "go on"
    waiting = (
        f"import time, pathlib\nwhile not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.01)"
    )
    made = window(f"{waiting}\n{FOUND}")
    made.look(MODEL)
    qtbot.waitUntil(lambda: process_of(made) is not None, timeout=10_000)
    with qtbot.waitSignal(made.destroyed):
        made.deleteLater()
    go_on.touch()
    free(qtbot)
    assert remembered(folder) == [QUICK, TORCH]


def test_what_another_window_had_measured_is_used(window, folder, qtbot):
    made = window("raise SystemExit(7)")
    measured.remember(folder / "lite-medsam.json", [QUICK, TORCH])
    with qtbot.waitSignal(made.changed, timeout=10_000):
        made.look(MODEL)
    assert made._engine.runtime == "openvino-fp32"
    assert made.sentences == []
    assert not any(made.searched)


def test_a_failure_after_something_was_found_is_remembered_and_no_more(
    window, folder, qtbot, caplog
):
    made = window(f"{line(QUICK)}; raise SystemExit('Error: no memory.')")
    with qtbot.waitSignal(made.changed, timeout=10_000):
        made.look(MODEL)
    free(qtbot)
    assert made.sentences[1:] == [USED]
    assert "no memory" in caplog.text
    assert [(one.name, one.note) for one in remembered(folder)] == [
        ("openvino-fp32", ""),
        ("torch", "no memory"),
    ]
    later = window("raise SystemExit(7)")
    later.look(MODEL)
    qtbot.wait(200)
    assert later.sentences == []


def test_nothing_is_measured_twice(window, folder, qtbot):
    measured.remember(folder / "lite-medsam.json", [QUICK, TORCH])
    made = window("raise SystemExit(7)")
    made._engine.runtime = "openvino-fp32"
    made.look(MODEL)
    qtbot.wait(200)
    assert made.sentences == made._engine.changed == []


def test_a_failure_is_told_once_and_remembered(window, folder, qtbot, caplog):
    made = window("raise SystemExit('much\\nError: no such processor.')")
    made.look(MODEL)
    qtbot.waitUntil(lambda: len(made.sentences) == 2, timeout=10_000)
    assert made.sentences[1] == (
        "Which way to calculate is quickest on this computer could not be measured (no such "
        "processor), so plain torch is used; run icmoe runtime to try again."
    )
    assert "no such processor" in caplog.text
    assert [one.name for one in remembered(folder)] == ["openvino-fp32", "torch"]
    assert not any(one.usable for one in remembered(folder))
    assert {one.note for one in remembered(folder)} == {"no such processor"}
    assert made._engine.changed == []
    later = window("raise SystemExit(7)")
    later.look(MODEL)
    qtbot.wait(200)
    assert later.sentences == []


@pytest.mark.parametrize("code", ["print('{')", "", "raise MemoryError"])
def test_whatever_the_process_leaves_is_no_more_than_a_failure(window, folder, qtbot, code):
    made = window(code)
    made.look(MODEL)
    qtbot.waitUntil(lambda: len(made.sentences) == 2, timeout=10_000)
    assert "could not be measured" in made.sentences[1]
    assert not remembered(folder)[0].usable


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_process_that_somebody_ends_is_no_failure(window, folder, qtbot, number):
    default = "" if number == signal.SIGKILL else f"signal.signal({number:d}, signal.SIG_DFL); "
    made = window(f"import os, signal; {default}os.kill(os.getpid(), {number:d})")
    made.look(MODEL)
    qtbot.waitUntil(lambda: process_of(made) is not None, timeout=10_000)
    assert process_of(made).wait(10) == -number
    free(qtbot)
    assert len(made.sentences) == 1
    assert made.searched == [True, False]
    assert not folder.exists()


def test_a_process_without_end_is_a_failure(window, folder, qtbot, monkeypatch):
    monkeypatch.setattr(measuring_process, "LONGEST_S", 0.2)
    made = window("import time; time.sleep(60)")
    made.look(MODEL)
    qtbot.waitUntil(lambda: len(made.sentences) == 2, timeout=10_000)
    assert "no end" in made.sentences[1]
    assert process_of(made).poll() is not None


def test_what_cannot_be_written_is_used_until_the_process_ends(window, unwritable, qtbot):
    made = window(FOUND)
    with qtbot.waitSignal(made.changed, timeout=10_000):
        made.look(MODEL)
    assert made._engine.runtime == "openvino-fp32"
    free(qtbot)
    assert made.sentences[1:] == [
        f"{USED[:-1]}, but this is measured anew at each start, since {unwritable} cannot be "
        "written: make room or permission there, or set XDG_CACHE_HOME to another folder."
    ]
    later = window("raise SystemExit(7)")  # another window of the same process
    later.look(MODEL)
    qtbot.wait(200)
    assert later.sentences == []


def test_a_failure_that_cannot_be_written_is_not_repeated_either(window, unwritable, qtbot):
    made = window("raise SystemExit('no such processor')")
    made.look(MODEL)
    qtbot.waitUntil(lambda: len(made.sentences) == 2, timeout=10_000)
    assert str(unwritable) in made.sentences[1]
    assert "no such processor" in made.sentences[1]
    later = window("raise SystemExit(7)")
    later.look(MODEL)
    qtbot.wait(200)
    assert later.sentences == []


def test_one_measurement_at_a_time(window, folder, qtbot, tmp_path):
    go_on = tmp_path / "go on"
    waiting = (
        f"import time, pathlib\nwhile not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.01)"
    )
    made = window(f"{waiting}\n{FOUND}")
    made.look(MODEL)
    qtbot.waitUntil(lambda: process_of(made) is not None, timeout=10_000)
    other = window(FOUND)
    for one in (made, other):
        one.look(OTHER)
    qtbot.wait(200)
    assert len(made.sentences) == 1
    assert other.sentences == []
    go_on.touch()
    qtbot.waitUntil(lambda: len(made.sentences) == 2, timeout=10_000)
    free(qtbot)
    other.look(OTHER)  # once it is loaded again, it is its turn
    qtbot.waitUntil(lambda: len(other.sentences) == 2, timeout=10_000)
    assert other._engine.changed == [(OTHER, "openvino-fp32")]


def test_closing_ends_the_measurement_and_is_no_failure(window, folder, qtbot):
    made = window("import time; time.sleep(60)")
    made.look(MODEL)
    qtbot.waitUntil(lambda: process_of(made) is not None, timeout=10_000)
    began = time.perf_counter()
    made.close()
    assert process_of(made).wait(10) != 0
    assert time.perf_counter() - began < 10
    qtbot.wait(100)
    assert made._engine.changed == []
    assert not folder.exists()
    again = window(FOUND)
    with qtbot.waitSignal(again.changed, timeout=10_000):
        again.look(MODEL)


def test_a_training_is_not_disturbed_and_it_begins_anew_after_it(window, folder, qtbot, tmp_path):
    short = tmp_path / "short"
    code = f"import time, pathlib\npathlib.Path({str(short)!r}).exists() or time.sleep(60)\n{FOUND}"
    made = window(code)
    made.hold(True)
    made.look(MODEL)
    qtbot.wait(200)
    assert made.sentences == []
    made.hold(False)
    qtbot.waitUntil(lambda: process_of(made) is not None, timeout=10_000)
    first = process_of(made)
    made.hold(True)
    assert first.wait(10) != 0
    free(qtbot)
    qtbot.wait(200)
    assert process_of(made) is first, "as long as it is held"
    assert not folder.exists(), "it is no failure"
    made.hold(False)
    qtbot.waitUntil(lambda: process_of(made) not in (None, first), timeout=10_000)
    short.touch()
    made.hold(True)
    with qtbot.waitSignal(made.changed, timeout=10_000):
        made.hold(False)  # before it has ended
    free(qtbot)
    assert remembered(folder) == [QUICK, TORCH]
    assert [sentence for sentence in made.sentences if "being measured" in sentence] == [
        made.sentences[0]
    ]


@pytest.mark.parametrize(
    ("before", "kept", "ended"),
    [(FOUND, [QUICK, TORCH], True), (line(QUICK), [QUICK], False)],
    ids=["all of it", "a part"],
)
def test_what_was_found_before_it_was_stopped_counts(
    window, folder, qtbot, tmp_path, before, kept, ended
):
    printed = tmp_path / "printed"
    end = f"import pathlib, time; pathlib.Path({str(printed)!r}).touch(); time.sleep(60)"
    made = window(f"{before}\n{end}")
    made.look(MODEL)
    qtbot.waitUntil(printed.exists, timeout=10_000)
    made.hold(True)
    free(qtbot)
    qtbot.waitUntil(lambda: made._engine.runtime == "openvino-fp32", timeout=10_000)
    assert remembered(folder) == kept
    qtbot.waitUntil(lambda: made.sentences[1:] == [USED], timeout=10_000)
    assert made.searched[0]
    assert not any(made.searched[1:])
    first = made._process
    made.hold(False)
    qtbot.wait(200)
    assert (made._process is first) == ended, "the rest is measured after that"


@pytest.mark.skipif(find_spec("openvino") is None, reason="needs OpenVINO")
def test_the_engine_tells_what_was_not_measured(tiny_name, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("ICMOE_RUNTIME")
    engine, choice = engines.Engine(), ModelChoice(tiny_name, "cpu")
    assert engine.unmeasured(choice) is None, "it is not loaded"
    engine.load(choice)
    found = engine.unmeasured(choice)
    assert found.names == ("openvino-bf16", "openvino-fp32", "torch")
    assert found.file.is_relative_to(tmp_path)
    assert found.in_use == engine.runtime == "torch"
    measured.remember(found.file, [measured.failed("torch", "no such processor")])
    assert engine.unmeasured(choice).names == ("openvino-bf16", "openvino-fp32")
    assert engine.change_runtime(choice) is None, "it is in use"
    measured.remember(found.file, [QUICK])
    assert engine.change_runtime(choice) == engine.runtime == "openvino-fp32"
    measured.remember(found.file, [WRONG])
    assert engine.unmeasured(choice) is None
    assert engine.change_runtime(choice) is None
