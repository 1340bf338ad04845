"""On a new computer the runtimes are measured once, by a process of its own."""

from dataclasses import replace
from importlib.util import find_spec

import pytest
from measurements import (
    FOUND,
    MODEL,
    OTHER,
    QUICK,
    QUICKEST,
    TORCH,
    USED,
    WRONG,
    free,
    line,
    process_of,
    remembered,
    wait_for,
)

from icmoe_core.runtimes import measured
from napari_icmoe import engine as engines
from napari_icmoe.questions import ModelChoice


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
    made = window(f"{line(QUICK)}\n{wait_for(go_on)}\n{line(QUICK, QUICKEST, TORCH)}")
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
    assert made.sentences[1] == "Measured: plain torch is quickest on this computer, and is used."
    assert made._engine.changed == []
    assert made.searched == [True, False]


def test_plain_torch_takes_its_place_again_where_it_proves_quickest(window, qtbot, tmp_path):
    go_on = tmp_path / "go on"
    slow = replace(QUICK, encode_ms=2000.0)
    made = window(f"{line(slow)}\n{wait_for(go_on)}\n{line(slow, TORCH)}")
    made.look(MODEL)
    qtbot.waitUntil(lambda: len(made.sentences) == 2, timeout=10_000)
    go_on.touch()
    qtbot.waitUntil(lambda: len(made.sentences) == 3, timeout=10_000)
    assert made.sentences[1:] == [
        USED,
        "Measured: plain torch is quickest on this computer, and is used.",
    ]
    assert [name for _, name in made._engine.changed] == ["openvino-fp32", "torch"]


def test_what_another_window_had_measured_is_used(window, folder, qtbot):
    made = window("raise SystemExit(7)")
    measured.remember(folder / "lite-medsam.json", [QUICK, TORCH])
    with qtbot.waitSignal(made.changed, timeout=10_000):
        made.look(MODEL)
    assert made._engine.runtime == "openvino-fp32"
    assert made.sentences == []
    assert not any(made.searched)


def test_nothing_is_measured_twice(window, folder, qtbot):
    measured.remember(folder / "lite-medsam.json", [QUICK, TORCH])
    made = window("raise SystemExit(7)")
    made._engine.runtime = "openvino-fp32"
    made.look(MODEL)
    qtbot.wait(200)
    assert made.sentences == made._engine.changed == []


def test_one_measurement_at_a_time(window, folder, qtbot, tmp_path):
    go_on = tmp_path / "go on"
    made = window(f"{wait_for(go_on)}\n{FOUND}")
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
