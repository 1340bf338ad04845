"""Generations: what was learnt before stays, and each fine-tune adds experts of its own.

The newest generation answers for the pictures that are familiar to it; what it leaves goes to the
generation before it, and what none of them knows goes to the frozen base. So nothing that was
known can be forgotten: it is still there, unchanged, and foreign pictures are sent to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from icmoe_core.evidence import EVIDENCE_NAMES
from icmoe_core.experts.familiarity import Familiarity, describe
from icmoe_core.experts.frozen_layers import fold_updates
from icmoe_core.experts.mixture import BASIC, Experts, Ruling, ruling_of

NEGLIGIBLE = 0.02
"""A generation with a smaller share of an answer is not asked."""


Rule = Callable[[Experts, Tensor, Mapping[str, Tensor | None], "Tensor | None"], Ruling]
"""``rule(experts, features, prompts, frozen)``, with the arguments of :meth:`Experts.forward`."""


def eager_ruling(
    experts: Experts,
    features: Tensor,
    prompts: Mapping[str, Tensor | None],
    frozen: Tensor | None,
) -> Ruling:
    """Ask experts, operation by operation."""
    return ruling_of(experts(features, **prompts, frozen=frozen))


class Generation(nn.Module):
    """The experts of one fine-tune, and what pictures they know.

    Parameters
    ----------
    experts : Experts
    familiarity : Familiarity
    answers_points : bool
        Whether they answer clicks by themselves, without box hypotheses.
    record : dict
        Where they come from: classes, scores, data, versions; as JSON can hold it.
    preference : Tensor, (len(EVIDENCE_NAMES),), optional
        What they learnt of the masks that are meant by a click: added to the weights of the score
        by which masks are elected. Nothing when left out.
    """

    preference: Tensor

    def __init__(
        self,
        experts: Experts,
        familiarity: Familiarity,
        answers_points: bool,
        record: dict[str, Any] | None = None,
        preference: Tensor | None = None,
    ) -> None:
        super().__init__()
        if preference is None:
            preference = torch.zeros(len(EVIDENCE_NAMES))
        self.register_buffer("preference", preference.float())
        self.experts = experts
        self.familiarity = familiarity
        self.answers_points = answers_points
        self.record = {} if record is None else record


@dataclass(frozen=True)
class JointAnswer:
    """What all generations and the base say together of `B` prompts.

    Attributes
    ----------
    logits : Tensor, (B, S, S)
    iou : Tensor, (B,)
        Predicted IoU.
    probability : Tensor, (B, S, S)
        Mean probability over all votes, 0 … 1.
    names : tuple of str
        Of the experts, the frozen path first.
    weights : Tensor, (B, E, h, w)
        Their shares, on the features' grid; adding up to 1.
    """

    logits: Tensor
    iou: Tensor
    probability: Tensor
    names: tuple[str, ...]
    weights: Tensor = field(repr=False)


class Generations(nn.ModuleList):
    """Generations of experts, the oldest first."""

    @property
    def members(self) -> list[Generation]:
        """The generations, the oldest first."""
        return cast(list[Generation], list(self))

    def ready(self) -> Generations:
        """Return them, no longer to be trained, and as fast as they can be."""
        self.eval().requires_grad_(False)
        fold_updates(self)
        return self

    @property
    def answers_points(self) -> bool:
        """Whether any of them answers clicks by itself."""
        return any(generation.answers_points for generation in self.members)

    @property
    def sees_pictures(self) -> bool:
        """Whether any of them encodes the picture itself."""
        return any(generation.experts.sees_pictures for generation in self.members)

    def shares(self, features: Tensor, area: tuple[int, int], points: bool) -> list[float]:
        """Share of the answer that each generation gives; the rest is the base's.

        Parameters
        ----------
        features : Tensor, (C, h, w)
            Of the picture.
        area : (int, int)
            Rows and columns of the features that show it.
        points : bool
            Whether clicks alone are to be answered, which not all generations can.
        """
        return self.shares_of(describe(features, area), points)

    def shares_of(self, description: Tensor, points: bool) -> list[float]:
        """Share of the answer that each generation gives to a picture with this description."""
        left, shares = 1.0, []
        for generation in reversed(self.members):
            able = generation.answers_points or not points
            share = left * float(generation.familiarity(description)) if able else 0.0
            share = 0.0 if share < NEGLIGIBLE else share
            shares.append(left if left - share < NEGLIGIBLE else share)
            left -= shares[-1]
        return shares[::-1]

    def preference(self, shares: Sequence[float]) -> Tensor:
        """Return what all of them have learnt of the masks that are meant, on the CPU.

        Parameters
        ----------
        shares : sequence of float
            From :meth:`shares`, not all 0.

        Returns
        -------
        Tensor, (len(EVIDENCE_NAMES),)
            Each generation's, by its share of the answer.
        """
        each = torch.stack([generation.preference.cpu() for generation in self.members])
        return torch.tensor(shares) @ each

    def answer(
        self,
        features: Tensor,
        shares: Sequence[float],
        prompts: Mapping[str, Tensor | None],
        base: Callable[[], tuple[Tensor, Tensor]],
        picture: Callable[[], Tensor] | None = None,
        rule: Rule = eager_ruling,
    ) -> JointAnswer:
        """Answer `B` prompts on one picture.

        Parameters
        ----------
        features : Tensor, (1, C, h, w)
        shares : sequence of float
            From :meth:`shares`.
        prompts : dict
            Arguments of :meth:`Experts.forward`: boxes, points, point_labels, earlier, places.
        base : callable
            ``base() -> logits (B, S, S), iou (B,)``, the base's way to answer them; only called
            where its answer counts.
        picture : callable, optional
            ``picture() -> Tensor (1, 3, S, S)``, as the backbone's encoder takes it; called, and
            needed, for experts who encode it themselves.
        rule : callable
            How the experts of one generation are asked.
        """
        rest = 1.0 - sum(shares)
        boxed = prompts.get("boxes") is not None
        frozen = base() if boxed or rest >= NEGLIGIBLE else None
        own = frozen[0] if frozen is not None and boxed else None

        def seen(generation: Generation) -> Tensor:
            if not generation.experts.sees_pictures:
                return features
            if picture is None:
                raise ValueError("These experts encode the picture themselves, and need it.")
            return picture()

        rulings = [
            (share, rule(generation.experts, seen(generation), prompts, own))
            for share, generation in zip(shares, self.members, strict=True)
            if share
        ]
        return _join(rulings, features, frozen, rest, self._names(shares))

    def _names(self, shares: Sequence[float]) -> tuple[str, ...]:
        asked = [g for share, g in zip(shares, self.members, strict=True) if share]
        return (
            BASIC[0],
            *(
                name if len(asked) == 1 else f"{name} ({number})"
                for number, generation in enumerate(asked, start=1)
                for name in generation.experts.config.names[1:]
            ),
        )


def _join(
    rulings: list[tuple[float, Ruling]],
    features: Tensor,
    frozen: tuple[Tensor, Tensor] | None,
    rest: float,
    names: tuple[str, ...],
) -> JointAnswer:
    if len(rulings) == 1 and rulings[0][0] == 1.0:  # nobody else has a share
        ruling = rulings[0][1]
        return JointAnswer(ruling.logits, ruling.iou, ruling.probability, names, ruling.weights)
    if frozen is None:  # the base has no share: the first generation's answer stands in for it
        frozen = rulings[0][1].logits, rulings[0][1].iou
    logits, iou = fused, score = frozen
    mean = rest * torch.sigmoid(logits)
    first = mean.new_full((len(mean), *features.shape[2:]), rest)
    others = []
    for share, ruling in rulings:
        # By differences, so that where nothing was learnt the base's answer is kept to the bit.
        fused = fused + share * (ruling.logits - logits)
        score = score + share * (ruling.iou - iou)
        first = first + share * ruling.weights[:, 0]
        others.append(share * ruling.weights[:, 1:])
        mean = mean + share * ruling.probability
    weights = torch.cat([first[:, None], *others], dim=1)
    return JointAnswer(fused, score, mean, names, weights)
