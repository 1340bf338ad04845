"""Classes: what the numbers in a label map stand for.

Tables are never changed in place: each operation returns a new one, so that the table on the
screen, the one being saved and the one in the undo history cannot run apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from icmoe_core.errors import IcmoeError

LARGEST_ID = 65535

Color = tuple[int, int, int]

PALETTE: tuple[Color, ...] = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (0, 114, 178),  # blue
    (213, 94, 0),  # vermilion
    (204, 121, 167),  # reddish purple
    (136, 204, 238),  # cyan
    (68, 170, 153),  # teal
    (153, 153, 51),  # olive
    (221, 204, 119),  # sand
    (204, 102, 119),  # rose
    (136, 34, 85),  # wine
    (170, 68, 153),  # purple
)
"""Colours that stay apart with any colour vision, in the order in which they are given out.

The first seven are from Okabe and Ito, "Color Universal Design" (2008), the rest from Tol's
"muted" scheme, "Colour Schemes", SRON/EPS/TN/09-002 (2021); black, grey and the darkest are left
out, since scans are dark.
"""


class ClassTableError(IcmoeError, ValueError):
    """A class, or a table of them, that breaks a rule."""


@dataclass(frozen=True)
class LabelClass:
    """One structure.

    Parameters
    ----------
    id : int
        Its value in label maps, 1 to 65535; 0 is the background and no class.
    name : str
        One line, not empty.
    color : tuple of int
        Red, green, blue, 0 to 255.
    locked : bool
        Whether its voxels are protected from being painted over.
    """

    id: int
    name: str
    color: Color
    locked: bool = False

    def __post_init__(self) -> None:
        """Refuse what a label map or a file could not hold."""
        if isinstance(self.id, bool) or not isinstance(self.id, int):
            raise ClassTableError(f"A class's number must be an integer, got {self.id!r}.")
        if not 1 <= self.id <= LARGEST_ID:
            raise ClassTableError(
                f"A class's number must be from 1 to {LARGEST_ID}, got {self.id}: 0 is the "
                "background."
            )
        if not isinstance(self.name, str) or not self.name.strip():
            raise ClassTableError(f"Class {self.id} has no name: give it one.")
        if re.search(r"[\x00-\x1f\x7f]", self.name):
            raise ClassTableError(
                f"The name of class {self.id} holds a line break, a tab or another invisible "
                "character: give it a name on one line."
            )
        if len(self.color) != 3 or not all(
            isinstance(part, int) and not isinstance(part, bool) and 0 <= part <= 255
            for part in self.color
        ):
            raise ClassTableError(
                f"The colour of class {self.id} must be three whole numbers of 0 to 255 (red, "
                f"green, blue), got {self.color!r}."
            )
        object.__setattr__(self, "name", self.name.strip())
        object.__setattr__(self, "color", tuple(self.color))


@dataclass(frozen=True)
class ClassTable:
    """Classes with different numbers, in the order of these numbers.

    Parameters
    ----------
    classes : iterable of LabelClass

    Examples
    --------
    >>> table = ClassTable().add("liver").add("spleen").lock(1)
    >>> [(entry.id, entry.name, entry.locked) for entry in table]
    [(1, 'liver', True), (2, 'spleen', False)]
    >>> table.remove(1).next_id()
    1
    """

    classes: tuple[LabelClass, ...] = ()

    def __post_init__(self) -> None:
        """Sort, and refuse two classes with one number."""
        classes = sorted(self.classes, key=lambda entry: entry.id)
        for first, second in pairwise(classes):
            if first.id == second.id:
                raise ClassTableError(
                    f"The number {first.id} stands for two classes, {first.name!r} and "
                    f"{second.name!r}: give each its own."
                )
        object.__setattr__(self, "classes", tuple(classes))

    def __iter__(self) -> Iterator[LabelClass]:
        return iter(self.classes)

    def __len__(self) -> int:
        return len(self.classes)

    def __contains__(self, id: object) -> bool:
        return any(entry.id == id for entry in self.classes)

    def __getitem__(self, id: int) -> LabelClass:
        """Return the class with the number `id`."""
        for entry in self.classes:
            if entry.id == id:
                return entry
        raise ClassTableError(f"There is no class {id}: add it first.")

    @property
    def ids(self) -> tuple[int, ...]:
        """All numbers, ascending."""
        return tuple(entry.id for entry in self.classes)

    @property
    def locked_ids(self) -> tuple[int, ...]:
        """The numbers of the locked classes, ascending."""
        return tuple(entry.id for entry in self.classes if entry.locked)

    def next_id(self) -> int:
        """Return the lowest number that is free."""
        taken = set(self.ids)
        for id in range(1, LARGEST_ID + 1):
            if id not in taken:
                return id
        raise ClassTableError(f"All {LARGEST_ID} class numbers are taken: remove a class first.")

    def add(
        self, name: str, *, id: int | None = None, color: Color | None = None, locked: bool = False
    ) -> ClassTable:
        """Return the table with one more class; `id` and `color` are chosen if left out."""
        id = self.next_id() if id is None else id
        color = default_color(id) if color is None else color
        return ClassTable((*self.classes, LabelClass(id, name, color, locked)))

    def with_ids(self, ids: Iterable[int]) -> ClassTable:
        """Return the table with a class for each of a label map's values; 0 is passed over."""
        missing = sorted({int(id) for id in ids} - set(self.ids) - {0})
        extra = (LabelClass(id, f"Label {id}", default_color(id)) for id in missing)
        return ClassTable((*self.classes, *extra))

    def remove(self, id: int) -> ClassTable:
        """Return the table without class `id`."""
        gone = self[id]
        return ClassTable(tuple(entry for entry in self.classes if entry is not gone))

    def rename(self, id: int, name: str) -> ClassTable:
        """Return the table with another name for class `id`."""
        return self._with(replace(self[id], name=name))

    def recolor(self, id: int, color: Color) -> ClassTable:
        """Return the table with another colour for class `id`."""
        return self._with(replace(self[id], color=color))

    def lock(self, id: int, locked: bool = True) -> ClassTable:
        """Return the table with class `id` locked, or unlocked."""
        return self._with(replace(self[id], locked=locked))

    def _with(self, changed: LabelClass) -> ClassTable:
        return ClassTable(
            tuple(changed if entry.id == changed.id else entry for entry in self.classes)
        )


def default_color(id: int) -> Color:
    """Return the palette's colour for the class number `id`, which starts at 1."""
    return PALETTE[(id - 1) % len(PALETTE)]


def default_classes(count: int = 1) -> ClassTable:
    """Return a table to start with: ``Structure 1`` to ``Structure count``."""
    table = ClassTable()
    for number in range(1, count + 1):
        table = table.add(f"Structure {number}")
    return table
