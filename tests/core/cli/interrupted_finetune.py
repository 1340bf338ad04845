"""``icmoe finetune`` of the tiny model, with Ctrl+C in the middle of its second step.

``python interrupted_finetune.py ARGUMENTS...`` ends as ``icmoe finetune ARGUMENTS...`` does, or
with 1 if Ctrl+C means something else afterwards. It is a process of its own because that is what
Ctrl+C ends if anything is wrong.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from icmoe_core.backbones import register
from icmoe_core.cli import main
from icmoe_core.training import batches, encoding

TESTS = Path(__file__).parents[2]


def press() -> None:
    """Have Ctrl+C pressed while the third of four batches of two steps is learnt."""
    whole, calls = batches.learning_terms, []

    def pressed(*arguments, **options):
        calls.append(0)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return whole(*arguments, **options)

    batches.learning_terms = pressed


if __name__ == "__main__":
    sys.path.insert(0, str(TESTS))
    from conftest import TINY_NAME, build_tiny
    from small_data import one_replayed

    register(TINY_NAME, build_tiny)
    encoding.replay_objects = one_replayed
    press()
    before = signal.getsignal(signal.SIGINT)
    try:
        main(["finetune", *sys.argv[1:]])
    finally:
        if signal.getsignal(signal.SIGINT) is not before:
            sys.exit(1)
