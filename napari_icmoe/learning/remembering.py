"""Remembering: what was on last answers again, and what is on now is noted for the next start."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_icmoe.learning.last_used import LastUsed, load_last_used, save_last_used
from napari_icmoe.learning.version_store import DEFAULT

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController
    from napari_icmoe.learning.versions import Versions


class Remembering(QObject):
    """Switches on what was on at the last use, and notes what is on.

    Parameters
    ----------
    controller : AnnotateController
        Whose model is given other experts.
    versions : Versions
        Those that there are.

    Attributes
    ----------
    started : bool
        Whether it is known what was on at the last use.
    noted : tuple of str and Key
        The model and the version that are noted.
    """

    def __init__(self, controller: AnnotateController, versions: Versions) -> None:
        super().__init__(versions)
        self._controller, self._versions = controller, versions
        self.started = False
        self.noted = versions.in_use
        self._kept = False
        versions.run(lambda: load_last_used(versions.store.folder), self._start_with)
        controller.changed.connect(self._note_changes)

    def keep_present(self) -> None:
        """Leave on what is on, even if it is not known yet what was on at the last use."""
        self._kept = True

    def _start_with(self, last: LastUsed | None) -> None:
        """Let that version answer which did when the model was used last."""
        self.started = True
        if self._kept or self._versions.in_use != self.noted:
            self._note_changes()  # something was chosen meanwhile, and stays
        elif last is not None and (last.base, last.version) != self._versions.in_use:
            self._switch_to_last(last)

    def _switch_to_last(self, last: LastUsed) -> None:
        view = self._controller.view
        version = self._versions.find(last.version)
        own = last.version not in (None, DEFAULT)
        base = last.base if version is None else version.base
        if base != view.model.name:
            problem = (
                f"{last.name!r}, which was on last, belongs to the model {base}: choose that model "
                f"to use it. {view.model.name} answers as it came."
            )
        elif own and (version is None or not version.path.is_file()):
            problem = (
                f"The file of {last.name!r}, which was on last, is gone: {view.model.name} answers "
                "as it came. Choose another version under Learn, or import it again."
            )
        else:
            experts = last.version if version is None else str(version.path)
            view.model = replace(view.model, experts=experts)
            self.noted = self._versions.in_use
            self._controller.say(
                "info", f"{self._versions.name_of(last.version)!r} answers, as last time."
            )
            view.refresh()
            self._versions.changed.emit()
            return
        if own:
            self._controller.say("warning", problem)
        self._note()  # so that it is said once

    def _note_changes(self) -> None:
        """Note what is on now, if that has changed."""
        if self.started and self._versions.in_use != self.noted:
            self._note()

    def _note(self) -> None:
        self.noted = base, key = self._versions.in_use
        last = LastUsed(base, key, self._versions.name_of(key))
        self._versions.run(lambda: save_last_used(self._versions.store.folder, last))
