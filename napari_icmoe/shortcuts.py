"""Shortcuts: the keys of the Annotate widget, registered with napari so that users can rebind them.

The actions appear under Preferences → Shortcuts → Viewer key bindings. A layer's own keys come
before the viewer's in napari (``2`` means "add points" on a Points layer, ``Ctrl+Z`` is the Labels
layer's own undo), so the current shortcuts are also bound on the very layers that the widget works
with: on its prompts layer all of them, on the mask only undo and redo.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.components import ViewerModel
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from napari.utils.interactions import Shortcut

from napari_icmoe.keyboard_pointer import STRIDE

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_icmoe.controller import AnnotateController

PREFIX = "napari-icmoe"
HOLD_TO_PAN = "napari:hold_for_pan_zoom"


@dataclass(frozen=True)
class Action:
    """Something a key does.

    Parameters
    ----------
    name : str
        Short and unique; napari knows it as ``napari-icmoe:name``.
    keys : tuple of str
        Default keys, in napari's notation.
    description : str
        What happens, as the shortcut table says it.
    run : callable
        Called with the controller of the viewer in which the key was pressed.
    """

    name: str
    keys: tuple[str, ...]
    description: str
    run: Callable[[AnnotateController], None]

    @property
    def full_name(self) -> str:
        """The name under which napari knows the action."""
        return f"{PREFIX}:{self.name}"


PROMPT_ACTIONS: tuple[Action, ...] = (
    Action("toggle_tool", ("T",), "Prompt tool on or off", lambda c: c.toggle_tool()),
    Action("toggle_sign", ("N",), "Next click: object or background", lambda c: c.toggle_sign()),
    Action("accept", ("Enter", "A"), "Accept the preview", lambda c: c.accept()),
    Action("cancel", ("Escape",), "Cancel: drop this slice's prompts", lambda c: c.cancel()),
    Action("remove_last", ("Backspace",), "Remove the last prompt", lambda c: c.remove_last()),
    Action("clear", ("Shift-C",), "Clear the prompts of all slices", lambda c: c.clear()),
    Action("undo", ("Control-Z",), "Undo", lambda c: c.undo()),
    Action("redo", ("Control-Shift-Z",), "Redo", lambda c: c.redo()),
)
REVIEW_ACTIONS: tuple[Action, ...] = (
    Action("propagate", ("G",), "Propagate: go on to the next slices", lambda c: c.propagate()),
    Action("reject", ("R",), "Reject this slice's proposals", lambda c: c.reviewing.reject_here()),
    Action("accept_all", ("Shift-A",), "Accept all proposals", lambda c: c.reviewing.accept_all()),
    Action("reject_all", ("Shift-R",), "Reject all proposals", lambda c: c.reviewing.reject_all()),
    Action(
        "look",
        ("J",),
        "Jump to the slice most worth a look",
        lambda c: c.reviewing.go_to_doubtful(),
    ),
    Action(
        "approve",
        ("K",),
        "Approve and lock this slice, or unlock it",
        lambda c: c.reviewing.toggle_approved(),
    ),
)
MAP_ACTIONS: tuple[Action, ...] = (
    Action("uncertainty", ("U",), "Map of uncertainty", lambda c: c.maps.toggle("uncertainty")),
    Action("votes", ("W",), "Map of the winning expert", lambda c: c.maps.toggle("votes")),
    Action(
        "difference",
        ("D",),
        "Map of what the experts change",
        lambda c: c.maps.toggle("difference"),
    ),
)
SCAN_ACTIONS: tuple[Action, ...] = (
    Action("next_scan", ("Control-Right",), "Next scan", lambda c: c.browser.go(1)),
    Action("previous_scan", ("Control-Left",), "Previous scan", lambda c: c.browser.go(-1)),
    Action("scan_done", ("Control-D",), "Scan done, or not", lambda c: c.browser.toggle_done()),
)
MOVES = {"Up": (-1, 0), "Down": (1, 0), "Left": (0, -1), "Right": (0, 1)}


def _move_action(way: str, stride: int) -> Action:
    down, right = (stride * step for step in MOVES[way])
    length, keys = ("far", "Control-Shift") if stride > 1 else ("on", "Shift")
    return Action(
        f"point_{way.lower()}_{length}",
        (f"{keys}-{way}",),
        f"Keyboard pointer: {way.lower()} by {stride}",
        lambda controller: controller.pointer.move(down, right),
    )


POINT_ACTIONS: tuple[Action, ...] = (
    Action("point_click", ("P",), "Click at the keyboard pointer", lambda c: c.pointer.click()),
    Action(
        "point_box",
        ("B",),
        "Corner of a box at the pointer: first one, then the other",
        lambda c: c.pointer.set_corner(),
    ),
    Action(
        "point_remove",
        ("Delete",),
        "Remove the prompt under the keyboard pointer",
        lambda c: c.pointer.remove(),
    ),
)
MOVE_ACTIONS: tuple[Action, ...] = tuple(_move_action(way, 1) for way in MOVES)
FAR_ACTIONS: tuple[Action, ...] = tuple(_move_action(way, STRIDE) for way in MOVES)
FOCUS = Action(
    "focus",
    ("Control-I",),
    "From the canvas to this widget, and back",
    lambda c: c.turn_focus(),
)
COMPARE = Action(
    "compare", ("Q",), "Compare versions: to and fro", lambda c: c.versions.toggle_compare()
)
ACTIONS: tuple[Action, ...] = (
    *PROMPT_ACTIONS,
    *REVIEW_ACTIONS,
    *MAP_ACTIONS,
    COMPARE,
    *SCAN_ACTIONS,
    *POINT_ACTIONS,
    FOCUS,
)
ACTIONS_BY_NAME = {action.name: action for action in ACTIONS}
HISTORY_ACTIONS = tuple(action for action in ACTIONS if action.name in ("undo", "redo"))


def _class_action(number: int) -> Action:
    return Action(
        f"class_{number}",
        (str(number),),
        f"Choose the {number}. class of the table",
        lambda controller: controller.choose_nth_class(number - 1),
    )


CLASS_ACTIONS: tuple[Action, ...] = tuple(_class_action(number) for number in range(1, 10))
EVERY_ACTION: tuple[Action, ...] = (*ACTIONS, *MOVE_ACTIONS, *FAR_ACTIONS, *CLASS_ACTIONS)

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
    return [str(Shortcut(key)) for key in _keys.get(action.full_name, action.keys)]


def pan_keys() -> list[str]:
    """Return the present keys that pan while they are held, as they read on this system."""
    return [str(Shortcut(key)) for key in _keys.get(HOLD_TO_PAN, ("Space",))]


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
