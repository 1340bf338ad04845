"""Stores, slices, and processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from icmoe_core.embeddings import EmbeddingStore

NAMES = """
from pathlib import Path
from stored_slices import *
from icmoe_core.embeddings import *
"""


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    """An empty store."""
    return EmbeddingStore(tmp_path / "embeddings")


@pytest.fixture
def python() -> Callable[[str], subprocess.Popen[str]]:
    """Start a program in a process of its own, with the names that it needs."""

    def start(program: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", NAMES + program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"},
        )

    return start
