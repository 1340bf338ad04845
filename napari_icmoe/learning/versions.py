"""Versions: which experts answer, chosen among those that were learnt, with one key between two."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from icmoe_core.errors import IcmoeError
from napari_icmoe.learning.remembering import Remembering
from napari_icmoe.learning.version_store import (
    DEFAULT,
    EXPERTS,
    Version,
    VersionStore,
    missing,
)
from napari_icmoe.questions import ModelChoice
from napari_icmoe.workers import Background

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController

logger = logging.getLogger(__name__)

BARE_NAME, DEFAULT_NAME = "Bare model", "As it came"
"""How the model without experts, and that with those it comes with, are called."""

Key = str | None
"""A version's id, :data:`DEFAULT`, or None for the bare model."""


def key_of(model: ModelChoice) -> Key:
    """Return which version a choice of a model means."""
    experts = model.experts
    return experts if experts in (None, DEFAULT) else Path(str(experts)).stem


class Versions(QObject):
    """The versions there are, and the one that answers.

    What touches files is done in the background; the list follows.

    Parameters
    ----------
    controller : AnnotateController
        Whose model is given other experts.
    store : VersionStore, optional
    """

    changed = Signal()

    def __init__(
        self,
        controller: AnnotateController,
        store: VersionStore | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._controller = controller
        self.store = VersionStore() if store is None else store
        self.listed: tuple[Version, ...] = ()
        self._closed = False
        self._other: tuple[Key] | None = None  # what was on before
        self._background = Background(self)
        self._background.done.connect(self._on_done)
        self.remembering: Remembering = Remembering(controller, self)

    @property
    def active(self) -> Key:
        """What answers now."""
        return key_of(self._controller.view.model)

    @property
    def in_use(self) -> tuple[str, Key]:
        """The model that answers now, and its version."""
        return self._controller.view.model.name, self.active

    def is_in_use(self, model: ModelChoice) -> bool:
        """Whether this model answers now, with the same experts."""
        return (model.name, key_of(model)) == self.in_use

    def find(self, key: Key) -> Version | None:
        """Return the version with this id, if there is one."""
        return next((version for version in self.listed if version.id == key), None)

    def name_of(self, key: Key) -> str:
        """Return what to call it in a sentence."""
        if key is None:
            return BARE_NAME
        if key == DEFAULT:
            return DEFAULT_NAME
        version = self.find(key)
        return "Experts from elsewhere" if version is None else version.name

    def refresh(self) -> None:
        """Look at the files again."""
        self.run(lambda: None)

    def switch_on(self, key: Key) -> bool:
        """Let these experts answer from the next click on.

        Returns
        -------
        bool
            False if they cannot; why is said.
        """
        choice, experts = self._controller.view.model, key
        if key not in (None, DEFAULT):
            version = self.find(key)
            if version is None or not version.path.is_file():
                if version is not None:
                    self._controller.say("error", missing(version))
                self.refresh()
                return False
            if version.base != choice.name:
                self._controller.say(
                    "warning",
                    f"{version.name!r} belongs to the model {version.base}, and {choice.name} is "
                    "in use: choose that model first.",
                )
                return False
            experts = str(version.path)
        if key != self.active:
            self._other = (self.active,)
            self._controller.set_model(replace(choice, experts=experts))
        self.changed.emit()
        return True

    def toggle_compare(self) -> None:
        """Change to and fro between two versions: this one and the one before it."""
        former = self.active
        known = {version.id for version in self.listed} | {None, DEFAULT}
        if self._other is None or self._other[0] not in known or self._other[0] == former:
            self._other = (self._before(former),)
        other = self._other[0]
        if other == former:
            self._controller.say(
                "info", "There is nothing to compare with yet: fine-tune, or import a version."
            )
        elif self.switch_on(other):
            self._controller.say(
                "info",
                f"{self.name_of(other)!r} answers now; the same key goes back to "
                f"{self.name_of(former)!r}.",
            )

    def roll_back(self) -> None:
        """Go back to what the active version started from."""
        former = self.active
        if self.find(former) is None:
            self._controller.say(
                "info", "There is nothing to roll back: no version of yours is switched on."
            )
            return
        parent = self._before(former)
        if self.switch_on(parent):
            self._controller.say(
                "info",
                f"Rolled back to {self.name_of(parent)!r}; {self.name_of(former)!r} is kept in "
                "the list.",
            )

    def add(
        self,
        path: Path,
        name: str,
        base: str,
        parent: Key,
        record: dict,
        then: Callable[[Version], None],
    ) -> None:
        """List an expert file that a fine-tune has written; `then` is called once it is there."""
        self.run(lambda: self.store.add(path, name, base, parent, record), then)

    def rename(self, key: Key, name: str) -> None:
        """Give a version another name; an empty one changes nothing."""
        version = self.find(key)
        wanted = " ".join(name.split())
        if version is not None and wanted and wanted != version.name:
            self.run(lambda: self.store.rename(version, wanted))

    def delete(self, key: Key) -> None:
        """Delete a version; if it answers, what it started from does from now on."""
        version = self.find(key)
        if version is None:
            return
        if key == self.active:
            self.switch_on(self._before(key))
        self.run(lambda: self.store.remove(version))

    def export(self, key: Key, path: Path) -> None:
        """Copy a version to a file of the user's choice, which gets the suffix of expert files."""
        version = self.find(key)
        if version is None:
            return
        wanted = path
        if path.suffix != EXPERTS:
            wanted = path.with_name(path.name + EXPERTS)
            if wanted.exists():  # the dialog asked about the name without its suffix
                self._controller.say("warning", f"{wanted} exists already: choose it by name.")
                return
        self.run(
            lambda: self.store.export(version, wanted),
            lambda _: self._controller.say("info", f"{version.name!r} was saved as {wanted}."),
        )

    def import_file(self, path: Path) -> None:
        """Copy an expert file into the list, if it fits the model in use."""
        base = self._controller.view.model.name
        self.run(
            lambda: self.store.import_file(path, base),
            lambda version: self._controller.say(
                "info", f"{version.name!r} is in the list: switch it on to use it."
            ),
        )

    def run(
        self, work: Callable[[], Any], then: Callable[[Any], None] = lambda result: None
    ) -> None:
        """Do what touches files in the background, list anew, and call `then` with the result."""
        self._background.run(lambda: (work(), self.store.load(), then))

    def close(self) -> None:
        """Change nothing in the viewer any more; what is being written is written to its end."""
        self._closed = True

    def _before(self, key: Key) -> Key:
        """Return what a version started from, or else the newest version, or what came."""
        version = self.find(key)
        if version is not None:
            parent = version.parent
            known = parent in (None, DEFAULT) or self.find(parent) is not None
            return parent if known else DEFAULT
        base = self._controller.view.model.name
        fitting = [one.id for one in self.listed if one.base == base]
        return fitting[0] if fitting else DEFAULT

    def _on_done(self, found: Any, error: Exception | None) -> None:
        if self._closed:
            return
        if found is None:
            sentence = str(error)
            if not isinstance(error, IcmoeError):
                logger.error("The versions could not be changed", exc_info=error)
                sentence = f"The versions could not be changed ({error}): try again."
            self._controller.say("error", sentence)
            return
        result, self.listed, then = found
        self.changed.emit()
        then(result)
