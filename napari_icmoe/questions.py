"""Questions: what is asked of a model and what it answers, as values that never change."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from icmoe_core.propagation.proposals import Proposal
from icmoe_core.windowing import Window
from napari_icmoe.crops import Corner
from napari_icmoe.regions import Region
from napari_icmoe.state import Place, Prompt, core_prompts

if TYPE_CHECKING:
    from icmoe_core.prompts import Prompts


@dataclass(frozen=True)
class ModelChoice:
    """Which model answers, with which experts, and where it runs.

    Parameters
    ----------
    name : str
    device : str
    experts : "default", str or None
        As for :func:`icmoe_core.load_model`: those that come with the model, the path of an
        expert file, or none.
    """

    name: str = "lite-medsam"
    device: str = "auto"
    experts: str | None = "default"


@dataclass(frozen=True, eq=False)
class Scan:
    """The pixels of an image layer, possibly lazy.

    Parameters
    ----------
    uid : str
        The layer's unique id.
    version : int
        Another one for each array that the layer has held.
    data : array-like
        Any number of axes at full resolution; colour last.
    rgb : bool
        Whether the last axis is colour.
    coarser : tuple of array-like
        The same at lower resolutions, if there are any, the finest first.
    """

    uid: str
    version: int
    data: Any
    rgb: bool
    coarser: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Question:
    """Everything that an answer depends on.

    Parameters
    ----------
    place : Place
    version : int
        That of the scan's pixels.
    prompts : tuple of (Click or Box)
        In the order they were made; with none the slice can be encoded, but not answered.
    model : ModelChoice
    window : str
        A name from :data:`icmoe_core.windowing.WINDOW_NAMES`, or ``"LOW,HIGH"``.
    start : Proposal, optional
        The outline that the prompts correct.
    region : Region, optional
        The part of a large plane that the model is shown; all of the plane if not given.
    """

    place: Place
    version: int
    prompts: tuple[Prompt, ...]
    model: ModelChoice
    window: str
    start: Proposal | None = None
    region: Region | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """A mask, with the question it belongs to.

    Parameters
    ----------
    question : Question
    window : Window
        What the model got to see.
    mask : ndarray of bool, (rows, columns)
        As small as the outline; ``(0, 0)`` if there is none.
    logits : ndarray of float32, optional
        For correcting this answer.
    notices : tuple of str
        What the person should know, one sentence each.
    corner : (int, int)
        Row and column of the plane at which the mask's first pixel lies.
    """

    question: Question
    window: Window
    mask: NDArray[np.bool_]
    logits: NDArray[np.float32] | None = None
    notices: tuple[str, ...] = field(default=())
    corner: Corner = (0, 0)

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return sum(array.nbytes for array in (self.mask, self.logits) if array is not None)


def at_pixels(question: Question) -> Question:
    """Return a question that has the same answer, with its last click in the middle of a pixel."""
    *former, last = question.prompts
    return replace(question, prompts=(*former, last.at_pixel))


def asked(question: Question, prior: NDArray | None = None) -> Prompts:
    """Return the core's prompts for a question, in pixels of what :meth:`Engine.encode` shows it.

    Parameters
    ----------
    question : Question
    prior : ndarray, optional
        Logits of the answer that the last prompt corrects; else it is the outline that the
        question starts from.
    """
    region, start = question.region, question.start
    if prior is None and start is not None:
        outline = start.mask
        if region is not None:
            outline = outline[region.row :, region.column :][: region.rows, : region.columns]
            outline = outline[:: region.step, :: region.step]
        prior = outline.astype(np.float32)
    return core_prompts(question.prompts, prior, region)
