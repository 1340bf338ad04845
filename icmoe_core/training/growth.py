"""Growth: what was learnt becomes a generation, with the pictures that it knows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from icmoe_core.expert_files import round_to_file
from icmoe_core.experts.familiarity import everything_familiar, make_familiarity
from icmoe_core.experts.generations import Generation
from icmoe_core.experts.mixture import Experts
from icmoe_core.training.examples import Example
from icmoe_core.training.replay import describe_picture


def make_generation(
    experts: Experts, descriptions: Tensor, replay: Sequence[Example], *, gated: bool = True
) -> Generation:
    """Make a generation of what was trained, with the numbers that its file is going to hold.

    Parameters
    ----------
    experts : Experts
        Or a peer, which knows no limits: it answers every picture.
    descriptions : Tensor, (n, 2 C)
        Of the training pictures.
    replay : sequence of Example
        On pictures of all kinds, which give familiarity its scale.
    gated : bool
        Whether experts are to leave pictures that are foreign to them to what was there before.
    """
    round_to_file(experts)
    device = next(experts.parameters()).device
    if gated and isinstance(experts, Experts):
        kinds = torch.stack([describe_picture(e) for e in replay] or [descriptions[0]])
        familiarity = make_familiarity(descriptions, kinds)
    else:
        familiarity = everything_familiar(descriptions[0])
    return Generation(experts, familiarity.to(device), answers_points=True)
