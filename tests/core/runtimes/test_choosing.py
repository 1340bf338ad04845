"""Which runtime is used: what was measured, what is told, and what is left when it fails."""

import json
from dataclasses import replace

import numpy as np
import pytest

from icmoe_core.errors import ModelError
from icmoe_core.model import load_model
from icmoe_core.runtimes import choosing, measured, measuring
from icmoe_core.runtimes.agreement import Agreement, Case
from icmoe_core.runtimes.choosing import fastest, load_runtime
from icmoe_core.runtimes.measured import Measured, failed, memory_file, recall
from icmoe_core.windowing import Window

SLOW = Measured("torch", 900.0, 90.0, 1.0, 1.0, True)
QUICK = Measured("openvino-fp32", 400.0, 60.0, 1.0, 1.0, True)
WRONG = Measured("openvino-bf16", 200.0, 30.0, 0.98, 0.9, False)


def remember(backbone, found):
    return measured.remember(memory_file(backbone), found)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("ICMOE_RUNTIME")


def test_the_fastest_that_is_right_is_taken():
    assert fastest([SLOW, QUICK, WRONG]) == "openvino-fp32"
    assert fastest([WRONG]) == fastest([]) == "torch"


@pytest.mark.parametrize(
    ("mean", "lowest", "good"), [(0.995, 0.97, True), (0.9949, 1.0, False), (1.0, 0.969, False)]
)
def test_masks_must_be_the_same_on_average_and_on_each_slice(mean, lowest, good):
    assert Agreement(mean, lowest, 8).good is good


def test_what_was_measured_is_remembered_for_base_and_computer(tiny_backbone, monkeypatch):
    assert recall(tiny_backbone) is None
    remember(tiny_backbone, [SLOW, WRONG])
    assert recall(tiny_backbone) == [SLOW, WRONG]
    monkeypatch.setattr(measured, "_processor", lambda: "another one")
    assert recall(tiny_backbone) is None


def test_a_damaged_memory_is_none(tiny_backbone, tmp_path):
    remember(tiny_backbone, [SLOW])
    (file,) = tmp_path.rglob("*.json")
    for text in ("", "{", json.dumps([{"name": "torch"}]), "7"):
        file.write_text(text)
        assert recall(tiny_backbone) is None


def test_what_cannot_be_written_is_remembered_while_the_process_lasts(tiny_backbone, tmp_path):
    assert remember(tiny_backbone, [SLOW])
    (tmp_path / "icmoe").rename(tmp_path / "elsewhere")
    (tmp_path / "icmoe").write_text("a file")
    assert not remember(tiny_backbone, [QUICK, SLOW])
    assert recall(tiny_backbone) == [QUICK, SLOW]
    assert fastest(recall(tiny_backbone)) == "openvino-fp32"
    (tmp_path / "icmoe").unlink()
    assert remember(tiny_backbone, [SLOW])
    assert recall(tiny_backbone) == [SLOW, QUICK]


def test_what_is_measured_again_takes_the_place_of_what_was_known(tiny_backbone):
    remember(tiny_backbone, [QUICK, SLOW])
    now = replace(QUICK, encode_ms=300.0)
    remember(tiny_backbone, [now])
    assert recall(tiny_backbone) == [now, SLOW], "and the rest stays"


def test_that_nothing_could_be_measured_is_remembered_as_well(tiny_backbone):
    names = choosing.candidates(tiny_backbone.device)
    assert remember(tiny_backbone, [failed(name, "no such processor") for name in names])
    assert choosing.unmeasured(tiny_backbone) == ()
    assert load_runtime(tiny_backbone).name == "torch"
    assert recall(tiny_backbone)[0].note == "no such processor"


def test_before_anything_is_measured_torch_is_used(tiny_backbone):
    assert load_runtime(tiny_backbone).name == choosing.chosen_name(tiny_backbone) == "torch"
    assert choosing.unmeasured(tiny_backbone) == choosing.candidates(tiny_backbone.device)


def test_one_that_is_right_is_used_while_the_rest_is_open(tiny_backbone):
    remember(tiny_backbone, [QUICK])
    assert choosing.chosen_name(tiny_backbone) == "openvino-fp32"
    assert choosing.unmeasured(tiny_backbone) == ("openvino-bf16", "torch")


def test_the_environment_decides_over_what_was_measured(tiny_backbone, tiny_graphs, monkeypatch):
    remember(tiny_backbone, [QUICK, SLOW])
    assert load_runtime(tiny_backbone).name == "openvino-fp32"
    monkeypatch.setenv("ICMOE_RUNTIME", "torch")
    assert load_runtime(tiny_backbone).name == "torch"
    assert choosing.chosen_name(tiny_backbone) == "torch"
    assert choosing.unmeasured(tiny_backbone) == ()


def test_what_fails_now_is_replaced_by_torch(tiny_backbone, monkeypatch, caplog):
    remember(tiny_backbone, [QUICK, SLOW])

    def gone(backbone):
        raise ImportError("openvino is gone")

    monkeypatch.setattr(choosing, "RUNTIMES", {**choosing.RUNTIMES, "openvino-fp32": gone})
    assert load_runtime(tiny_backbone).name == "torch"
    assert "openvino is gone" in caplog.text


def test_an_unknown_runtime_is_refused_by_name(tiny_name):
    with pytest.raises(ModelError, match=r"no runtime called 'magic'.*auto, openvino-bf16"):
        load_model(tiny_name, device="cpu", runtime="magic")
    with pytest.raises(ModelError, match="cuda-fp16"):
        load_model(tiny_name, device="cpu", runtime="cuda-fp16")


def test_measuring_compares_masks_and_goes_on_after_a_failure(tiny_model, tiny_graphs, monkeypatch):
    def broken(backbone):
        raise RuntimeError("no such processor\nand more")

    monkeypatch.setattr(choosing, "RUNTIMES", {**choosing.RUNTIMES, "openvino-bf16": broken})
    image = np.random.default_rng(0).random((48, 64)).astype(np.float32)
    boxes, middles = ((5, 6, 30, 40), (10, 10, 40, 50)), ((17, 23), (25, 30))
    case = Case(image, Window(0.0, 1.0), boxes, middles)
    found = {one.name: one for one in measuring.measure(tiny_model, [case])}
    assert list(found) == ["openvino-bf16", "openvino-fp32", "torch"]
    assert found["openvino-bf16"].note == "RuntimeError: no such processor"
    assert not found["openvino-bf16"].usable
    assert found["torch"].agreement == found["torch"].lowest == 1.0
    assert found["openvino-fp32"].agreement > 0.99
    assert found["torch"].encode_ms > 0 < found["openvino-fp32"].box_ms
    remember(tiny_model.backbone, list(found.values()))
    assert recall(tiny_model.backbone)[-1] == found["torch"]
