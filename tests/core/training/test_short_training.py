"""A fine-tune of the real model on a real scan."""

import numpy as np
import pytest
from labelled_discs import last_of

from icmoe_core import load_model
from icmoe_core.evaluation import evaluate, summarise
from icmoe_core.predictor import Predictor
from icmoe_core.prompts import Prompts
from icmoe_core.samples import SAMPLES
from icmoe_core.training.datasets import LabelledSlice, match_files, read_slices
from icmoe_core.training.finetuning import finetune
from icmoe_core.training.settings import LossWeights, Settings


@pytest.mark.usefixtures("small_replay")
def test_sixty_steps_teach_a_structure_and_keep_the_rest():
    model = load_model("lite-medsam", experts=None, device="cpu")
    sample, other = SAMPLES["brain1"], SAMPLES["mr_abdomen"]
    parts = [p for c in match_files(sample.image, sample.labels) for p in read_slices(c)]
    # replay would have the other sample in it, and nothing could be said about forgetting it
    # What twenty seconds are enough for on two cores that have nothing else to do.
    settings = Settings(max_seconds=None, max_steps=60, weights=LossWeights(retention=0.0))
    last = last_of(finetune(model, parts, settings=settings, validation=0.3))
    scores = last.record["scores"]
    assert scores["after"]["mean"] > scores["before"]["mean"]
    assert last.result.members[-1].preference.abs().max() > 0
    elsewhere = [p for c in match_files(other.image, other.labels) for p in read_slices(c)][6:8]
    elsewhere = [LabelledSlice(**{**vars(part), "classes": part.classes[:2]}) for part in elsewhere]
    box = [
        summarise(list(evaluate(Predictor(m), elsewhere, ("box",)))).overall["box"].dice
        for m in (model, model.with_experts(last.result))
    ]
    assert box[1] >= box[0] - 0.02
    off = model.with_experts(last.result)
    off.experts_enabled = False
    embedding = Predictor(model).encode(parts[0].image, parts[0].window)
    prompts = Prompts(boxes=[(60, 60, 120, 120)])
    np.testing.assert_array_equal(
        Predictor(off).predict(embedding, prompts).logits,
        Predictor(model).predict(embedding, prompts).logits,
    )
