"""The queue: which slice is encoded next. Pure: it knows neither Qt nor the model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from itertools import islice

from napari_icmoe.ahead.stacks import Known, Stack

REACH = 500
"""How many slices to each side of the displayed one are encoded, if there is room for them: with
LiteMedSAM all of them fit on the disk twice, however large the scan is."""
STACKS = 64
"""Of so many stacks it is remembered which slices are ready."""


class SliceQueue:
    """The slices of the displayed stack, nearest first; and what is ready in each stack.

    What was encoded and could not be kept is not ready. It is encoded again once another slice is
    displayed: no slice twice for the same one, so that there is an end to it however little is
    kept.

    Parameters
    ----------
    reach : int
        How far from the displayed slice.
    stacks : int
        Of how many stacks to remember what is ready; those shown longest ago are forgotten.

    Attributes
    ----------
    stack : Stack or None
        The one that is displayed.
    position : int
        Of the displayed slice in it.
    """

    def __init__(self, reach: int = REACH, stacks: int = STACKS) -> None:
        self.stack: Stack | None = None
        self.position = 0
        self._reach = reach
        self._stacks = stacks
        self._forward = True
        self._fetched = False  # the displayed slice, since it is displayed
        self._since: set[int] = set()  # what was encoded since then
        self._known: OrderedDict[Stack, Known] = OrderedDict()

    @property
    def progress(self) -> tuple[int, int]:
        """How many slices within reach are ready, and how many can be."""
        if self.stack is None:
            return 0, 0
        known = self._known[self.stack]
        within = set(range(*self._bounds(self.stack)))
        return len(known.ready & within), len(within - known.skipped)

    @property
    def is_ready_here(self) -> bool:
        """Whether the displayed slice is ready."""
        return self.stack is not None and self.position in self._known[self.stack].ready

    @property
    def is_whole(self) -> bool:
        """Whether all of the displayed stack is within reach."""
        return self.stack is None or self._bounds(self.stack) == (0, self.stack.size)

    @property
    def keys(self) -> dict[int, str]:
        """Keys of what was encoded of the displayed stack, by position, the farthest first."""
        if self.stack is None:
            return {}
        encoded = self._known[self.stack].encoded
        far_first = sorted(encoded, key=lambda position: -abs(position - self.position))
        return {position: encoded[position] for position in far_first}

    def show(self, stack: Stack | None, position: int = 0) -> bool:
        """Begin with another slice; tells whether it is another one.

        Of two slices that are equally far away, the one in the direction of the last step between
        slices comes first.
        """
        if (stack, position) == (self.stack, self.position):
            return False
        if stack == self.stack:
            self._forward = position > self.position
        self.stack, self.position = stack, position
        self._fetched = False
        self._since.clear()
        if stack is not None:
            self._known.setdefault(stack, Known()).give_up_lost()
            self._known.move_to_end(stack)
            while len(self._known) > self._stacks:
                self._known.popitem(last=False)
        return True

    def next(self, count: int = 1) -> tuple[int, ...]:
        """Return the positions of the next slices, `count` at most.

        Once it is displayed, a slice is among them although it is ready: its embedding is fetched
        from the disk then, and the model is loaded.
        """
        return tuple(islice(self._missing(), count))

    def fetch_again(self) -> None:
        """Let the displayed slice be the next one, although it is ready."""
        self._fetched = False

    def start_over(self) -> None:
        """Take no slice for ready any more; those that cannot be encoded stay skipped."""
        for known in self._known.values():
            known.encoded.clear()
            known.lost.clear()
            known.room = None
        self._fetched = False
        self._since.clear()

    def note(
        self,
        stack: Stack,
        encoded: Mapping[int, str],
        skipped: Collection[int] = (),
        lost: Collection[int] = (),
        room: int | None = None,
    ) -> None:
        """Remember what has become of some slices of a stack.

        Parameters
        ----------
        stack : Stack
        encoded : mapping of int to str
            Keys, by position.
        skipped : collection of int
            Positions of those that cannot be encoded.
        lost : collection of int
            Of all that were ever encoded, those that are not kept any more.
        room : int, optional
            How many can be kept; as before if not given.
        """
        known = self._known.get(stack)
        if known is None:
            return
        known.encoded |= encoded
        known.skipped = known.skipped - encoded.keys() | set(skipped)
        known.lost = set(lost) & known.encoded.keys()
        known.room = known.room if room is None else room
        if stack != self.stack:
            return
        self._since |= encoded.keys()
        for position in known.lost - self._since:
            known.lost.remove(position)
            del known.encoded[position]
        if self.position in encoded or self.position in skipped:
            self._fetched = True

    def give_up(self, stack: Stack) -> None:
        """Remember that no other slice of a stack can be encoded."""
        known = self._known.get(stack)
        if known is not None:
            rest = set(range(stack.size)) - known.encoded.keys()
            self.note(stack, {}, rest, known.lost)

    def forget(self, scan: str) -> None:
        """Forget all stacks of a scan."""
        for stack in [one for one in self._known if one.scan == scan]:
            del self._known[stack]
        if self.stack is not None and self.stack.scan == scan:
            self.stack = None

    def _missing(self) -> Iterator[int]:
        stack = self.stack
        if stack is None:
            return
        known = self._known[stack]
        done = known.encoded.keys() | known.skipped
        for position in outward(self.position, *self._bounds(stack), forward=self._forward):
            if position not in done or (position == self.position and not self._fetched):
                yield position

    def _bounds(self, stack: Stack) -> tuple[int, int]:
        """Return the first slice within reach, and the one after the last."""
        room = self._known[stack].room
        reach = self._reach if room is None else min(self._reach, (room - 1) // 2)
        first = max(0, self.position - reach)
        return first, min(stack.size, self.position + reach + 1)


def outward(middle: int, first: int, end: int, *, forward: bool = True) -> Iterator[int]:
    """Yield `middle`, then its neighbours, the nearest ones first, from `first` until `end`.

    Parameters
    ----------
    middle : int
    first, end : int
        The range, `end` not included.
    forward : bool
        Whether the higher one of two neighbours comes first.
    """
    sign = 1 if forward else -1
    yield middle
    for distance in range(1, max(middle - first, end - 1 - middle) + 1):
        for position in (middle + sign * distance, middle - sign * distance):
            if first <= position < end:
                yield position
