"""The journaled scan: an image in a viewer, its journal, and what is known of earlier ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from napari.layers import Image

from napari_icmoe.journal.folders import Unfinished
from napari_icmoe.journal.lookout import Lookout
from napari_icmoe.journal.recorder import Recorder
from napari_icmoe.journal.saving import MaskSave


@dataclass(eq=False)
class JournaledScan:
    """A scan and its journal.

    Attributes
    ----------
    image : Image
    recorder : Recorder
    lookout : Lookout
        Waits for others who write a journal of the same scan.
    offers : tuple of Unfinished
        Earlier sessions of the same scan.
    problem : str
        Why nothing is recorded, in a sentence; empty if all is well.
    saves : list of MaskSave
        Of masks that are on their way to a file, or were.
    """

    image: Image
    recorder: Recorder
    lookout: Lookout
    offers: tuple[Unfinished, ...] = ()
    problem: str = ""
    saves: list[MaskSave] = field(default_factory=list)

    def note_saves(self) -> None:
        """Note masks that are still on their way, since nothing is written afterwards."""
        for save in self.saves:
            save.note()
        self.saves.clear()

    def leave(self) -> None:
        """Close the journal, and look for others no longer."""
        self.note_saves()
        self.recorder.end()
        self.lookout.close()
