"""Shortcuts: the keys of the Annotate widget, registered with napari so that users can rebind them.

The actions appear under Preferences → Shortcuts → Viewer key bindings. A layer's own keys come
before the viewer's in napari (``2`` means "add points" on a Points layer, ``Ctrl+Z`` is the Labels
layer's own undo), so the current shortcuts are also bound on the very layers that the widget works
with: on its prompts layer all of them, on the mask only undo and redo.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Generator, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from napari.components import ViewerModel
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from napari.utils.interactions import KEY_SYMBOLS, Shortcut

from napari_icmoe.actions import EVERY_ACTION, Action

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_icmoe.controller import AnnotateController

HOLD_TO_PAN = "napari:hold_for_pan_zoom"
_NAMED = ("Shift", "Delete", "Backspace", "Escape", "Enter")
"""Keys whose names are better known than napari's symbols for them, but on a Mac."""


# napari's keys call process-wide commands with the viewer they were pressed in; this finds the
# widget's controller for that viewer, and holds none alive.
_controllers: weakref.WeakValueDictionary[int, AnnotateController] = weakref.WeakValueDictionary()

# The present keys of each action, kept up to date by napari's public event of a changed shortcut.
_keys: dict[str, list[Any]] = {}


def connect(viewer: ViewerModel, controller: AnnotateController) -> AnnotateController | None:
    """Let the keys pressed in `viewer` reach `controller`; the first call registers the actions.

    Returns
    -------
    AnnotateController or None
        The one that they have reached so far.
    """
    former = _controllers.get(id(viewer))
    _controllers[id(viewer)] = controller
    if not _keys:
        _register()
    return former


def disconnect(viewer: ViewerModel, controller: AnnotateController) -> None:
    """Forget `controller`, if it is the one of `viewer`."""
    if _controllers.get(id(viewer)) is controller:
        del _controllers[id(viewer)]


def keys_of(action: Action) -> list[str]:
    """Return the present keys of `action`, as they read on this system."""
    return [_in_words(key) for key in _keys.get(action.full_name, action.keys)]


def pan_keys() -> list[str]:
    """Return the present keys that pan while they are held, as they read on this system."""
    return [_in_words(key) for key in _keys.get(HOLD_TO_PAN, ("Space",))]


@cache
def _in_words(key: Any) -> str:
    """Return how a key reads here; kept, as all keys are read again with each change."""
    text = str(Shortcut(key))
    if sys.platform != "darwin":
        for name in _NAMED:
            text = text.replace(KEY_SYMBOLS[name], name)
    return text


class LayerKeys:
    """The present keys of some actions, bound on one layer before the keys of its class.

    Parameters
    ----------
    layer : Layer
    controller : AnnotateController
        Whose actions are run; held weakly, since the layer may outlive it.
    actions : iterable of Action
    hold_to_pan : bool
        Whether the layer also pans while napari's own key for that is held (Space, unless
        rebound).
    """

    def __init__(
        self,
        layer: Layer,
        controller: AnnotateController,
        actions: Iterable[Action],
        *,
        hold_to_pan: bool = False,
    ) -> None:
        self._layer = layer
        self._controller = weakref.ref(controller)
        self._actions = tuple(actions)
        self._hold_to_pan = hold_to_pan
        self._bound: set[Any] = set()
        self.rebind()

    def unbind(self) -> None:
        """Give the layer its own keys back."""
        for key in self._bound:
            self._layer.keymap.pop(key, None)
        self._bound = set()

    def rebind(self) -> None:
        """Bind the present keys in place of those bound before."""
        self.unbind()
        keymap = self._layer.keymap
        before = set(keymap)
        for action in self._actions:
            for key in _keys.get(action.full_name, ()):
                self._layer.bind_key(key, self._command(action), overwrite=True)
        if self._hold_to_pan:
            for key in _keys.get(HOLD_TO_PAN, ()):
                self._layer.bind_key(key, _hold_to_pan, overwrite=True)
        self._bound = set(keymap) - before

    def _command(self, action: Action) -> Callable[[Any], None]:
        def command(layer: Any) -> None:
            controller = self._controller()
            if controller is not None:
                action.run(controller)

        return command


def _hold_to_pan(layer: Layer) -> Generator[None, None, None]:
    before = layer.mouse_pan
    layer.mouse_pan = True
    yield
    layer.mouse_pan = before


def on_rebinding(method: Callable[[Any], None]) -> None:
    """Call the bound `method` with an event whenever the user rebinds a key.

    napari keeps only a weak reference to bound methods, so nothing needs to be undone.
    """
    action_manager.events.shortcut_changed.connect(method)


def is_ours(event: Any) -> bool:
    """Tell whether an event of :func:`on_rebinding` is about a key that is used here."""
    return event.name in _keys


def _register() -> None:
    chosen = get_settings().shortcuts.shortcuts
    _keys[HOLD_TO_PAN] = list(chosen.get(HOLD_TO_PAN, ("Space",)))
    for action in EVERY_ACTION:
        _keys[action.full_name] = list(chosen.get(action.full_name, action.keys))
        action_manager.register_action(
            action.full_name, _command(action), action.description, ViewerModel
        )
        for key in _keys[action.full_name]:
            action_manager.bind_shortcut(action.full_name, key)
    action_manager.events.shortcut_changed.connect(_follow_rebinding)


def _follow_rebinding(event: Any) -> None:
    # napari takes all keys away, which it tells with an empty key, then gives the new ones
    if event.name not in _keys:
        return
    if not event.shortcut:
        _keys[event.name] = []
    elif event.shortcut not in _keys[event.name]:
        _keys[event.name].append(event.shortcut)


def _command(action: Action) -> Callable[[ViewerModel], None]:
    def command(viewer: ViewerModel) -> None:
        controller = _controllers.get(id(viewer))
        if controller is not None:
            action.run(controller)

    command.__name__ = f"icmoe_{action.name}"
    return command
