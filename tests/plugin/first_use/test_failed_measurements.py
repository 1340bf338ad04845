"""What a measurement that fails, never ends or is ended leaves behind."""

import json
import signal
import sys
import time

import pytest
from measurements import (
    FOUND,
    MODEL,
    QUICK,
    TORCH,
    USED,
    free,
    line,
    process_of,
    remembered,
    wait_for,
)

from icmoe_core.runtimes.measured import failed, to_json
from napari_icmoe import first_use, measuring_process


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
    made = window(f"{wait_for(go_on)}\n{FOUND}")
    made.look(MODEL)
    qtbot.waitUntil(lambda: process_of(made) is not None, timeout=10_000)
    with qtbot.waitSignal(made.destroyed):
        made.deleteLater()
    go_on.touch()
    free(qtbot)
    assert remembered(folder) == [QUICK, TORCH]


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


def test_what_failed_in_the_process_is_told_with_its_reason(monkeypatch):
    lost = failed("openvino-fp32", "no memory")
    told = json.dumps({"measured": [to_json(lost), to_json(TORCH)]})
    monkeypatch.setattr(measuring_process, "COMMAND", (sys.executable, "-c", f"print({told!r})"))
    assert "null" in told
    ((first, second),) = measuring_process.MeasuringProcess(MODEL).results()
    assert repr(first) == repr(lost), "NaN is not equal to itself"
    assert second == TORCH


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
