"""Downloads: published weights, fetched once into the cache, and continued when interrupted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pooch
import requests
from platformdirs import user_cache_path
from tqdm import tqdm

from icmoe_core.errors import CheckpointError

_TIMEOUT_S = (10, 60)  # to connect, and between two pieces
_PIECE_BYTES = 1 << 16  # what a broken connection loses at most
_TRIES = 5
_BROKEN_OFF = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)

Progress = Callable[[int, int], None]
"""Called with the bytes that are there, and with those of the whole file."""


class DownloadCancelledError(CheckpointError):
    """Raised by a :data:`Progress` callable to end the download; what came is kept."""


def cache_folder() -> Path:
    """Return the folder that keeps downloaded weights; it honours ``XDG_CACHE_HOME``."""
    return user_cache_path("icmoe", appauthor=False) / "weights"


def fetch(
    url: str, filename: str, checksum: str, size_bytes: int, progress: Progress | None = None
) -> Path:
    """Return the file `filename` of the cache, downloaded first if it is not there or damaged.

    A download that breaks off is continued by the next call: what came is kept beside the
    file, as ``filename.part``. The file's own name appears only once the checksum is right.

    Parameters
    ----------
    url : str
        ``http`` or ``https``.
    filename : str
        In :func:`cache_folder`.
    checksum : str
        ``"sha256:…"``, or another algorithm that pooch knows.
    size_bytes : int
        Length of the whole file, for messages.
    progress : callable, optional
        Called after each piece with the bytes so far and the length of the whole file. An
        exception that it raises ends the download and is passed on; raise
        :class:`DownloadCancelledError` to cancel.

    Raises
    ------
    CheckpointError
        Offline, refused by the server, broken off, of a wrong checksum, or not writable.
    """
    folder = cache_folder()
    by_hand = f"download it by other means ({size_bytes / 1e6:.0f} MB) and give its path as weights"
    try:
        return _retrieve(url, checksum, folder / filename, size_bytes, progress)
    except requests.RequestException as error:
        raise CheckpointError(
            f"The weights could not be downloaded from {url}, {_reason(error)}: "
            f"try again, which continues where it stopped, or {by_hand}."
        ) from error
    except ValueError as error:
        raise CheckpointError(
            f"What came from {url} is not the published weights file, its checksum is wrong: "
            f"try again, or {by_hand}."
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"The weights could not be saved in {folder} ({error.strerror or error}): free some "
            "space there or set XDG_CACHE_HOME to a folder that can be written."
        ) from error


def _retrieve(
    url: str, checksum: str, path: Path, size_bytes: int, progress: Progress | None
) -> Path:
    part = path.with_name(f"{path.name}.part")
    resumed = part.exists()
    downloader = ResumingDownloader(part, size_bytes, progress)
    try:
        pooch.retrieve(url, checksum, fname=path.name, path=path.parent, downloader=downloader)
    except ValueError:  # pooch's word for a wrong checksum; it has deleted the file already
        if not resumed:
            raise
        # What an earlier try left may have been of another file: this one starts from nothing.
        pooch.retrieve(url, checksum, fname=path.name, path=path.parent, downloader=downloader)
    return path


class ResumingDownloader:
    """A downloader for pooch that continues a partial file with an HTTP ``Range`` request.

    A server that ignores the range sends the whole file, which is then taken from its start. A
    connection that breaks off is taken up again as long as each try brings something.

    Parameters
    ----------
    part : Path
        Where the bytes are gathered; it outlives a failed download, and is moved away by a
        complete one.
    size_bytes : int
        Length of the whole file, told to `progress` where the server does not say it.
    progress : callable, optional
        See :func:`fetch`.
    """

    def __init__(self, part: Path, size_bytes: int, progress: Progress | None = None) -> None:
        self.part = part
        self._size_bytes = size_bytes
        self._progress = progress

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Download `url` to `output_file`; pooch calls this, and checks the sum afterwards."""
        for _ in range(_TRIES - 1):
            before = _length(self.part)
            try:
                self._continue(url)
                break
            except _BROKEN_OFF:
                if _length(self.part) <= before:
                    raise
        else:
            self._continue(url)
        self.part.replace(output_file)

    def _continue(self, url: str) -> None:
        have = _length(self.part)
        # "identity": a range of compressed bytes would be of no use.
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as response:
            if have and response.status_code == requests.codes.requested_range_not_satisfiable:
                # All of it is here already, or it is not this file: the checksum will tell.
                return
            response.raise_for_status()
            continued = response.status_code == requests.codes.partial_content
            self._save(response, have if continued else 0)

    def _save(self, response: requests.Response, start: int) -> None:
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        with (
            self.part.open("r+b" if start else "wb") as file,
            tqdm(
                desc=self.part.stem,
                initial=start,
                total=total,
                unit="B",
                unit_scale=True,
                # A desktop program may have no terminal, or no standard error at all.
                disable=sys.stderr is None or not sys.stderr.isatty(),
            ) as bar,
        ):
            file.seek(start)
            for piece in response.iter_content(_PIECE_BYTES):
                file.write(piece)
                bar.update(len(piece))
                if self._progress is not None:
                    self._progress(file.tell(), total or self._size_bytes)
            file.truncate()
        if total is not None and _length(self.part) < total:
            raise requests.ConnectionError(
                f"{response.url} broke off at {_length(self.part)} bytes"
            )


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate was not accepted"
    if isinstance(error, _BROKEN_OFF):
        return "there is no connection or it broke off"
    return f"the request failed ({type(error).__name__})"
