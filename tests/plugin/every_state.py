"""Tests that meet states: those that they are hardest on, or all of them.

All take minutes; ``ICMOE_EVERY_STATE=1`` runs all.
"""

import os

import pytest


def in_states(states, *risky):
    """Run a test in the states that it is hardest on; `states` are all there are."""
    every = bool(os.environ.get("ICMOE_EVERY_STATE"))
    return pytest.mark.parametrize("reach", states if every else risky)
