"""Segment Anything (Kirillov et al. 2023, arXiv 2304.02643), and MedSAM in its ViT-B.

The networks are composed of the parts of the ``segment-anything`` package. The weights are
downloaded on first use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from icmoe_core.backbones.backbone import Backbone
from icmoe_core.backbones.checkpoints import WeightsInfo, find_weights, load_weights
from icmoe_core.backbones.registry import register


@dataclass(frozen=True)
class SamSize:
    """All the numbers of one SAM; those that have a default are the same in all published ones.

    Parameters
    ----------
    width, depth, heads : int
        Of the image encoder's transformer.
    global_blocks : sequence of int
        Its blocks that attend over the whole picture rather than a window.
    input_size, patch_size, window_size : int
        In pixels, pixels and patches.
    channels : int
        Of the features and tokens.
    decoder_depth, decoder_heads, decoder_width, iou_width : int
        Of the mask decoder's transformer and its IoU head.
    """

    width: int
    depth: int
    heads: int
    global_blocks: Sequence[int]
    input_size: int = 1024
    patch_size: int = 16
    window_size: int = 14
    channels: int = 256
    decoder_depth: int = 2
    decoder_heads: int = 8
    decoder_width: int = 2048
    iou_width: int = 256


VIT_B = SamSize(width=768, depth=12, heads=12, global_blocks=(2, 5, 8, 11))
VIT_L = SamSize(width=1024, depth=24, heads=16, global_blocks=(5, 11, 17, 23))
VIT_H = SamSize(width=1280, depth=32, heads=16, global_blocks=(7, 15, 23, 31))


@dataclass(frozen=True)
class SamVariant:
    """A published SAM: its size, its weights, and what it was taught.

    Parameters
    ----------
    size : SamSize
    weights : WeightsInfo
    pixel_mean, pixel_std : sequence of 3 float
        Normalisation, for pixels 0 … 1.
    answers_points : bool
        Whether it was trained on points too.
    """

    size: SamSize
    weights: WeightsInfo
    # ImageNet's, which SAM's own code gives in units of 0 … 255.
    pixel_mean: Sequence[float] = (123.675 / 255, 116.28 / 255, 103.53 / 255)
    pixel_std: Sequence[float] = (58.395 / 255, 57.12 / 255, 57.375 / 255)
    answers_points: bool = True


def _meta_weights(filename: str, sha256: str, size_bytes: int) -> WeightsInfo:
    return WeightsInfo(
        licence="Apache-2.0",
        source="https://github.com/facebookresearch/segment-anything#model-checkpoints",
        checksum=f"sha256:{sha256}",
        size_bytes=size_bytes,
        url=f"https://dl.fbaipublicfiles.com/segment_anything/{filename}",
    )


VARIANTS = {
    "sam-vit-b": SamVariant(
        VIT_B,
        _meta_weights(
            "sam_vit_b_01ec64.pth",
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            375_042_383,
        ),
    ),
    "sam-vit-l": SamVariant(
        VIT_L,
        _meta_weights(
            "sam_vit_l_0b3195.pth",
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            1_249_524_607,
        ),
    ),
    "sam-vit-h": SamVariant(
        VIT_H,
        _meta_weights(
            "sam_vit_h_4b8939.pth",
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            2_564_550_879,
        ),
    ),
    # Ma et al. 2024, doi 10.1038/s41467-024-44824-z: boxes only, pixels 0 … 1 as they are.
    "medsam-vit-b": SamVariant(
        VIT_B,
        WeightsInfo(
            licence="Apache-2.0",
            source="https://github.com/bowang-lab/MedSAM",
            checksum="sha256:34b34b78c1d18cb8c6bf84cf9c00e135d6d6c965699f3c0e31ef1bc9dcb5be74",
            size_bytes=375_049_145,
            url="https://zenodo.org/records/10689643/files/medsam_vit_b.pth",
        ),
        pixel_mean=(0.0, 0.0, 0.0),
        pixel_std=(1.0, 1.0, 1.0),
        answers_points=False,
    ),
}


def build_sam(name: str, variant: SamVariant, weights: Path | None = None) -> Backbone:
    """Build the SAM called `name`, with its published weights or those of a file.

    Raises
    ------
    CheckpointError
        If the weights are missing, corrupt, or made for another model.
    """
    path = find_weights(variant.weights, weights)
    # Without memory of its own: filling it with random numbers would take longer than the file.
    with torch.device("meta"):
        parts = compose(variant.size)
    load_weights(parts, path, name, assign=True)
    return Backbone(
        name,
        parts["image_encoder"],
        parts["prompt_encoder"],
        parts["mask_decoder"],
        pixel_mean=variant.pixel_mean,
        pixel_std=variant.pixel_std,
        answers_points=variant.answers_points,
    )


def compose(size: SamSize) -> nn.ModuleDict:
    """Compose the image encoder, prompt encoder and mask decoder of a SAM, not yet trained."""
    from segment_anything import modeling  # here: it imports torchvision, which takes a second

    grid = size.input_size // size.patch_size
    return nn.ModuleDict(
        {
            "image_encoder": modeling.ImageEncoderViT(
                img_size=size.input_size,
                patch_size=size.patch_size,
                embed_dim=size.width,
                depth=size.depth,
                num_heads=size.heads,
                mlp_ratio=4,
                out_chans=size.channels,
                qkv_bias=True,
                norm_layer=partial(nn.LayerNorm, eps=1e-6),
                use_rel_pos=True,
                window_size=size.window_size,
                global_attn_indexes=tuple(size.global_blocks),
            ),
            "prompt_encoder": modeling.PromptEncoder(
                embed_dim=size.channels,
                image_embedding_size=(grid, grid),
                input_image_size=(size.input_size, size.input_size),
                mask_in_chans=16,
            ),
            "mask_decoder": modeling.MaskDecoder(
                transformer_dim=size.channels,
                transformer=modeling.TwoWayTransformer(
                    depth=size.decoder_depth,
                    embedding_dim=size.channels,
                    num_heads=size.decoder_heads,
                    mlp_dim=size.decoder_width,
                ),
                num_multimask_outputs=3,
                iou_head_depth=3,
                iou_head_hidden_dim=size.iou_width,
            ),
        }
    )


for _name, _variant in VARIANTS.items():
    register(_name, partial(build_sam, _name, _variant), _variant.weights)
