"""``icmoe runtime``: what it measures, and whether it could be remembered."""

import json

import pytest

from icmoe_core.runtimes import agreement, measuring
from icmoe_core.runtimes.measured import Measured, failed, from_json, memory_file, recall

QUICK = Measured("openvino-fp32", 400.0, 60.0, 1.0, 1.0, True)
SLOW = Measured("torch", 900.0, 90.0, 1.0, 1.0, True)


@pytest.fixture(autouse=True)
def quick_measurement(tmp_path, monkeypatch):
    """What takes a minute is known beforehand; the cache is the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(agreement, "sample_cases", lambda: [])
    monkeypatch.setattr(measuring, "measure", lambda model, cases: iter([QUICK, SLOW]))


def measure(icmoe, tiny_name, *more):
    return icmoe("runtime", "--model", tiny_name, "--device", "cpu", *more)


def test_what_is_measured_is_remembered(icmoe, tiny_name, tiny_backbone):
    done = measure(icmoe, tiny_name, "--json")
    assert done.exit_code == 0, done.output
    records = [json.loads(line) for line in done.stdout.splitlines()]
    told = [[Measured(**one) for one in record["measured"]] for record in records]
    assert told == [[QUICK], [QUICK, SLOW]], "a line as soon as there is more to tell"
    assert [record["runtime"] for record in records] == ["openvino-fp32"] * 2
    assert recall(tiny_backbone) == [QUICK, SLOW]


def test_what_failed_is_told_in_json_that_anybody_can_read(
    icmoe, tiny_name, tiny_backbone, monkeypatch
):
    lost = failed("openvino-fp32", "no memory")
    monkeypatch.setattr(measuring, "measure", lambda model, cases: iter([lost, SLOW]))

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    done = measure(icmoe, tiny_name, "--json")
    record = json.loads(done.stdout.splitlines()[-1], parse_constant=refuse)
    assert record["measured"][0]["encode_ms"] is None
    json.loads(memory_file(tiny_backbone).read_text(), parse_constant=refuse)
    told = [from_json(one) for one in record["measured"]]
    for found in (told, recall(tiny_backbone)):
        assert repr(found) == repr([lost, SLOW]), "NaN is not equal to itself"


def test_what_is_known_when_it_is_stopped_is_remembered(
    icmoe, tiny_name, tiny_backbone, monkeypatch
):
    def stopped(model, cases):
        yield QUICK
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "measure", stopped)
    done = measure(icmoe, tiny_name)
    assert done.exit_code == 130
    assert recall(tiny_backbone) == [QUICK]


def test_what_cannot_be_remembered_is_told(icmoe, tiny_name, tmp_path):
    (tmp_path / "icmoe").write_text("a file")
    done = measure(icmoe, tiny_name)
    assert done.exit_code == 0, done.output
    assert f"{tmp_path / 'icmoe' / 'runtimes'} cannot be written" in done.stderr
    assert "XDG_CACHE_HOME" in done.stderr
    assert "runs fastest on cpu with openvino-fp32" in done.stdout
