"""Familiarity: how much a picture is like those that experts were trained on.

It is told from the frozen features alone, without having seen anything foreign, in the spirit of
routing by the input's domain (arXiv 2510.16448): the channels' means and spreads over the picture
are compared with those of the nearest training pictures. Measured on LiteMedSAM, neighbours in one
series are 0.2 to 0.4 apart, other planes of the scan 0.5 to 0.9, other organs or modalities 0.8
to 2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LIMIT = 0.75
"""Distance at which a picture is half familiar."""
SOFTNESS = 0.05
"""Distance over which familiarity falls by a factor of e."""
_TINY = 1e-6
_FAR = 1e6  # a distance beyond all pictures


def describe(features: Tensor, area: tuple[int, int]) -> Tensor:
    """Summarise the features of a picture.

    Parameters
    ----------
    features : Tensor, (C, h, w)
        From the frozen image encoder.
    area : (int, int)
        Rows and columns of the features that show the picture, at least 1 each.

    Returns
    -------
    Tensor, (2 C,), float32
        Mean and standard deviation of each channel.
    """
    rows, columns = area
    flat = features[:, :rows, :columns].float().flatten(1)
    mean = flat.mean(1, keepdim=True)
    # Torch's own standard deviation takes 18 times as long on a CPU.
    spread = torch.linalg.vector_norm(flat - mean, dim=1) / flat.shape[1] ** 0.5
    return torch.cat([mean[:, 0], spread])


class Familiarity(nn.Module):
    """Nearest neighbour among the training pictures.

    Attributes
    ----------
    known : Tensor, (n, 2 C)
        Descriptions of the training pictures.
    spread : Tensor, (2 C,)
        Scale of each number in a description, over pictures of all kinds.
    limit : Tensor, ()
        Distance at which a picture is half familiar.
    """

    known: Tensor
    spread: Tensor
    limit: Tensor

    def __init__(self, known: Tensor, spread: Tensor, limit: float = LIMIT) -> None:
        super().__init__()
        self.register_buffer("known", known.float())
        self.register_buffer("spread", spread.float())
        self.register_buffer("limit", torch.tensor(float(limit)))

    def distance(self, description: Tensor) -> Tensor:
        """Root mean squared difference to the nearest training picture, in spreads; ``()``."""
        difference = (self.known - description) / (self.spread + _TINY)
        return difference.square().mean(1).min().sqrt()

    def forward(self, description: Tensor) -> Tensor:
        """Familiarity 0 … 1 of a picture with :func:`describe`'s `description`; ``()``."""
        return torch.sigmoid((self.limit - self.distance(description)) / SOFTNESS)


def everything_familiar(description: Tensor) -> Familiarity:
    """Return what finds all pictures familiar, for descriptions like the one given ``(2 C,)``."""
    return Familiarity(torch.zeros_like(description)[None], torch.ones_like(description), _FAR)


def make_familiarity(pictures: Tensor, all_kinds: Tensor, limit: float = LIMIT) -> Familiarity:
    """Learn what is familiar.

    Parameters
    ----------
    pictures : Tensor, (n, 2 C)
        Descriptions of the training pictures.
    all_kinds : Tensor, (m, 2 C)
        Descriptions of pictures of all kinds, which give the scale.
    limit : float
    """
    return Familiarity(pictures, torch.cat([pictures, all_kinds]).std(0, correction=0), limit)
