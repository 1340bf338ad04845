"""The version store: what was learnt, as expert files with a note beside each.

File names are drawn at random; the names that people give are in the notes. A file whose note is
missing, because the window was gone when it was written, is given one.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

from icmoe_core.errors import ModelError, OutputFileError
from icmoe_core.io.atomic import atomic_path
from icmoe_core.io.faults import unwritable

EXPERTS, NOTE = ".safetensors", ".json"
DEFAULT = "default"
"""Stands for the experts that come with the model, where a version's id could be."""

_KEPT = (
    "date",
    "classes",
    "scores",
    "worse",
    "retention",
    "steps",
    "seconds",
    "train_slices",
    "held_out_slices",
    "patients",
)


@dataclass(frozen=True)
class Version:
    """Experts that a fine-tune has made.

    Attributes
    ----------
    id : str
        Of its file.
    name : str
        As the user calls it.
    base : str
        The model that it belongs to.
    parent : str or None
        What it started from: another version's id, :data:`DEFAULT`, or None for the bare model.
    record : dict
        A part of what :func:`~icmoe_core.training.records.describe_run` tells, and the scores.
    path : Path
        Of the expert file.
    """

    id: str
    name: str
    base: str
    parent: str | None
    record: dict[str, Any] = field(repr=False)
    path: Path = field(repr=False)

    @property
    def date(self) -> datetime | None:
        """When it was made, in local time."""
        with suppress(KeyError, ValueError, TypeError):
            return datetime.fromisoformat(self.record["date"]).astimezone()
        return None

    @property
    def is_worse(self) -> bool:
        """Whether it answers worse than what it started from."""
        return bool(self.record.get("worse", False))

    def score(self, kind: str, when: str = "after") -> float | None:
        """Mean Dice on what was held out, with a box or a click; None if nothing was."""
        scores = self.record.get("scores") or {}
        value = scores.get(when, {}).get(kind)
        return None if value is None else float(value)


def default_folder() -> Path:
    """Return where versions are kept."""
    return user_data_path("napari-icmoe", appauthor=False) / "experts"


class VersionStore:
    """The versions in a folder. Every method touches files: call them off the GUI thread.

    Parameters
    ----------
    folder : Path, optional
        Made when it is needed.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = default_folder() if folder is None else folder

    def new_path(self) -> Path:
        """Return a path for another expert file, and make the folder.

        Raises
        ------
        OutputFileError
            If the folder cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.folder, error) from error
        return self.folder / f"{secrets.token_hex(8)}{EXPERTS}"

    def load(self) -> tuple[Version, ...]:
        """Return all versions, newest first; those without a file, or without sense, left out."""
        paths = self.folder.glob(f"*{EXPERTS}")
        # a name that begins with a dot is that of a file which is still being written
        found = [self._version(path) for path in paths if not path.name.startswith(".")]
        known = [version for version in found if version is not None]
        return tuple(sorted(known, key=lambda one: str(one.record.get("date")), reverse=True))

    def add(self, path: Path, name: str, base: str, parent: str | None, record: dict) -> Version:
        """Write the note of an expert file that lies in the folder.

        Raises
        ------
        OutputFileError
        """
        kept = {key: record[key] for key in _KEPT if key in record}
        taken = {version.name for version in self.load() if version.path != path}
        version = Version(path.stem, free_name(name, taken), base, parent, kept, path)
        self._write(version)
        return version

    def rename(self, version: Version, name: str) -> None:
        """Give a version another name.

        Raises
        ------
        OutputFileError
        """
        self._write(replace(version, name=name))

    def remove(self, version: Version) -> None:
        """Delete a version; those that started from it count as started from its parent.

        Raises
        ------
        OutputFileError
            If the file cannot be deleted.
        """
        for other in self.load():
            if other.parent == version.id:
                self._write(replace(other, parent=version.parent))
        try:
            version.path.unlink(missing_ok=True)
            version.path.with_suffix(NOTE).unlink(missing_ok=True)
        except OSError as error:
            raise OutputFileError(
                f"{version.name!r} could not be deleted ({error.strerror}): see whether you may "
                f"write in {self.folder}."
            ) from error

    def export(self, version: Version, path: Path) -> None:
        """Copy a version's expert file to `path`, which may be one that exists.

        Raises
        ------
        ModelError
            If the version's file is gone.
        OutputFileError
        """
        if not version.path.is_file():
            raise ModelError(missing(version))
        with atomic_path(path) as temporary:
            shutil.copyfile(version.path, temporary)

    def import_file(self, path: Path, base: str) -> Version:
        """Copy an expert file into the folder, if it belongs to the model `base`.

        Raises
        ------
        ModelError
            No expert file, or one of another model.
        OutputFileError
        """
        from icmoe_core.expert_files import check_base, read_header  # torch: only where needed

        header = read_header(path)
        check_base(header, base, path)
        if header.base_sha256 != (_known_weights(base) or header.base_sha256):
            raise ModelError(
                f"The experts in {path.name} were trained on other weights of {base} than those "
                "used here: fine-tune again on your own slices."
            )
        kept = self.new_path()
        with atomic_path(kept) as temporary:
            shutil.copyfile(path, temporary)
        record = header.generations[-1]["record"] if header.generations else {}
        return self.add(kept, path.stem, base, DEFAULT, record)

    def _version(self, path: Path) -> Version | None:
        try:
            note = json.loads(path.with_suffix(NOTE).read_text(encoding="utf-8"))
            return Version(
                path.stem, note["name"], note["base"], note["parent"], note["record"], path
            )
        except FileNotFoundError:
            return self._adopt(path)
        except (OSError, ValueError, KeyError, TypeError):
            return self._recovered(path)  # for now; the note may hold the user's words, and stays

    def _adopt(self, path: Path) -> Version | None:
        version = self._recovered(path)
        if version is not None:
            # a note that somebody has written meanwhile is not written over
            with suppress(OSError), path.with_suffix(NOTE).open("x", encoding="utf-8") as file:
                file.write(_note_of(version))
        return version

    def _recovered(self, path: Path) -> Version | None:
        from icmoe_core.expert_files import read_header

        try:
            header = read_header(path)
        except ModelError:
            return None
        record = header.generations[-1]["record"] if header.generations else {}
        kept = {key: record[key] for key in _KEPT if key in record}
        return Version(path.stem, "Recovered", header.base, DEFAULT, kept, path)

    def _write(self, version: Version) -> None:
        with atomic_path(version.path.with_suffix(NOTE)) as temporary:
            temporary.write_text(_note_of(version), encoding="utf-8")


def _note_of(version: Version) -> str:
    note = asdict(version)
    del note["path"], note["id"]
    return json.dumps(note, indent=1)


def _known_weights(base: str) -> str | None:
    """Return the hash of a model's usual weights, if experts for them come with the package."""
    from icmoe_core.expert_files import read_header
    from icmoe_core.experts.shipped import FOLDER

    path = FOLDER / f"{base}{EXPERTS}"
    return read_header(path).base_sha256 if path.is_file() else None


def free_name(name: str, taken: set[str] | Sequence[str]) -> str:
    """Return `name`, with a number behind it if there is such a name already."""
    wanted, number = name, 1
    while wanted in taken:
        number += 1
        wanted = f"{name} {number}"
    return wanted


def missing(version: Version) -> str:
    """Say that a version's file is gone."""
    return (
        f"The file of {version.name!r} is gone from {version.path.parent}: choose another version, "
        "or import it again."
    )
