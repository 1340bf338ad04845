"""Masks: the Labels layers of one viewer, and which of them is accepted into."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal

from napari_icmoe.followed_masks import FollowedMask
from napari_icmoe.history import Step
from napari_icmoe.label_edits import LayerEdit, VoxelEdit
from napari_icmoe.label_layers import ids_in, mismatch, slices_in
from napari_icmoe.mask_colors import MaskColors
from napari_icmoe.planes import Plane, plane_through
from napari_icmoe.session import Session
from napari_icmoe.shortcuts import LayerKeys
from napari_icmoe.state import SessionState, approved_planes
from napari_icmoe.workers import Background


class Masks(QObject):
    """The Labels layers of one viewer.

    All of them are followed, so that what is painted on one stays protected, even if it was
    painted before the layer was chosen. Those that were chosen once are in the history too.

    Parameters
    ----------
    session : Session
        Knows the classes, and which is active.
    bind : callable
        Binds undo and redo on a layer.
    shown_plane : callable
        Returns the displayed plane of a layer.
    """

    painted = Signal(object)
    """A :class:`VoxelEdit` that a hand has made on a mask that is in the history."""
    changed = Signal()
    said = Signal(str, str)
    """A level and a sentence for the user."""

    def __init__(
        self,
        session: Session,
        bind: Callable[[Labels], LayerKeys],
        shown_plane: Callable[[Labels], Plane | None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.target: FollowedMask | None = None
        self.instances = False
        self._session = session
        self._bind = bind
        self._shown_plane = shown_plane
        self._followed: dict[str, FollowedMask] = {}
        self._keys: dict[str, LayerKeys] = {}  # of the masks that were chosen once
        self._choices: dict[str, Labels | None] = {}  # by the image's unique id
        self._image: weakref.ref[Image] | None = None  # that is annotated
        self._anywhere = True  # until it is known which image is annotated, or that none is
        self._counting = Background(self)
        self._counting.done.connect(self._on_counted)
        self._colors = MaskColors(self._counting, self)
        self._colors.prepare(session.state.classes)
        session.listeners.append(self._on_step)

    def follow(self, layer: Labels) -> FollowedMask:
        """Watch what is painted on `layer`."""
        uid = str(layer.unique_id)
        if uid not in self._followed:
            self._followed[uid] = FollowedMask(layer, self._on_stroke)
            layer.events.data.connect(self._on_replaced)
            for edit in self._edits():
                edit.take_up(layer)
        return self._followed[uid]

    def follows(self, mask: FollowedMask) -> bool:
        """Whether `mask` is still in the viewer."""
        return self._followed.get(str(mask.layer.unique_id)) is mask

    def is_followed(self, layer: Labels) -> bool:
        """Whether `layer` is in the viewer, and no helper layer."""
        return str(layer.unique_id) in self._followed

    def forget(self, layer: Labels) -> None:
        """Stop following `layer`, which has been removed."""
        uid = str(layer.unique_id)
        if uid not in self._followed:
            return
        self._followed.pop(uid).close()
        layer.events.data.disconnect(self._on_replaced)
        keys = self._keys.pop(uid, None)
        if keys is not None:
            keys.unbind()
        self._colors.forget(layer)
        self._choices = {key: mask for key, mask in self._choices.items() if mask is not layer}
        for edit in self._edits():
            if edit.target is layer:
                edit.let_go()
        if self.target is not None and self.target.layer is layer:
            self.target = None

    def forget_image(self, image: Image) -> None:
        """Forget which mask belongs to `image`, which has been removed."""
        self._choices.pop(str(image.unique_id), None)

    def choose(self, image: Image, layer: Labels | None, *, empty: bool = False) -> str | None:
        """Accept masks of `image` into `layer`; None for one that is made when it is needed.

        Parameters
        ----------
        image : Image
        layer : Labels or None
        empty : bool
            Whether it is known that nothing is in the layer.

        Returns
        -------
        str or None
            Why that cannot be, in one sentence; nothing has changed then.
        """
        if layer is not None:
            reason = mismatch(image, layer)
            if reason is not None:
                return reason
            self.follow(layer).counted |= empty
        self._choices[str(image.unique_id)] = layer
        if self._anywhere or self._annotated is image:
            self._take(layer)
        elif layer is not None:  # its image is shown another time
            self._adopt(layer)
        return None

    def mask_of(self, image: Image) -> Labels | None:
        """Return the mask that was chosen for `image`, if there is one."""
        return self._choices.get(str(image.unique_id))

    def chosen_for(self, image: Image) -> FollowedMask | None:
        """Return the mask that was chosen for `image`, if there is one and it fits."""
        layer = self.mask_of(image)
        return None if layer is None or mismatch(image, layer) else self.follow(layer)

    def images_of(self, layer: Labels) -> list[str]:
        """Return the unique ids of the images for which `layer` was chosen."""
        return [uid for uid, mask in self._choices.items() if mask is layer]

    def approved(self, layer: Labels, image: str | None = None) -> tuple[Plane, ...]:
        """Return the approved slices of all images for which `layer` was chosen, and of `image`."""
        images = {*self.images_of(layer), *([] if image is None else [image])}
        state = self._session.state
        return tuple(plane for one in sorted(images) for plane in approved_planes(state, one))

    def choose_for(self, image: Image) -> None:
        """Go back to the mask that was chosen for `image`; a new one is made if there is none."""
        self._image, self._anywhere = weakref.ref(image), False
        mask = self.chosen_for(image)
        self._take(None if mask is None else mask.layer)

    def leave_image(self) -> None:
        """Accept into no mask, as no image is annotated."""
        self._image = self.target = None
        self._anywhere = False

    @property
    def _annotated(self) -> Image | None:
        return None if self._image is None else self._image()

    def drop_misfit(self, image: Image) -> None:
        """Let go of the target, and say so, if it does not lie on `image` any more."""
        reason = None if self.target is None else mismatch(image, self.target.layer)
        if reason is not None:
            self._choices.pop(str(image.unique_id), None)
            self.target = None
            self.said.emit("warning", reason)
            self.changed.emit()

    def _take(self, layer: Labels | None) -> None:
        if layer is None:
            self.target = None
            self._colors.prepare(self._session.state.classes)  # of the mask that is to be made
        elif self.target is None or self.target.layer is not layer:
            self.target = self._adopt(layer)
            self.show_colors()
            self.set_brush()

    def _adopt(self, layer: Labels) -> FollowedMask:
        mask = self.follow(layer)
        uid = str(layer.unique_id)
        if uid not in self._keys:
            self._keys[uid] = self._bind(layer)
        if not mask.counted:
            self._count(mask)
        return mask

    def rebind_keys(self) -> None:
        """Bind undo and redo anew, after the user has chosen other keys."""
        for keys in self._keys.values():
            keys.rebind()

    def show_colors(self) -> None:
        """Give the target the colours of its classes, or one to each object."""
        if self.target is not None:
            classes = self._session.state.classes
            self._colors.color(self.target, classes, instances=self.instances)

    def set_brush(self) -> None:
        """Let the target's brush paint the number that the next accept writes."""
        label = self.next_label()
        if self.target is not None and label is not None and self.target.holds(label):
            self.target.layer.selected_label = label

    def next_label(self) -> int | None:
        """Return the number that the next accept writes; None while it is being looked for."""
        if not self.instances:
            return self._session.state.active_class
        return 1 if self.target is None else self.target.next_id

    def preview_color(self) -> tuple[float, float, float, float]:
        """Return the colour that the next accept is going to have."""
        label = self.next_label()
        if self.instances and self.target is not None and label is not None:
            red, green, blue = self.target.layer.colormap.map(np.array([label]))[0, :3]
            return float(red), float(green), float(blue), 1.0
        state = self._session.state
        red, green, blue = (value / 255 for value in state.classes[state.active_class].color)
        return red, green, blue, 1.0

    def take_back(self, edit: LayerEdit) -> None:
        """Undo an edit that is in no history."""
        edit.undo()
        self._follow_travel(edit, back=True)

    def close(self) -> None:
        """Let go of every layer."""
        for mask in list(self._followed.values()):
            self.forget(mask.layer)

    def _edits(self) -> list[LayerEdit]:
        """Return the edits in the history."""
        history = self._session.history
        edits = (step.edit for step in (*history.done, *history.undone))
        return [edit for edit in edits if isinstance(edit, LayerEdit)]

    def _count(self, mask: FollowedMask) -> None:
        labels = mask.layer.data
        self._counting.run(lambda: (mask, labels, ids_in(labels), slices_in(labels)))

    def _on_counted(self, counted: Any, error: Exception | None) -> None:
        if counted is None:
            return
        mask, labels, ids, held = counted
        if labels is mask.layer.data:
            mask.ids |= ids
            mask.held = held
            mask.counted = True
            if mask is self.target:
                self.show_colors()
                if self.instances:
                    self.set_brush()
                self.changed.emit()

    def _on_step(self, what: str, step: Step[SessionState]) -> None:
        if step.before.classes != step.after.classes:
            self._colors.prepare(self._session.state.classes)
        if what != "do" and isinstance(step.edit, LayerEdit):
            self._follow_travel(step.edit, back=what == "undo")

    def _follow_travel(self, edit: LayerEdit, *, back: bool) -> None:
        mask = self._followed.get(str(edit.target.unique_id))
        if mask is None:
            return
        (mask.follow_back if back else mask.follow_again)(edit)
        if mask is self.target and self.instances and edit.new_ids:
            self.set_brush()

    def _on_replaced(self, event: Any) -> None:
        mask = self._followed.get(str(event.source.unique_id))
        if not isalive(self) or mask is None:
            return
        mask.ids, mask.counted, mask.held = set(), False, ()
        mask.forget_strokes()
        if mask is self.target and self._annotated is not None:
            self.drop_misfit(self._annotated)
        if mask is self.target:
            self._count(mask)

    def _on_stroke(
        self, mask: FollowedMask, voxels: NDArray[np.int64], before: NDArray, after: NDArray
    ) -> None:
        if not isalive(self):
            return
        layer = mask.layer
        plane = plane_through(voxels, layer.data.shape, self._shown_plane(layer))
        edit = VoxelEdit(layer, voxels, before, after, plane, mask.painted)
        mask.note_ids(edit, after)
        mask.note_stroke(edit)
        if str(layer.unique_id) in self._keys:
            self.painted.emit(edit)
        if mask is self.target:
            self.show_colors()
