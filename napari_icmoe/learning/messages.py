"""Messages between the window and the process that trains: one JSON object a line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Self

PAUSE, GO_ON, FINISH = "pause", "go on", "finish"
"""Commands to the process, one a line; the end of its input means :data:`FINISH`."""


@dataclass(frozen=True)
class SliceNote:
    """What a :class:`~icmoe_core.training.datasets.LabelledSlice` has beside its arrays.

    Attributes
    ----------
    case : str
        The scan's name, and the time point where there are several.
    axis : int or None
    index : int
    spacing : (float, float)
    classes : tuple of int
    """

    case: str
    axis: int | None
    index: int
    spacing: tuple[float, float]
    classes: tuple[int, ...]


@dataclass(frozen=True)
class ScanNote:
    """A file with the approved slices of one scan, and what is to be known of them.

    Attributes
    ----------
    file : str
        Its name in the folder of the job; it tells nothing about the scan.
    patient : str
    window : (float, float, str)
        Low, high and name of the scan's window.
    slices : tuple of SliceNote
    """

    file: str
    patient: str
    window: tuple[float, float, str]
    slices: tuple[SliceNote, ...]


@dataclass(frozen=True)
class Request:
    """What is to be learnt, from what, and for how long.

    Attributes
    ----------
    folder : str
        Of the job: scans, checkpoint and pictures lie in it, and nothing else.
    output : str
        Expert file to write.
    model, device : str
    experts : str or None
        To start from, as for :func:`icmoe_core.load_model`.
    scans : tuple of ScanNote
    folders : tuple of (str, str)
        Folders of images, each with one of labels.
    classes : tuple of int
        The labels to learn; those that no slice shows are left out.
    validation : float
        Share to hold out.
    held_out : tuple of str
        Patients to hold out instead.
    max_seconds : float
    patience : int
    names : tuple of (int, str)
        What the classes are called, for sentences.
    """

    folder: str
    output: str
    model: str
    device: str
    experts: str | None
    scans: tuple[ScanNote, ...]
    folders: tuple[tuple[str, str], ...]
    classes: tuple[int, ...]
    validation: float
    held_out: tuple[str, ...]
    max_seconds: float
    patience: int
    names: tuple[tuple[int, str], ...] = ()

    def to_line(self) -> str:
        """Return the request as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Read the request from its line."""
        fields = json.loads(line)
        fields["scans"] = tuple(_scan_note(entry) for entry in fields["scans"])
        fields["folders"] = tuple((images, labels) for images, labels in fields["folders"])
        fields["names"] = tuple((label, name) for label, name in fields["names"])
        for name in ("classes", "held_out"):
            fields[name] = tuple(fields[name])
        return cls(**fields)


def _scan_note(entry: dict[str, Any]) -> ScanNote:
    slices = tuple(
        SliceNote(
            one["case"],
            one["axis"],
            one["index"],
            (one["spacing"][0], one["spacing"][1]),
            tuple(one["classes"]),
        )
        for one in entry["slices"]
    )
    low, high, name = entry["window"]
    return ScanNote(entry["file"], entry["patient"], (low, high, name), slices)


@dataclass(frozen=True)
class WorstNote:
    """A held-out slice with one of the worst answers; its picture lies in the job's folder.

    Attributes
    ----------
    name : str
    label : int
    kind : {"box", "click"}
    dice_before, dice_after : float
    """

    name: str
    label: int
    kind: str
    dice_before: float
    dice_after: float


@dataclass(frozen=True)
class Report:
    """What the process says.

    Attributes
    ----------
    kind : {"progress", "paused", "done", "stopped", "failed"}
        Stopped means that nothing was learnt yet.
    stage : str
        ``"loading"``, or as in :class:`~icmoe_core.training.progress.Progress`, from which the
        other fields are taken.
    step, total, losses, load, seconds, seconds_left, afterwards
    scores : (float, float) or None
        Of a validation: box, click.
    message : str
        One sentence or two, for the user.
    record : dict or None
        When it is done.
    worst : tuple of WorstNote
        When it is done.
    """

    kind: str
    stage: str = ""
    step: int = 0
    total: int | None = None
    losses: dict[str, float] = field(default_factory=dict)
    scores: tuple[float, float] | None = None
    load: tuple[float, ...] = ()
    seconds: float = 0.0
    seconds_left: float | None = None
    afterwards: float | None = None
    message: str = ""
    record: dict[str, Any] | None = None
    worst: tuple[WorstNote, ...] = ()

    def to_line(self) -> str:
        """Return the report as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_line(cls, line: str) -> Self | None:
        """Read a report; None for a line that is none, since libraries print, too."""
        try:
            fields = json.loads(line)
            fields["load"] = tuple(fields["load"])
            fields["worst"] = tuple(WorstNote(**note) for note in fields["worst"])
            if fields["scores"] is not None:
                fields["scores"] = (fields["scores"][0], fields["scores"][1])
            return cls(**fields)
        except (ValueError, TypeError, KeyError):
            return None
