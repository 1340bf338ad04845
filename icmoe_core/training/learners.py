"""Learners: what a fine-tune trains beside the frozen backbone, by the name of the method."""

from __future__ import annotations

from dataclasses import replace

from icmoe_core.backbones import Backbone
from icmoe_core.errors import TrainingError
from icmoe_core.experts.mixture import ExpertConfig, Experts
from icmoe_core.peers import methods as peers
from icmoe_core.peers.peer import Peer
from icmoe_core.training.settings import ICMOE, METHODS, LossWeights, Settings

PEER_RATE = 1e-3
"""Highest learning rate of peers; with twice of it they did no better."""
_MASK_ALONE = LossWeights(
    tuned=0.0, each=0.0, consistency=0.0, balance=0.0, contrast=0.0, retention=0.0
)


def check_method(method: str) -> None:
    """Check that there is such a method of fine-tuning.

    Raises
    ------
    TrainingError
    """
    if method not in METHODS:
        raise TrainingError(f"There is no method {method!r}: use {', '.join(METHODS)}.")


def make_learner(method: str, backbone: Backbone, config: ExpertConfig) -> Experts | Peer:
    """Make what `method` trains beside a backbone; `config` is for IC-MoE alone."""
    return Experts(backbone, config) if method == ICMOE else peers.METHODS[method](backbone)


def settings_of(method: str, settings: Settings, backbone: Backbone) -> Settings:
    """Return the settings that `method` is trained with beside a backbone.

    Peers are trained as they were published: on whole slices, boxes and clicks alike, for nothing
    but the mask and its predicted IoU, and without elections to learn from. A
    backbone that was trained on points answers clicks without elections.
    """
    if method == ICMOE:
        return replace(settings, elections=0) if backbone.answers_points else settings
    return replace(
        settings,
        weights=_MASK_ALONE,
        boxes_every=1,
        crop=None,
        learning_rate=PEER_RATE,
        elections=0,
    )
