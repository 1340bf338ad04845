"""One process for all commands, so that the real model is loaded once."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest
from click.testing import CliRunner, Result

from icmoe_core import model as models
from icmoe_core.cli import main

_load = models.load_model
_load_once = lru_cache(_load)


def load(name: str, **options: Any) -> models.PromptableModel:
    """Load a model; of what comes with the package nothing changes weights."""
    shipped = name == "lite-medsam" and options.get("weights") is None
    usual = options.get("experts", "default") in ("default", None)
    return (_load_once if shipped and usual else _load)(name, **options)


@pytest.fixture
def icmoe(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run ``icmoe`` with arguments; anything but a planned exit is raised."""
    monkeypatch.setattr(models, "load_model", load)

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run
