"""Mask choices: which mask belongs to an image, as a change that can be taken back."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from napari.layers import Image, Labels

if TYPE_CHECKING:
    from napari_icmoe.masks import Masks


ANOTHER, NEW = "another mask", "new mask"
"""What the undo button calls such a change: by the user, or since the mask of before was gone."""


class MaskChoice:
    """Another mask was chosen for an image; for undo and redo, it stands where an edit does.

    A mask that has been removed since is not chosen again: a new one is made when it is needed.

    Parameters
    ----------
    masks : Masks
    image : Image
    former, chosen : Labels or None
        None for one that is to be made.
    """

    nbytes = 0

    def __init__(
        self, masks: Masks, image: Image, former: Labels | None, chosen: Labels | None
    ) -> None:
        self._masks, self._image = masks, weakref.ref(image)  # the history keeps no layer
        self._former = None if former is None else weakref.ref(former)
        self._chosen = None if chosen is None else weakref.ref(chosen)

    def undo(self) -> None:
        """Go back to the former mask."""
        self._choose(self._former)

    def redo(self) -> None:
        """Choose the other mask again."""
        self._choose(self._chosen)

    def _choose(self, wanted: weakref.ref[Labels] | None) -> None:
        image, layer = self._image(), None if wanted is None else wanted()
        if image is None:
            return
        if layer is not None and not self._masks.is_followed(layer):
            layer = None
        if self._masks.choose(image, layer) is not None:  # it does not fit any more
            self._masks.choose(image, None)
