"""The worklist: the scans in a folder, and how far each of them is. Needs neither Qt nor napari.

States are kept in the user's data folder, under hashes of the folder and of the names in it, so
that no name of a patient leaves the place where it is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

from filelock import FileLock
from platformdirs import user_data_path

from icmoe_core.errors import IcmoeError, InputFileError
from icmoe_core.io.atomic import atomic_path
from icmoe_core.io.faults import unwritable
from napari_icmoe.worklist.scan_folders import find_scans, mask_names

_FORMAT = 1
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError)
_PATIENCE_S = 10.0  # with another window that is writing


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
    try:
        states, problem = load_states(states_file(folder))
    except IcmoeError as error:  # the scans can be worked on all the same
        states, problem = {}, str(error)
    # what has a mask beside it was worked on, wherever that was
    for name in names:
        if key_of(name) not in states and mask_names(name) & masks:
            states[key_of(name)] = ScanState.IN_WORK
    sentences = " ".join(sentence for sentence in (notice, problem) if sentence)
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

    Raises
    ------
    IcmoeError
        With a sentence for the user: the file cannot be opened. It is left alone.
    """
    try:
        return _read(file), ""
    except _DAMAGE:
        with _locked(file):
            return _read_or_put_aside(file)


def save_state(file: Path, key: str, state: ScanState) -> str:
    """Keep the state of one scan; what another window has written meanwhile stays.

    Returns
    -------
    str
        As `notice` of :func:`load_states`.

    Raises
    ------
    IcmoeError
        With a sentence for the user: full disk, read-only folder, a file that cannot be opened.
    """
    with _locked(file):
        states, notice = _read_or_put_aside(file)
        states[key] = state
        with atomic_path(file) as temporary:
            content = {"format": _FORMAT, "states": dict(sorted(states.items()))}
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return notice


def _read(file: Path) -> dict[str, ScanState]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputFileError(
            f"How far the scans of this worklist are cannot be read ({error.strerror or error}): "
            f"check that you may read {file}."
        ) from error
    kept: Any = json.loads(text)
    return {str(key): ScanState(value) for key, value in kept["states"].items()}


def _read_or_put_aside(file: Path) -> tuple[dict[str, ScanState], str]:
    """Read states with the lock held: another window may have put the damaged file aside."""
    try:
        return _read(file), ""
    except _DAMAGE:
        names = (f"{file.stem}.damaged{number or ''}" for number in count())
        aside = next(path for path in map(file.with_name, names) if not path.exists())
        try:
            file.replace(aside)
        except OSError as error:
            raise unwritable(aside, error) from error
        return {}, f"The states of this worklist were damaged; they were put aside as {aside}."


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Keep other windows from changing the file."""
    lock = FileLock(file.with_suffix(".lock"), timeout=_PATIENCE_S)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:  # Timeout is one
        raise unwritable(file, error) from error
    try:
        yield
    finally:
        lock.release()
