"""Choices: which model answers and through which window it looks, told by hashes."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

import icmoe_core
from icmoe_core.windowing import Window
from napari_icmoe.journal.fingerprints import file_sha256
from napari_icmoe.journal.records import Record
from napari_icmoe.questions import ModelChoice

_SHIPPED = Path(icmoe_core.__file__).parent / "experts" / "default"


def describe_choices(choice: ModelChoice, name: str, window: Window | None) -> Record:
    """Return what the answers are made with.

    Parameters
    ----------
    choice : ModelChoice
        An expert file is told by its hash, since its name and folder are the user's.
    name : str
        Of the window, as it was chosen.
    window : Window, optional
        What the model got to see last, if it has answered already.
    """
    shipped = _SHIPPED / f"{choice.name}.safetensors"
    experts = shipped if choice.experts == "default" else choice.experts
    path = None if experts is None else Path(experts)
    limits = None if window is None else [float(window.low), float(window.high)]
    return {
        "model": choice.name,
        "weights_sha256": _base_hash(path) or _base_hash(shipped),
        "experts": "default" if choice.experts == "default" else "own" if experts else "none",
        "experts_sha256": file_sha256(path) if path is not None and path.is_file() else None,
        "window": {"name": name, "limits": limits},
    }


def _base_hash(experts: Path | None) -> str | None:
    """Return the hash of the backbone's weights that experts belong to; read without torch."""
    if experts is None or not experts.is_file():
        return None
    try:
        with safe_open(str(experts), framework="np") as file:
            digest = json.loads(file.metadata()["header"])["base_sha256"]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    return digest if isinstance(digest, str) else None
