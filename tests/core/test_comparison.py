"""The benchmark's measures by hand, and what is compared with what."""

from __future__ import annotations

import mmap

import numpy as np
import pytest
import torch

from icmoe_core.benchmark import memory
from icmoe_core.benchmark.cells import Cell
from icmoe_core.benchmark.comparison import Spread, changes, compare, mean_doubts
from icmoe_core.benchmark.figure import draw_gain_and_loss, draw_risk_and_coverage
from icmoe_core.benchmark.names import ABLATIONS, PEERS, with_base
from icmoe_core.benchmark.results import claim_folder, read_cell, write_cell
from icmoe_core.benchmark.tables import make_tables
from icmoe_core.benchmark.uncertainty import DoubtMeter, aurc, auroc, entropy
from icmoe_core.errors import OutputFileError
from icmoe_core.experts.mixture import ExpertConfig, Experts
from icmoe_core.peers.methods import METHODS
from icmoe_core.training.settings import LossWeights, Settings

CPU = torch.device("cpu")


def test_names_are_those_of_the_peers_and_of_parts_that_can_be_left_out(tiny_backbone):
    assert tuple(METHODS) == PEERS
    for without in ABLATIONS.values():
        Experts(tiny_backbone, ExpertConfig(**without.config))
        Settings(weights=LossWeights(**without.losses), **without.settings)
    assert with_base(["lora", "zero-shot", "lora"]) == ["zero-shot", "lora"]


def test_auroc_is_the_chance_of_the_right_order():
    rng = np.random.default_rng(0)
    values, wrong = rng.integers(0, 5, 60), rng.random(60) < 0.3  # with ties
    pairs = [(a > b) + 0.5 * (a == b) for a in values[wrong] for b in values[~wrong]]
    assert auroc(values, wrong) == pytest.approx(np.mean(pairs))
    assert auroc([1, 2], [True, True]) is None


def test_aurc_is_the_mean_risk_of_the_most_certain_answers():
    assert aurc([3, 1, 2], [0.6, 0.0, 0.3]) == pytest.approx((0 + 0.15 + 0.3) / 3)
    assert aurc([1, 2], [0.5, 0.5]) == 0.5


def test_doubt_is_perfect_where_uncertainty_is_the_error():
    truth = np.zeros((30, 30), bool)
    truth[10:20, 10:20] = True
    meter = DoubtMeter()
    for shift, dice in ((0, 1.0), (2, 0.8), (5, 0.5)):
        mask = np.roll(truth, shift, 0)
        meter.add((mask != truth).astype(np.float32), mask, truth, dice)
    found = meter.read()
    assert found.auroc == 1
    assert found.aurc == found.best < found.risk == pytest.approx(0.7 / 3)


def test_entropy_of_two_outcomes():
    found = entropy(np.array([0, 0.5, 1, 0.11], np.float32))
    np.testing.assert_allclose(found, [0, 1, 0, 0.4999], atol=1e-4)


def _cell(method, target, seed, box, click=0.5, **others):
    return Cell(method, target, seed, box, click, others, seconds=2.0, file_mb=1.0)


CELLS = [
    _cell("zero-shot", "a", 0, 0.8, b=0.6),
    _cell("zero-shot", "b", 0, 0.6, a=0.8),
    _cell("zero-shot", "a", 1, 0.7, b=0.5),
    _cell("zero-shot", "b", 1, 0.5, a=0.7),
    _cell("lora", "a", 0, 0.9, 0.7, b=0.5),
    _cell("lora", "b", 0, 0.7, 0.7, a=0.8),
    _cell("lora", "a", 1, 0.9, 0.7, b=0.3),
    _cell("lora", "b", 1, 0.7, 0.7, a=0.7),
]


def test_methods_are_compared_with_the_bare_model_of_the_same_seed():
    assert changes(CELLS[6], CELLS) == {"b": pytest.approx(-0.2)}
    base, lora = compare(CELLS, ["a", "b"])
    assert (base.method, base.gain, base.change) == ("zero-shot", pytest.approx(0), 0)
    assert base.box == Spread(pytest.approx(0.65), pytest.approx(0.05 * 2**0.5))
    assert lora.box == Spread(pytest.approx(0.8), pytest.approx(0))
    assert lora.gain == pytest.approx((0.15 + 0.2) / 2)
    assert lora.change == pytest.approx((-0.15 + 0) / 2)  # b after a, and a after b
    assert lora.worst == pytest.approx(-0.15)
    (_, only_b) = compare(CELLS, ["b"])
    assert (only_b.cells, only_b.worst) == (2, pytest.approx(0))


def test_tables_and_figure_name_all_methods():
    curve = [0.1] * 5 + [0.3] * 5
    doubts = {"votes": {"auroc": None, "aurc": 0.2, "risk": 0.3, "best": 0.1, "curve": curve}}
    cells = [*CELLS, Cell("icmoe", "a", 0, 0.9, 0.9, {"b": 0.6}, doubts=doubts)]
    means = {"aurc": 0.2, "risk": 0.3, "best": 0.1, "curve": curve}
    assert mean_doubts(cells) == {"icmoe": {"votes": means}}
    overall, each, uncertainty = make_tables(cells, ["a", "b"])
    assert (overall.row_count, uncertainty.row_count) == (3, 1)
    assert each.row_count == 2 + 3 + 2
    drawn = draw_gain_and_loss(compare(cells, ["a", "b"]))
    assert "lora (-0.075, +0.175)" in drawn
    assert "zero-shot" not in drawn
    assert drawn == draw_gain_and_loss(compare(cells, ["a", "b"]))
    assert "icmoe, votes" in draw_risk_and_coverage(mean_doubts(cells))
    assert "<svg" in draw_risk_and_coverage({})


def test_a_cell_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "cells" / "x.json"
    assert read_cell(path) is None
    write_cell(path, CELLS[0])
    assert read_cell(path) == CELLS[0]


def test_a_folder_belongs_to_one_comparison(tmp_path):
    claim_folder(tmp_path, {"seconds": 60.0, "targets": {"a": "1"}})
    claim_folder(tmp_path, {"seconds": 60.0, "targets": {"a": "1"}})
    with pytest.raises(OutputFileError, match="choose another folder"):
        claim_folder(tmp_path, {"seconds": 60.0, "targets": {"a": "2"}})


def test_peak_memory_is_that_since_it_was_forgotten():
    memory.forget_peak(CPU)
    before = memory.peak_mb(CPU)
    # Pages of its own: an array may be put where a freed one was.
    held = np.frombuffer(mmap.mmap(-1, 320_000_000), np.uint8)
    held[:: mmap.PAGESIZE] = 1
    assert memory.peak_mb(CPU) >= before + 150 or before == 0
