"""Series to be drawn, outlines, and what is held out in words."""

import numpy as np

from napari_icmoe.learning.curves import Curves
from napari_icmoe.learning.holding_out import AUTOMATIC, NOTHING, choices
from napari_icmoe.learning.messages import Report
from napari_icmoe.learning.outlines import (
    AFTER,
    BEFORE,
    LABEL,
    draw_outlines,
    load_drawn,
    save_pictures,
)


def training(step, loss=1.0, scores=None):
    return Report("progress", "training", step, None, {"mask": loss}, scores, (0.2, 0.8))


def test_curves_are_smoothed_and_scores_are_not():
    curves = Curves()
    for step in range(1, 6):
        curves.add(training(step, 1.0 if step % 2 else 0.0, (0.5, 0.4) if step == 5 else None))
    assert curves.losses["mask"].steps == [1, 2, 3, 4, 5]
    assert 0.5 < min(curves.losses["mask"].values) <= 1.0
    assert (curves.box.values, curves.click.values) == ([0.5], [0.4])
    assert len(curves.load) == 2
    assert not curves.add(Report("progress", "encoding", 1))


def test_a_training_that_goes_on_from_a_checkpoint_does_not_run_backwards():
    curves = Curves()
    for step in (1, 2, 3, 4, 2, 3):
        curves.add(training(step))
    assert curves.losses["mask"].steps == [1, 2, 3]


def test_what_is_held_out_is_said():
    assert "the last 4 are" in AUTOMATIC.in_words(["a"], 20)
    assert "the last slice is" in AUTOMATIC.in_words(["a"], 3)
    assert "too few" in AUTOMATIC.in_words(["a"], 1)
    assert AUTOMATIC.in_words(["a", "b", "c"], 9).startswith("1 patient of 3")
    assert "Nothing" in NOTHING.in_words(["a"], 9)
    assert [one.text for one in choices(["a"])] == ["A fifth, by patient", "Nothing"]
    several = choices(["a", "b"])
    assert several[1].held_out == ("a",)
    assert several[1].in_words(["a", "b"], 9).startswith("All of a")


def test_outlines_are_drawn_around_the_object(tmp_path):
    truth, before, after = (np.zeros((100, 120), bool) for _ in range(3))
    truth[40:60, 50:70], before[42:58, 45:60], after[38:60, 90:110] = True, True, True
    drawn = draw_outlines(np.full((100, 120), 0.5, np.float32), truth, before, after)
    assert drawn.shape == (192, 192, 3)
    seen = {tuple(color) for color in drawn.reshape(-1, 3).tolist()}
    assert {LABEL, BEFORE, AFTER} <= seen
    save_pictures(tmp_path / "p.npz", [drawn])
    assert load_drawn(tmp_path / "absent.npz", []) == ()


def test_an_empty_answer_and_an_object_at_the_edge_are_drawn():
    truth, nothing = np.zeros((64, 200), bool), np.zeros((64, 200), bool)
    truth[:10, :10] = True
    drawn = draw_outlines(np.zeros((64, 200), np.float32), truth, nothing, nothing, side=100)
    assert drawn.shape == (100, 100, 3)
    assert (drawn == LABEL).all(-1).any()
