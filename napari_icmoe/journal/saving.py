"""Saving: what the journal notes of a mask that was saved, and the provenance beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from numpy.typing import NDArray

from napari_icmoe.journal.files import read_journal
from napari_icmoe.journal.fingerprints import file_sha256
from napari_icmoe.journal.provenance import SUFFIX, provenance, write_provenance
from napari_icmoe.journal.recorder import Recorder
from napari_icmoe.journal.summaries import first_steps
from napari_icmoe.journal.threads import JournalThreads, Then

PATIENCE_S = 600.0
"""How long a journal stays open for a mask that is being saved while its window closes."""


class MaskSave:
    """A mask on its way to a file, as its journal sees it.

    Parameters
    ----------
    recorder : Recorder
        Of the scan.
    threads : JournalThreads
    array : ndarray of int
        The mask's.
    names : mapping of str to str
        Names of the scan, where the user has asked for them.
    then : callable
        Told on the GUI thread what came of the provenance.
    """

    def __init__(
        self,
        recorder: Recorder,
        threads: JournalThreads,
        array: NDArray,
        names: Mapping[str, str],
        then: Then,
    ) -> None:
        self._recorder, self._threads = recorder, threads
        self._array: NDArray | None = array  # until it has been noted
        self._names, self._then = names, then
        self._steps = recorder.steps  # what is done from now on is not in the file
        self._written: Future[Path | None] = Future()

    @property
    def noted(self) -> bool:
        """Whether the journal has been told of it, or need not be."""
        return self._array is None or (self._written.done() and self._path() is None)

    @contextmanager
    def reaching(self, where: Callable[[], Path]) -> Iterator[Path]:
        """Know whether the file got there; on the thread that writes it.

        Parameters
        ----------
        where : callable
            Returns the path. If it refuses to, there is no file.
        """
        try:
            path = where()
            yield path
        except BaseException:
            self._written.set_result(None)
            raise
        self._written.set_result(path)

    def note(self) -> None:
        """Have it noted in the journal once the file is there, and the provenance written beside.

        On the GUI thread, when the file is there or before the journal is closed: its thread
        waits. What has been noted already is not noted again.
        """
        recorder = self._recorder
        array, self._array = self._array, None
        if array is None or not recorder.started:
            return
        if recorder.failed:
            self._threads.read(self._untold, self._then)
            return
        number = recorder.number_of(array)
        if number is None:
            return  # nothing was done on it
        recorder.write_saved(number, self._steps, lambda: self._path() is not None)

        def tell(journal: Path | None) -> str | None:
            path = self._path()
            if path is None:
                return None
            return tell_provenance(path, number, self._steps, self._names, journal)

        self._threads.follow_up(lambda: recorder.journal.path, tell, self._then)

    def _untold(self) -> str | None:
        path = self._path()
        return None if path is None else untold(path)

    def _path(self) -> Path | None:
        """Return where the file is, once it is there; None if it could not be written."""
        try:
            return self._written.result(PATIENCE_S)
        except TimeoutError:
            return None


def untold(path: Path) -> str:
    """Return what the user has to know of a mask that was saved without its provenance."""
    return (
        f"No provenance was written beside {path}, since what you do on this scan is not being "
        "recorded: choose another folder for the journal."
    )


def tell_provenance(
    path: Path, number: int, steps: int, names: Mapping[str, str], journal: Path | None
) -> str | None:
    """Write beside a mask file how the mask came about.

    Parameters
    ----------
    path : Path
        The file that was written.
    number : int
        Of the mask in the journal.
    steps : int
        How often the session had changed when the saving began.
    names : mapping of str to str
        Names of the scan, where the user has asked for them.
    journal : Path, optional
        None where there is none any more.

    Returns
    -------
    str or None
        What the user has to know, in a sentence.

    Raises
    ------
    IcmoeError, OSError
        The provenance could not be written.
    """
    if journal is None:
        return untold(path)
    records = first_steps(read_journal(journal).records, steps)
    content = provenance(records, mask=number, mask_sha256=file_sha256(path), scan=names)
    written = write_provenance(path, content)
    if written.name == path.name + SUFFIX:
        return None
    return (
        f"{path.name}{SUFFIX} was there already and is not this program's, so it was left alone, "
        f"and the provenance was written to {written.name}."
    )
