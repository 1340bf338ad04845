"""``icmoe runtime``: what it measures, and whether it could be remembered."""

import json

import pytest

from icmoe_core.runtimes import agreement, measuring
from icmoe_core.runtimes.measured import Measured, recall

QUICK = Measured("openvino-fp32", 400.0, 60.0, 1.0, 1.0, True)


@pytest.fixture(autouse=True)
def quick_measurement(tmp_path, monkeypatch):
    """What takes a minute is known beforehand; the cache is the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(agreement, "sample_cases", lambda: [])
    monkeypatch.setattr(measuring, "measure", lambda model, cases: [QUICK])


def measure(icmoe, tiny_name, *more):
    return icmoe("runtime", "--model", tiny_name, "--device", "cpu", *more)


def test_what_is_measured_is_remembered(icmoe, tiny_name, tiny_backbone):
    done = measure(icmoe, tiny_name, "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["runtime"] == "openvino-fp32"
    assert [Measured(**one) for one in record["measured"]] == [QUICK]
    assert recall(tiny_backbone) == [QUICK]


def test_what_cannot_be_remembered_is_told(icmoe, tiny_name, tmp_path):
    (tmp_path / "icmoe").write_text("a file")
    done = measure(icmoe, tiny_name)
    assert done.exit_code == 0, done.output
    assert f"{tmp_path / 'icmoe' / 'runtimes'} cannot be written" in done.stderr
    assert "XDG_CACHE_HOME" in done.stderr
    assert "runs fastest on cpu with openvino-fp32" in done.stdout
