"""A brake on the widget's worker threads."""

import threading


class Brake:
    """Holds what is given to worker threads while it is pulled, until it is let go.

    Attributes
    ----------
    left : int
        How many jobs have not ended yet.
    held : int
        How many of them are held.
    """

    def __init__(self):
        self.left = self.held = 0
        self._pulled = False
        self._free, self._lock = threading.Event(), threading.Lock()

    def braked(self, function):
        """Make a function wait if it is given to a thread while the brake is pulled."""
        held = int(self._pulled)

        def work():
            try:
                if held:
                    self._free.wait()
                return function()
            finally:
                self._count(-1, -held)

        self._count(1, held)
        return work

    def pull(self):
        """Hold what is given from now on."""
        self._pulled = True

    def release(self):
        """Hold nothing that is given from now on; what is held stays so."""
        self._pulled = False

    def let_go(self):
        """Hold nothing any more."""
        self._pulled = False
        self._free.set()

    def _count(self, left, held):
        with self._lock:
            self.left += left
            self.held += held
