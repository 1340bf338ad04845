"""A backbone: the frozen network that turns a picture into features, and features into masks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from icmoe_core.devices import full_precision
from icmoe_core.tokens import TokenTables, token_tables


class Backbone(nn.Module):
    """A SAM-style network, composed of its three parts and frozen for good.

    Its parts keep segment-anything's interfaces and names, so that ``state_dict()`` has the keys
    of the published checkpoints. It is always in evaluation mode, and no weight asks for a
    gradient; gradients still flow *through* the decoder to whatever feeds it.

    Parameters
    ----------
    name : str
        Its name in the registry.
    image_encoder : nn.Module
        ``(B, 3, S, S)`` to features ``(B, C, h, w)``.
    prompt_encoder : nn.Module
        As :class:`segment_anything.modeling.PromptEncoder`; it knows `S`, `h` and `w`.
    mask_decoder : nn.Module
        As :class:`segment_anything.modeling.MaskDecoder`.
    pixel_mean, pixel_std : sequence of 3 float
        How the network wants its pixels normalised, in units of an image that runs 0 … 1.
    answers_points : bool
        Whether the network was trained to answer points; one that knows only boxes gives
        useless masks for them.

    Attributes
    ----------
    input_size : int
        `S`, the side of the square the network sees, in pixels.
    weights_sha256 : str
        :func:`weights_hash` of the weights it was made with.
    """

    # Any: known by the attributes of segment-anything's classes, whichever package they are from.
    prompt_encoder: Any
    mask_decoder: Any
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        name: str,
        image_encoder: nn.Module,
        prompt_encoder: Any,
        mask_decoder: Any,
        *,
        pixel_mean: Sequence[float] = (0.0, 0.0, 0.0),
        pixel_std: Sequence[float] = (1.0, 1.0, 1.0),
        answers_points: bool = False,
    ) -> None:
        super().__init__()
        self.name = name
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.answers_points = answers_points
        self.input_size: int = prompt_encoder.input_image_size[0]
        # Not part of the weights: the published checkpoints do not have them either.
        self.register_buffer("pixel_mean", _per_channel(pixel_mean), persistent=False)
        self.register_buffer("pixel_std", _per_channel(pixel_std), persistent=False)
        self._dense_pe: Tensor | None = None
        self._token_tables: TokenTables | None = None
        self.requires_grad_(False)
        self.eval()
        self.weights_sha256 = weights_hash(self)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.pixel_mean.device

    @property
    def resizes_on(self) -> torch.device:
        """Where pictures are resized: Metal has no antialiased resizing in every torch."""
        return self.device if self.device.type == "cuda" else torch.device("cpu")

    def train(self, mode: bool = True) -> Backbone:
        """Stay in evaluation mode, whatever `mode` a module around this one is put in."""
        return super().train(False)

    def preprocess(self, image: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Fit pictures into the square that the network sees.

        Parameters
        ----------
        image : Tensor, (B, 1 or 3, H, W), float
            Intensities 0 … 1, on any device; one channel stands for all three.

        Returns
        -------
        x : Tensor, (B, 3, S, S), float32, on the backbone's device
            The longest side resized to `S` with the aspect kept, normalised, then padded with
            zeros below and on the right.
        input_hw : (int, int)
            Rows and columns of `x` that the picture fills.
        """
        height, width = image.shape[-2:]
        input_hw = resized_shape(height, width, self.input_size)
        x = image.to(self.resizes_on, torch.float32)
        if input_hw != (height, width):
            x = functional.interpolate(
                x, input_hw, mode="bilinear", align_corners=False, antialias=True
            )
        x = (x.to(self.device).expand(-1, 3, -1, -1) - self.pixel_mean) / self.pixel_std
        rows, columns = input_hw
        return functional.pad(
            x, (0, self.input_size - columns, 0, self.input_size - rows)
        ), input_hw

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Compute the features of preprocessed pictures.

        Parameters
        ----------
        x : Tensor, (B, 3, S, S), float32
            From :meth:`preprocess`.

        Returns
        -------
        Tensor, (B, C, h, w), float32
            float32 also under autocast: the decoder works in full precision.
        """
        return self.image_encoder(x).float()

    def dense_pe(self) -> Tensor:
        """Return the positional code of each place on the features' grid, ``(1, C, h, w)``.

        Channels last, as features are kept.
        """
        if self._dense_pe is None or self._dense_pe.device != self.device:
            # Kept, hence made outside inference mode, which would bar it from training later.
            with torch.inference_mode(False), torch.no_grad(), full_precision(self.device):
                codes = self.prompt_encoder.get_dense_pe()
                self._dense_pe = codes.contiguous(memory_format=torch.channels_last)
        return self._dense_pe

    def token_tables(self) -> TokenTables:
        """Return the prompt encoder's weights for points and boxes, on the CPU."""
        if self._token_tables is None:
            self._token_tables = token_tables(self.prompt_encoder)
        return self._token_tables

    def extra_repr(self) -> str:
        """Say what the parts do not show."""
        return (
            f"name={self.name!r}, input_size={self.input_size}, "
            f"answers_points={self.answers_points}"
        )


def resized_shape(height: int, width: int, side: int) -> tuple[int, int]:
    """Rows and columns of a picture once its longest side is `side` pixels, at least 1 each."""
    scale = side / max(height, width)
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def weights_hash(module: nn.Module) -> str:
    """SHA-256 of a module's weights: it tells whether anything in them has changed.

    It covers each entry of ``state_dict()``, sorted by name: the name, dtype, shape and bytes.
    The file the weights came from, and the device they are on, make no difference.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy())
    return digest.hexdigest()


def _per_channel(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(3, 1, 1)
