"""The experts that come with the package: one file for each backbone that has some."""

from __future__ import annotations

from pathlib import Path

from icmoe_core.backbones import Backbone
from icmoe_core.expert_files import read_header

FOLDER = Path(__file__).parent / "default"


def shipped_experts(backbone: Backbone) -> Path | None:
    """Return the expert file shipped for `backbone`, or None.

    Experts go with the very weights that they were trained on, so that a backbone with other
    weights has none.
    """
    path = FOLDER / f"{backbone.name}.safetensors"
    if not path.is_file() or read_header(path).base_sha256 != backbone.weights_sha256:
        return None
    return path
