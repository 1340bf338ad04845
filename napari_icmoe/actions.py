"""Actions: what keys do, with the keys that they have unless the user binds others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_icmoe.keyboard_pointer import STRIDE

if TYPE_CHECKING:
    from napari_icmoe.controller import AnnotateController

PREFIX = "napari-icmoe"


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
    Action("toggle_tool", ("T",), "Prompt tool on or off", lambda c: c.prompting.toggle()),
    Action(
        "toggle_sign",
        ("N",),
        "Next click: object or background",
        lambda c: c.prompting.toggle_sign(),
    ),
    Action(
        "accept",
        ("Enter", "A"),
        "Accept the preview, or the proposals",
        lambda c: c.prompting.accept(),
    ),
    Action(
        "cancel",
        ("Escape",),
        "Drop this slice's prompts, or end a propagation",
        lambda c: c.prompting.cancel(),
    ),
    Action(
        "remove_last", ("Backspace",), "Remove the last prompt", lambda c: c.prompting.remove_last()
    ),
    Action("clear", ("Shift-C",), "Clear the prompts of all slices", lambda c: c.prompting.clear()),
    Action("undo", ("Control-Z",), "Undo", lambda c: c.undo()),
    Action("redo", ("Control-Shift-Z",), "Redo", lambda c: c.redo()),
)
REVIEW_ACTIONS: tuple[Action, ...] = (
    Action(
        "propagate", ("G",), "Propagate: go on to the next slices", lambda c: c.ordering.propagate()
    ),
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
