"""One process for all commands, so that weights are read from a warm disk cache."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from icmoe_core.cli import main


@pytest.fixture
def icmoe() -> Callable[..., Result]:
    """Run ``icmoe`` with arguments; anything but a planned exit is raised."""

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run
