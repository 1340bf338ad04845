"""The worklist: the scans in a folder, and how far each of them is. Needs neither Qt nor napari.

States are kept in the user's data folder, under hashes of the folder and of the names in it, so
that no name of a patient leaves the place where it is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from platformdirs import user_data_path

from icmoe_core.errors import InputFileError
from icmoe_core.io.atomic import atomic_path
from napari_icmoe.worklist.scan_folders import find_scans, mask_names

_FORMAT = 1


class ScanState(StrEnum):
    """How far a scan is."""

    UNTOUCHED = "untouched"
    IN_WORK = "in work"
    DONE = "done"


@dataclass(frozen=True)
class Worklist:
    """The scans in a folder, in the order of their names.

    Parameters
    ----------
    folder : Path
    names : tuple of str
        Paths of the scans inside the folder, with ``/``; a DICOM series is its folder.
    states : mapping of str to ScanState
        By :func:`key_of` a name; a scan that is not in it is untouched.
    masks : int
        How many label files were found, and left out.
    notice : str
        A sentence for the user about what was found; empty if there is nothing to say.
    """

    folder: Path
    names: tuple[str, ...]
    states: Mapping[str, ScanState] = field(default_factory=dict)
    masks: int = 0
    notice: str = ""

    def path_of(self, name: str) -> Path:
        """Return where the scan is."""
        return self.folder / name

    def state_of(self, name: str) -> ScanState:
        """Return how far the scan is."""
        return self.states.get(key_of(name), ScanState.UNTOUCHED)

    def with_state(self, name: str, state: ScanState) -> Worklist:
        """Return this worklist with another state of one scan."""
        return replace(self, states=MappingProxyType({**self.states, key_of(name): state}))

    def count(self) -> Mapping[ScanState, int]:
        """Return how many scans are in each state."""
        found = Counter(self.state_of(name) for name in self.names)
        return {state: found[state] for state in ScanState}

    def neighbour(self, name: str | None, step: int, *, skip_done: bool = False) -> str | None:
        """Return the scan after or before another one.

        Parameters
        ----------
        name : str or None
            None is before the first, and after the last.
        step : {1, -1}
        skip_done : bool
            Whether scans that are done are passed by.

        Returns
        -------
        str or None
            None where there is none that way.
        """
        order = self.names[::step]
        start = order.index(name) + 1 if name in order else 0
        for other in order[start:]:
            if not (skip_done and self.state_of(other) is ScanState.DONE):
                return other
        return None


def open_worklist(folder: Path) -> Worklist:
    """List a folder, and recall how far its scans are. May take seconds on a network share.

    Raises
    ------
    InputFileError
        With a sentence for the user: the folder is not there, or cannot be read.
    """
    names, masks, notice = find_scans(folder)
    states, damaged = load_states(states_file(folder))
    # what has a mask beside it was worked on, wherever that was
    for name in names:
        if key_of(name) not in states and mask_names(name) & masks:
            states[key_of(name)] = ScanState.IN_WORK
    sentences = " ".join(sentence for sentence in (notice, damaged) if sentence)
    return Worklist(folder, names, MappingProxyType(states), len(masks), sentences)


def key_of(name: str) -> str:
    """Return the hash under which the state of a scan is kept."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def states_file(folder: Path) -> Path:
    """Return the file that keeps the states of the scans in a folder."""
    place = key_of(os.path.realpath(folder))
    return user_data_path("napari-icmoe", appauthor=False) / "worklists" / f"{place}.json"


def load_states(file: Path) -> tuple[dict[str, ScanState], str]:
    """Read the states that are kept in a file.

    Returns
    -------
    states : dict of str to ScanState
        By key; empty if there is no file yet.
    notice : str
        A sentence for the user if the file was damaged; it is put aside then.
    """
    try:
        kept: Any = json.loads(file.read_text(encoding="utf-8"))
        states = {str(key): ScanState(value) for key, value in kept["states"].items()}
    except FileNotFoundError:
        return {}, ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        aside = file.with_suffix(".damaged")
        try:
            file.replace(aside)
        except OSError as error:
            raise InputFileError(
                f"The states of this worklist cannot be read ({error.strerror}): look at {file}."
            ) from error
        return {}, f"The states of this worklist were damaged; they were put aside as {aside}."
    return states, ""


def save_state(file: Path, key: str, state: ScanState) -> None:
    """Keep the state of one scan; what another window has written meanwhile stays.

    Raises
    ------
    IcmoeError
        With a sentence for the user: full disk, read-only folder.
    """
    states, _ = load_states(file)
    states[key] = state
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as temporary:
        text = json.dumps({"format": _FORMAT, "states": dict(sorted(states.items()))}, indent=1)
        temporary.write_text(text + "\n", encoding="utf-8")
