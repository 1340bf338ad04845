"""The command line, ``icmoe``: each subcommand is a module, imported when it is called."""

from __future__ import annotations

from importlib import import_module

import click

from icmoe_core import __version__
from icmoe_core.cli.errors import speaking_plainly

COMMANDS: dict[str, str] = {
    "benchmark": "Compare ways to fine-tune, side by side.",
    "cache": "Show or clear the cache of encoded slices.",
    "demo": "Outline a tumour on the sample scan.",
    "encode": "Encode the slices of scans ahead, so that they open warm.",
    "evaluate": "Measure how well prompts on labelled images are answered.",
    "finetune": "Teach the model structures from labelled images.",
    "info": "Show versions, device, models and cache.",
    "propagate": "Carry outlines from slice to slice through a volume.",
    "runtime": "Measure which runtime is fastest on this computer.",
    "segment": "Outline one object on one slice and save the mask.",
}
"""Each subcommand, in the module of its name, with the line that ``icmoe --help`` shows."""


class LazyGroup(click.Group):
    """A group that imports a subcommand only to run it, and reports errors as sentences."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the subcommands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the subcommand `cmd_name`; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"{__name__}.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run the subcommand behind the error boundary."""
        with speaking_plainly():
            return super().invoke(ctx)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="icmoe")
def main() -> None:
    """Outline things in medical images with points and boxes.

    A research tool, not a medical device.
    """
