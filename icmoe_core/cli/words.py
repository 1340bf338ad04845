"""Words that several commands say: how many of something, and what is odd about a scan."""

from __future__ import annotations

from icmoe_core.io import Volume


def count(number: int, noun: str) -> str:
    """Return ``"1 slice"`` or ``"3 slices"``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def notices_about(volume: Volume) -> list[str]:
    """Return what the user should know of a file that is to be outlined, one sentence each."""
    if not volume.is_labels:
        return list(volume.notices)
    name = volume.path.name if volume.path else "The image"
    return [
        *volume.notices,
        f"{name} looks like a label map and not like a scan: give the scan that it belongs to, if "
        "that was meant.",
    ]
