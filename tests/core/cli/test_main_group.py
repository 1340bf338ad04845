import errno
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from icmoe_core.cli import COMMANDS, LazyGroup, main
from icmoe_core.cli.errors import INTERRUPTED
from icmoe_core.errors import ImageError


def test_help_names_every_command_with_its_own_words(icmoe):
    result = icmoe("--help")
    assert result.exit_code == 0
    for name, line in COMMANDS.items():
        assert name in result.stdout
        assert main.get_command(click.Context(main), name).get_short_help_str(200) == line


def test_help_loads_neither_torch_nor_numpy():
    code = (
        "import sys; from icmoe_core.cli import main; main(['--help'], standalone_mode=False);"
        "heavy = {'torch', 'numpy', 'napari', 'skimage'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_version_is_that_of_the_package(icmoe):
    import icmoe_core

    assert icmoe("--version").stdout.strip().endswith(icmoe_core.__version__)


def test_an_unknown_command_is_a_usage_error(icmoe):
    result = icmoe("segmnt")
    assert result.exit_code == 2
    assert "segmnt" in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ImageError("A sentence\nover two lines."), 1, "Error: A sentence over two lines."),
        (MemoryError(), 1, "Error: There is too little memory"),
        (OSError(errno.ENOSPC, "No space left on device", "a.nii"), 1, "Error: The operating"),
        (KeyboardInterrupt(), INTERRUPTED, "Interrupted."),
    ],
)
def test_the_boundary_says_one_sentence(error, code, line):
    group = LazyGroup("icmoe")

    @click.command
    def fail():
        raise error

    group.get_command = lambda ctx, name: fail
    result = CliRunner().invoke(group, ["fail"])
    assert result.exit_code == code
    assert result.stderr.startswith(line)
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.output


def test_a_defect_of_ours_keeps_its_traceback():
    group = LazyGroup("icmoe")

    @click.command
    def fail():
        raise ZeroDivisionError

    group.get_command = lambda ctx, name: fail
    assert isinstance(CliRunner().invoke(group, ["fail"]).exception, ZeroDivisionError)
