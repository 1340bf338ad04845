"""Simulated prompts on labelled slices: what is asked, what is counted, what is averaged."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from icmoe_core.errors import PromptError
from icmoe_core.evaluation import KINDS, MAXIMUM_CLICKS, Record, evaluate, summarise
from icmoe_core.metrics import dice, hausdorff95, iou, surface_dice
from icmoe_core.predictor import Predictor
from icmoe_core.prompts import Prompts
from icmoe_core.samples import SAMPLES
from icmoe_core.simulation import deepest_point, mask_box
from icmoe_core.training.datasets import LabelledSlice, match_files, read_slices
from icmoe_core.windowing import Window


def labelled(labels, case="scan", index=0, spacing=(1.0, 1.0), axis=2):
    classes = tuple(int(value) for value in np.unique(labels) if value)
    image = labels.astype(np.float32)
    return LabelledSlice(case, case, axis, index, image, labels, Window(0, 3), spacing, classes)


@pytest.fixture
def labels():
    labels = np.zeros((60, 70), np.uint8)
    labels[5:25, 5:35] = 1
    labels[40:50, 10:20] = 2
    labels[45:55, 40:65] = 2
    return labels


class Scripted:
    """Stands for a predictor that is right after so many clicks, and knows boxes at once."""

    def __init__(self, part, clicks):
        self.part, self.clicks, self.asked = part, clicks, []

    def encode(self, image, window):
        assert image is self.part.image
        assert window == self.part.window
        return "embedding"

    def predict(self, embedding, prompts):
        assert embedding == "embedding"
        self.asked.append(prompts)
        if len(prompts.boxes):
            mask = np.zeros(self.part.labels.shape, bool)
            r0, c0, r1, c1 = np.rint(prompts.boxes[0]).astype(int)
            mask[max(r0, 0) : r1, max(c0, 0) : c1] = True
        else:
            row, column = prompts.points[0]
            mask = self.part.labels == self.part.labels[row, column]
            if len(prompts.points) < self.clicks:  # Dice 0.67, 0.8, 0.857, 0.889, 0.909 ...
                rows = np.flatnonzero(mask.any(axis=1))
                mask[rows[: len(rows) // (1 + len(prompts.points))]] = False
        return SimpleNamespace(mask=mask, logits=f"logits {len(prompts.points)}")


@pytest.mark.parametrize("clicks", [1, 2, 3, 5, 11])
def test_clicks_are_counted_until_dice_is_reached(clicks):
    labels = np.zeros((70, 70), np.uint8)
    labels[5:65, 5:65] = 1
    part = labelled(labels)
    predictor = Scripted(part, clicks)
    (record,) = evaluate(predictor, [part], ["clicks"])
    scores = [2 * n / (2 * n + 1) for n in range(1, 5)][: clicks - 1]
    scores += [1.0 if clicks <= 5 else 10 / 11]
    np.testing.assert_allclose(record.dice_by_click, scores)
    assert record.dice == record.dice_by_click[-1]
    assert record.clicks_to_90 == len(scores)
    assert record.clicks_to_85 == next(n for n, score in enumerate(scores, 1) if score >= 0.85)
    assert len(predictor.asked) == len(scores)


def test_corrections_repeat_the_earlier_clicks_and_give_back_the_answer():
    labels = np.zeros((70, 70), np.uint8)
    labels[5:65, 5:65] = 1
    part = labelled(labels)
    predictor = Scripted(part, 4)
    list(evaluate(predictor, [part], ["clicks"]))
    first, second, third, fourth = predictor.asked
    assert list(first.points) == [deepest_point(labels == 1)]
    assert first.mask is None
    assert list(third.points[:2]) == list(second.points)
    assert list(fourth.points[:3]) == list(third.points)
    assert (second.mask, third.mask, fourth.mask) == ("logits 1", "logits 2", "logits 3")
    assert list(fourth.point_labels) == [1, 1, 1, 1]  # it always missed something
    assert fourth.points[1][0] < 5 + 30  # where that was


class Empty(Scripted):
    def predict(self, embedding, prompts):
        self.asked.append(prompts)
        return SimpleNamespace(mask=np.zeros(self.part.labels.shape, bool), logits=None)


def test_failures_count_as_the_most_clicks(labels):
    part = labelled(labels)
    predictor = Empty(part, 1)
    records = list(evaluate(predictor, [part]))
    assert len(predictor.asked) == 2 * (1 + MAXIMUM_CLICKS)  # the first click is asked once
    for record in records:
        assert (record.dice, record.iou, record.surface_dice) == (0, 0, 0)
        assert record.hd95_mm == np.inf
        assert record.clicks_to_90 == (10 if record.kind == "clicks" else None)
    means = summarise(records).overall
    assert means["box"].hd95_mm is None
    assert means["box"].empty == 2
    assert means["box"].failed_90 is None
    assert (means["clicks"].failed_85, means["clicks"].failed_90) == (2, 2)
    assert means["clicks"].clicks_to_85 == 10


def test_a_record_for_each_slice_class_and_kind(labels):
    part = labelled(labels, case="me", index=7)
    found = list(evaluate(Scripted(part, 1), [part], ["click", "box", "click"]))
    assert [(record.label, record.kind) for record in found] == [
        (1, "click"),
        (1, "box"),
        (2, "click"),
        (2, "box"),
    ]
    assert {(r.case, r.patient, r.axis, r.index) for r in found} == {("me", "me", 2, 7)}
    assert [record.pixels for record in found[::2]] == [600, 350]
    assert found[0].dice_by_click == (1.0,)
    assert found[1].dice_by_click == ()


def test_a_class_of_several_parts_is_one_object(labels):
    part = labelled(labels)
    predictor = Scripted(part, 1)
    *_, record = evaluate(predictor, [part], ["box"])
    r0, c0, r1, c1 = predictor.asked[-1].boxes[0]
    tight = mask_box(labels == 2)
    assert np.abs(np.subtract((r0, c0, r1, c1), tight)).max() <= 0.05 * 55
    truth, answer = labels == 2, predictor.predict("embedding", predictor.asked[-1]).mask
    assert record.dice == dice(answer, truth) < 0.7
    click = Scripted(part, 1)
    list(evaluate(click, [part], ["click"]))
    row, column = click.asked[-1].points[0]
    assert labels[row, column] == 2


def test_boxes_depend_on_their_place_and_the_seed_only(labels):
    def boxes(parts, seed):
        found = {}
        for part in parts:
            predictor = Scripted(part, 1)
            list(evaluate(predictor, [part], ["box"], seed))
            found[part.case, part.index] = [tuple(asked.boxes[0]) for asked in predictor.asked]
        return found

    parts = [labelled(labels, "a", 1), labelled(labels, "a", 2), labelled(labels, "b", 1)]
    first = boxes(parts, 0)
    assert boxes(parts[::-1], 0) == first
    assert boxes(parts[1:2], 0)["a", 2] == first["a", 2]
    different = {box for found in first.values() for box in found}
    different |= {box for found in boxes(parts, 1).values() for box in found}
    assert len(different) == 12


@pytest.mark.parametrize("kinds", [[], ["boxes"], ["box", "scribble"]])
def test_kinds_are_checked_at_the_call(kinds):
    with pytest.raises(PromptError, match="box, click, clicks"):
        evaluate(None, [], kinds)


def test_it_can_be_stopped_and_reads_no_further(labels):
    def parts():
        yield labelled(labels)
        pytest.fail("the second slice was read")

    part = labelled(labels)
    predictor = Scripted(part, 1)
    predictor.encode = lambda image, window: "embedding"
    running = evaluate(predictor, parts(), ["box"])
    assert next(running).label == 1
    running.close()


def test_the_real_model_on_a_real_slice(lite_model):
    sample = SAMPLES["brain1"]
    slices = read_slices(match_files(sample.image, sample.labels)[0])
    part = max(slices, key=lambda found: np.count_nonzero(found.labels))
    predictor = Predictor(lite_model)
    records = {record.kind: record for record in evaluate(predictor, [part])}
    assert list(records) == list(KINDS)
    assert records["box"].dice > 0.85
    assert records["click"].dice > 0.7
    assert records["clicks"].dice >= 0.9
    assert records["clicks"].dice_by_click[0] == records["click"].dice
    truth = part.labels == 1
    answer = predictor.predict(
        predictor.encode(part.image, part.window), Prompts([deepest_point(truth)])
    ).mask
    click = records["click"]
    assert click.dice == dice(answer, truth)
    assert click.iou == iou(answer, truth)
    assert click.hd95_mm == hausdorff95(answer, truth, part.spacing)
    assert click.surface_dice == surface_dice(answer, truth, part.spacing, 2.0)


# Means


def record(case="a", label=1, kind="box", score=0.5, hd=1.0, clicks=None):
    scores = () if clicks is None else (score,) * clicks
    to = {} if clicks is None else {"clicks_to_85": clicks, "clicks_to_90": clicks}
    return Record(case, case, 2, 0, label, kind, 99, score, score / 2, hd, score, **to,
                  dice_by_click=scores)  # fmt: skip


def test_means_by_kind_class_and_case():
    summary = summarise(
        [
            record("b", 2, "box", 0.4, 2.0),
            record("b", 1, "box", 0.8, 4.0),
            record("a", 1, "box", 0.9, np.inf),
            record("a", 1, "clicks", 0.95, 1.0, clicks=3),
            record("a", 2, "clicks", 0.2, 1.0, clicks=10),
            record("a", 2, "clicks", 0.87, 1.0, clicks=10),
        ]
    )
    box, clicks = summary.overall["box"], summary.overall["clicks"]
    assert box.dice == pytest.approx(0.7)
    assert box.iou == pytest.approx(0.35)
    assert (box.count, box.empty, box.hd95_mm) == (3, 1, 3.0)
    assert box.clicks_to_85 is None
    assert clicks.clicks_to_90 == pytest.approx(23 / 3)
    assert (clicks.failed_85, clicks.failed_90) == (1, 2)
    assert list(summary.classes) == [1, 2]
    assert summary.classes[1]["box"].dice == pytest.approx(0.85)
    assert summary.classes[2]["clicks"].count == 2
    assert list(summary.cases) == ["b", "a"]
    assert list(summary.cases["b"]) == ["box"]
    assert summary.cases["a"]["box"].dice == pytest.approx(0.9)


def test_no_record_gives_no_mean():
    summary = summarise([])
    assert (summary.overall, summary.classes, summary.cases) == ({}, {}, {})


def test_importing_it_needs_no_torch():
    code = (
        "import sys, icmoe_core.evaluation, icmoe_core.training.splits;"
        "assert not {'torch', 'monai'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
