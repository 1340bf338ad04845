"""Starts: the ways from prompts to a first answer, before clicks correct it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icmoe_core.ballots import Ballot, ballot_of_election, ballot_of_first, ballot_of_winners
from icmoe_core.corrections import MARGIN
from icmoe_core.decoder import decode
from icmoe_core.drafts import answer_boxes, draft_each
from icmoe_core.elections import Clicks, elect, nominate
from icmoe_core.embeddings import Embedding
from icmoe_core.errors import PromptError
from icmoe_core.experts.generations import NEGLIGIBLE, Generations, JointAnswer
from icmoe_core.frames import Frame, box_tensor
from icmoe_core.hypotheses import answer_clicks
from icmoe_core.model import PromptableModel
from icmoe_core.open_slice import OpenSlice
from icmoe_core.parts import EMPTY_LOGIT
from icmoe_core.prompts import CheckedPrompts, Prompts
from icmoe_core.views import ask_views

SURE = 0.65
"""Predicted IoU from which the experts' own answer to clicks is taken without a vote."""


@dataclass(frozen=True)
class Start:
    """An answer before its corrections: logits of the slice, and of the model's grid."""

    full: Tensor  # (H, W)
    low: Tensor  # (h, w)
    score: float
    ballot: Ballot | None = None


@dataclass(frozen=True)
class Answering:
    """One call of `predict`: the ways from prompts to a first answer."""

    model: PromptableModel
    embedding: Embedding
    opened: OpenSlice
    prompts: CheckedPrompts
    pixels: NDArray[np.int64]
    labels: NDArray[np.int64]

    def start(self) -> Start | None:
        """Answer without corrections; None if nothing says where the object is."""
        frame, clicked = self.embedding.frame, len(self.pixels) > 0
        prior, map_ = read_mask(self.prompts.mask, frame)
        if clicked or len(self.prompts.boxes):  # an empty mask has nothing to add to them
            prior = None if prior is None or not (prior > 0).any() else prior
            map_ = None if map_ is None or not (map_ >= 0.5).any() else map_
        if len(self.prompts.boxes):
            start = self._from_boxes(frame.boxes_to_input(self.prompts.boxes))
            return start if map_ is None else _united(start, _from_map(map_, frame))
        if map_ is not None:
            return _from_map(map_, frame) if clicked else self._from_surroundings(map_ >= 0.5)
        if prior is not None and not clicked:
            return self._from_surroundings(frame.to_slice(prior[None])[0].numpy() >= 0)
        if self.prompts.mask_input is not None and not clicked:
            return self._from_mask_input()
        if prior is None and not (self.labels == 1).any():
            return None
        return self._from_clicks(prior)

    def _from_boxes(self, boxes: NDArray) -> Start:
        # Of several boxes, none is the clicks' own; background clicks correct the answer.
        own = len(boxes) == 1 and len(self.pixels) > 0 and bool((self.labels == 1).all())
        clicks = self._clicks() if own else {}
        shown = self._mask_input(len(boxes))
        joint = self._ask_boxes(boxes, clicks) if shown is None else None
        if shown is not None:
            given = {**clicks, "boxes": box_tensor(boxes), "earlier": shown}
            joint = self._ask(given, lambda: self._decode(boxes, shown))
        if joint is None:
            logits, iou = self._decode(boxes, shown)
            return self._from_logits(logits.amax(0).cpu(), float(iou.mean()))
        logits, winner = joint.logits.max(0)
        return self._from_logits(
            logits.cpu(), float(joint.iou.mean()), ballot_of_winners(joint, winner)
        )

    def _from_mask_input(self) -> Start:
        """Answer a mask prompt alone, which is for the base: experts know boxes and clicks."""
        output = decode(self.model.backbone, self.opened.features, mask_logits=self._mask_input(1))
        return self._from_logits(output.logits[0].cpu(), float(output.iou))

    def _from_surroundings(self, inside: NDArray[np.bool_]) -> Start:
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        if not rows.size:
            raise PromptError(
                "The mask to start from is empty: add a point or a box, or give another mask."
            )
        box = np.array([[rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]], float)
        return self._from_boxes(self.embedding.frame.boxes_to_input(box))

    def _from_clicks(self, prior: Tensor | None) -> Start:
        if self.model.backbone.answers_points:
            return self._from_points(prior)
        if prior is not None:
            # Corrections of a base that knows no points stay local: measured beside the experts'
            # own, they took as few clicks and never threw away what was right already.
            return self._from_logits(prior, _certainty(prior))
        experts, shares = self.model.active_experts, self._shares(points=True)
        if experts is None or not any(shares):
            return self._from_boxes_around_clicks()
        return self._from_experts(experts, shares)

    def _from_boxes_around_clicks(self) -> Start:
        """Vote among the base's masks for boxes around the clicks."""
        clicks = self._on_slice()
        verdict = answer_clicks(
            self._decode,
            clicks.scene,
            clicks.opened.frame,
            clicks.positions[self.labels == 1],
            clicks.positions[self.labels == 0],
            self.model.runtime.describe,
        )
        return self._from_logits(verdict.logits, verdict.iou)

    def _from_experts(self, experts: Generations, shares: Sequence[float]) -> Start:
        """Take the experts' own answer where they are sure, or one that is elected."""
        model, clicks = self.model, self._on_slice()
        views = ask_views(
            model, clicks.features, shares, clicks.positions, clicks.labels, self._picture, SURE
        )
        if views.sureness >= SURE:
            widest = views.widest
            score, ballot = float(widest.iou[0]), ballot_of_first(widest)
            return self._from_logits(widest.logits[0].cpu(), score, ballot)
        found = nominate(model, shares, clicks, views, self._picture)
        verdict = elect(found, clicks, experts.preference(shares))
        ballot = ballot_of_election(found.joint, verdict)
        return self._from_logits(verdict.logits, verdict.iou, ballot)

    def _from_points(self, prior: Tensor | None) -> Start:
        """Answer clicks with a backbone that knows them, and with experts who are sure."""
        joint = None
        if (self.labels == 1).any():
            earlier = None if prior is None else prior[None, None].to(self.model.device)
            prompts = {**self._clicks(), "earlier": earlier}
            joint = self._ask(prompts, lambda: self._native_points(prior))
        if joint is None or float(joint.iou) < SURE:
            logits, iou = self._native_points(prior)
            return self._from_logits(logits[0].cpu(), float(iou))
        low = joint.logits[0].cpu()
        return self._from_logits(low, float(joint.iou), ballot_of_first(joint))

    def _native_points(self, prior: Tensor | None) -> tuple[Tensor, Tensor]:
        positions = self.embedding.frame.points_to_input(self.pixels)
        output = decode(
            self.model.backbone,
            self.opened.features,
            points=torch.as_tensor(positions, dtype=torch.float32)[None],
            point_labels=torch.from_numpy(self.labels)[None],
            mask_logits=None if prior is None else prior[None, None],
            multimask=prior is None and len(positions) == 1,
        )
        logits = output.logits.reshape(-1, *output.logits.shape[-2:])  # (masks, h, w)
        iou = output.iou.reshape(-1)
        best = int(iou.argmax())
        return logits[best : best + 1], iou[best : best + 1]

    def _on_slice(self) -> Clicks:
        positions = self.embedding.frame.points_to_input(self.pixels)
        return Clicks(self.opened, positions, self.labels)

    def _clicks(self) -> dict[str, Tensor]:
        positions = self.embedding.frame.points_to_input(self.pixels)
        return {
            "points": torch.as_tensor(positions[None], dtype=torch.float32),
            "point_labels": torch.from_numpy(self.labels)[None],
        }

    def _ask_boxes(self, boxes: NDArray, clicks: Mapping[str, Tensor]) -> JointAnswer | None:
        """Ask the experts about boxes, each on a part of the slice, if they know such pictures.

        What the base has a share in is asked on the whole slice, so that its part of the answer is
        what it has always been.
        """
        shares, features = self._shares(points=False), self.opened.features
        if not any(shares):
            return None
        if 1 - sum(shares) >= NEGLIGIBLE:
            given = {**clicks, "boxes": box_tensor(boxes)}
            return self._ask(given, lambda: self._decode(boxes))
        shown = clicks["points"][0].double().numpy() if clicks else np.empty((0, 2))
        drafts = draft_each(self.model, features, boxes, shown)
        return answer_boxes(self.model, features, shares, drafts, self._picture, clicks)

    def _ask(
        self,
        prompts: Mapping[str, Tensor | None],
        base: Callable[[], tuple[Tensor, Tensor]],
    ) -> JointAnswer | None:
        """Ask the experts, if there are any who know such pictures."""
        experts = self.model.active_experts
        shares = self._shares(points="boxes" not in prompts)
        if experts is None or not any(shares):
            return None
        return self.model.ask(self.opened.features, shares, prompts, base, self._picture)

    def _picture(self) -> Tensor:
        """Return the slice as the image encoder takes it, in grey, ``(1, 3, S, S)``."""
        grey = torch.from_numpy(self.embedding.picture)
        return self.model.backbone.preprocess(grey[None, None])[0]

    def _shares(self, *, points: bool) -> Sequence[float]:
        """Share of the answer that each generation of experts gives."""
        experts = self.model.active_experts
        return () if experts is None else self.embedding.shares(experts, points)

    def _decode(self, boxes: NDArray, mask_logits: Tensor | None = None) -> tuple[Tensor, Tensor]:
        given, features = box_tensor(boxes), self.opened.features
        if mask_logits is None:
            return self.model.decode(features, given)
        output = decode(self.model.backbone, features, boxes=given, mask_logits=mask_logits)
        return output.logits, output.iou

    def _mask_input(self, count: int) -> Tensor | None:
        """Return the mask prompt for each of `count` prompts, ``(count, 1, h, w)``."""
        if self.prompts.mask_input is None:
            return None
        low = _from_map(self.prompts.mask_input, self.embedding.frame).low
        return low.to(self.model.device).expand(count, 1, -1, -1)

    def _from_logits(self, low: Tensor, score: float, ballot: Ballot | None = None) -> Start:
        return Start(self.embedding.frame.to_slice(low[None])[0], low, score, ballot)


def clicked_pixels(
    prompts: Prompts, shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Clicked pixels ``(n, 2)`` and their labels; of clicks on one pixel, the last."""
    labels = [1] * len(prompts.points) if prompts.point_labels is None else prompts.point_labels
    points = np.asarray(prompts.points, float).reshape(-1, 2)
    pixels = np.clip(np.floor(points + 0.5), 0, np.array(shape) - 1).astype(np.int64)
    last: dict[tuple[int, int], int] = {}
    for (row, column), label in zip(pixels.tolist(), labels, strict=True):
        last.pop((row, column), None)
        last[row, column] = int(label)
    found = np.array(list(last), np.int64).reshape(-1, 2)
    return found, np.array(list(last.values()), np.int64)


def read_mask(mask: NDArray | None, frame: Frame) -> tuple[Tensor | None, NDArray | None]:
    """Tell earlier logits ``(h, w)`` from a map ``(H, W)``; one of the two is None.

    A map holds values 0 … 1 only, and logits never do: that decides where the shapes agree.

    Raises
    ------
    PromptError
        Another shape, values outside 0 … 1 that cannot be logits, or no finite numbers.
    """
    if mask is None:
        return None, None
    array = np.asarray(mask)
    if not (array.dtype == np.bool_ or np.issubdtype(array.dtype, np.number)):
        raise PromptError(f"The mask holds {array.dtype} values, but must hold numbers.")
    if np.iscomplexobj(array) or not np.isfinite(array).all():
        raise PromptError("The mask holds values that are not finite numbers: give 0 … 1.")
    array = array.astype(np.float32)
    is_map = array.size > 0 and array.min() >= 0 and array.max() <= 1
    if is_map and array.shape == frame.shape:
        return None, array
    if not is_map and array.shape == (frame.logits_size, frame.logits_size):
        return torch.from_numpy(array), None
    if array.shape == frame.shape:
        raise PromptError(
            f"The mask holds values from {array.min():g} to {array.max():g}: give a bool mask or "
            "probabilities 0 … 1."
        )
    raise PromptError(
        f"The mask has the shape {array.shape}, but the slice has {frame.shape}: give a mask of "
        "the slice, or the logits of an earlier prediction on it."
    )


def _from_map(map_: NDArray[np.float32], frame: Frame) -> Start:
    """Start at a given map; its pixels at 0.5 or more are inside, as in a prediction."""
    logits = torch.logit(torch.from_numpy(map_), eps=1e-6).clamp(-MARGIN, MARGIN)
    return Start(logits, frame.to_logits(logits[None], EMPTY_LOGIT)[0], _certainty(logits))


def _united(a: Start, b: Start) -> Start:
    return Start(torch.maximum(a.full, b.full), torch.maximum(a.low, b.low), a.score, a.ballot)


def _certainty(logits: Tensor) -> float:
    """Mean probability of what is inside, in place of a predicted IoU."""
    inside = torch.sigmoid(logits[logits > 0])
    return float(inside.mean()) if len(inside) else 0.0
