"""The model: a frozen backbone on a device, and the experts beside it."""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from icmoe_core.backbones import Backbone, build_backbone, weights_hash
from icmoe_core.devices import choose_device, device_memory_errors
from icmoe_core.errors import OvertakenError
from icmoe_core.expert_files import check_base, load_experts, read_header
from icmoe_core.experts.generations import Generations, JointAnswer
from icmoe_core.experts.shipped import shipped_experts
from icmoe_core.runtimes.choosing import load_runtime
from icmoe_core.runtimes.runtime import Runtime

logger = logging.getLogger(__name__)

__all__ = ["PromptableModel", "load_model", "weights_hash"]


class PromptableModel:
    """A backbone on its device, with the switch for its experts.

    Parameters
    ----------
    backbone : Backbone
        The frozen network.
    device : torch.device
        Where it is put.
    experts : Generations, optional
        Made for this backbone.
    runtime : Runtime, optional
        How the networks are calculated; plain torch when left out.

    Attributes
    ----------
    experts : Generations or None
        The experts that work on the backbone's features; None is the identity.
    experts_enabled : bool
        Whether they take part, if there are any. It takes effect on the next prediction; off,
        the answers are the backbone's, bit for bit.

    Raises
    ------
    DeviceMemoryError
        If the device has too little memory for the weights.
    """

    def __init__(
        self,
        backbone: Backbone,
        device: torch.device,
        experts: Generations | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        with device_memory_errors(device):
            self.backbone = backbone.to(device)
            self.experts = None if experts is None else experts.to(device)
        self.device = device
        self.runtime = Runtime(self.backbone) if runtime is None else runtime
        self._experts_enabled = True
        self._is_wanted: Callable[[], bool] = _always

    def with_experts(self, experts: Generations | None) -> PromptableModel:
        """Return a model with other experts that shares this one's backbone."""
        return PromptableModel(self.backbone, self.device, experts=experts, runtime=self.runtime)

    def while_wanted(self, is_wanted: Callable[[], bool]) -> PromptableModel:
        """Return the same model, whose work ends early once nobody waits for it.

        Parameters
        ----------
        is_wanted : callable
            Asked each time before a picture is encoded, the base answers boxes, or the experts
            anything; and while a picture is encoded, where the runtime can stop at that. Once it
            is false, :class:`OvertakenError` is raised in place of an answer.
        """
        same = copy.copy(self)
        same._is_wanted = is_wanted
        return same

    @property
    def active_experts(self) -> Generations | None:
        """The experts that take part in the next prediction."""
        return self.experts if self._experts_enabled else None

    @property
    def experts_enabled(self) -> bool:
        """Whether the experts, if there are any, take part in the next prediction."""
        return self._experts_enabled

    @experts_enabled.setter
    def experts_enabled(self, enabled: bool) -> None:
        self._experts_enabled = bool(enabled)

    @property
    def digest(self) -> str:
        """Hash of the backbone's weights and of those of the experts that take part."""
        experts = self.active_experts
        own = "" if experts is None else weights_hash(experts)
        return hashlib.sha256(f"{self.backbone.weights_sha256} {own}".encode()).hexdigest()

    @property
    def precision(self) -> str:
        """In which the image encoder runs: ``"fp32"``, ``"bf16"`` or ``"fp16"``."""
        return self.runtime.precision

    def encode(self, image: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Encode pictures; no prompt and no expert has a part in it.

        Parameters
        ----------
        image : Tensor, (B, 1 or 3, H, W), float
            Intensities 0 … 1, on any device; one channel stands for all three.

        Returns
        -------
        features : Tensor, (B, C, h, w), float32, on the model's device
        input_hw : (int, int)
            Rows and columns that the picture fills in the square the backbone sees.

        Raises
        ------
        DeviceMemoryError
            If the device has too little memory.
        OvertakenError
            As :meth:`while_wanted` has it.
        """
        self._go_on()
        with device_memory_errors(self.device):
            x, input_hw = self.backbone.preprocess(image)
            return self.runtime.encode(x, self._is_wanted), input_hw

    def decode(
        self, features: Tensor, boxes: Tensor, places: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Let the frozen base answer boxes; see :meth:`Runtime.decode`.

        Raises
        ------
        OvertakenError
            As :meth:`while_wanted` has it.
        """
        self._go_on()
        return self.runtime.decode(features, boxes, places)

    def prepare(self) -> None:
        """Have the runtime do ahead what the first question would have to wait for."""
        for generation in [] if self.experts is None else self.experts.members:
            try:
                self.runtime.prepare(generation.experts)
            except Exception as error:  # they are asked in plain torch then
                logger.warning("Experts could not be compiled: %s", error)

    def ask(
        self,
        features: Tensor,
        shares: Sequence[float],
        prompts: Mapping[str, Tensor | None],
        base: Callable[[], tuple[Tensor, Tensor]],
        picture: Callable[[], Tensor] | None = None,
    ) -> JointAnswer:
        """Let the experts that take part answer; see :meth:`Generations.answer`.

        Raises
        ------
        OvertakenError
            As :meth:`while_wanted` has it.
        """
        self._go_on()
        experts = self.active_experts
        if experts is None:
            raise ValueError("This model has no experts that could be asked.")
        return experts.answer(features, shares, prompts, base, picture, self.runtime.rule)

    def _go_on(self) -> None:
        if not self._is_wanted():
            raise OvertakenError

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.backbone.name!r}, device={str(self.device)!r}, "
            f"precision={self.precision!r})"
        )


def _always() -> bool:
    return True


def load_model(
    name: str = "lite-medsam",
    experts: str | PathLike[str] | None = "default",
    device: str | torch.device = "auto",
    weights: str | PathLike[str] | None = None,
    runtime: str = "auto",
) -> PromptableModel:
    """Load a backbone and its experts, ready to be prompted.

    Parameters
    ----------
    name : str
        One of :func:`icmoe_core.backbones.names`.
    experts : "default", path or None
        The experts shipped for that backbone, or none where none are shipped; an expert file;
        or None for the backbone alone.
    device : str or torch.device
        ``"auto"`` (a GPU if there is one), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    weights : path, optional
        A weights file for the backbone. Left out, the published weights are used, and
        downloaded the first time if they did not come with a package.
    runtime : str
        How the networks are calculated: ``"auto"``, which is the fastest that was measured on
        this computer (:mod:`icmoe_core.runtimes.measuring`) and plain torch before that; or a name
        in :data:`icmoe_core.runtimes.choosing.RUNTIMES`.

    Raises
    ------
    ModelError
        An unknown name, device or runtime, or an expert file that is missing or cannot be read.
    CheckpointError
        Weights that are missing, corrupt, or made for another model.
    DeviceMemoryError
        A device with too little memory for the weights.
    """
    # Before the weights, which may take minutes to download.
    place = choose_device(device)
    _expert_file(experts, name)
    with device_memory_errors(torch.device("cpu")):  # where it is built
        backbone = build_backbone(name, weights=weights)
    model = PromptableModel(backbone, place)
    model.runtime = load_runtime(model.backbone, runtime)
    return exchange_experts(model, experts)


def exchange_experts(
    model: PromptableModel, experts: str | PathLike[str] | None
) -> PromptableModel:
    """Return a model with other experts, which shares the backbone of `model`.

    What was encoded with `model` is good for it, too.

    Parameters
    ----------
    model : PromptableModel
    experts : "default", path or None
        As for :func:`load_model`.

    Raises
    ------
    ModelError
        An expert file that is missing, cannot be read, or belongs to another backbone.
    """
    backbone = model.backbone
    file = _expert_file(experts, backbone.name)
    if experts == "default":
        file = shipped_experts(backbone)
    changed = model.with_experts(None if file is None else load_experts(file, backbone))
    changed.experts_enabled = experts is not None
    changed.prepare()
    return changed


def _expert_file(experts: str | PathLike[str] | None, base: str) -> Path | None:
    """Return the path of an expert file after a look at its header."""
    if experts is None or experts == "default":
        return None
    path = Path(experts).expanduser()
    check_base(read_header(path), base, path)
    return path
