"""The error boundary of the command line: one sentence on standard error, and an exit code.

0 is success, 1 an error with a sentence, 2 a wrong use of the command (from click), 130 Ctrl+C.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import click

from icmoe_core.errors import IcmoeError

INTERRUPTED = 130
"""What shells expect of a program that Ctrl+C ended: 128 + SIGINT."""


@contextmanager
def speaking_plainly() -> Iterator[None]:
    """Turn errors that a user can do something about into ``Error: …`` and an exit code.

    Raises
    ------
    click.ClickException
        In place of an :class:`~icmoe_core.errors.IcmoeError`, an error of the operating system
        or a lack of memory. Anything else is a defect of ours and passes with its traceback.
    """
    try:
        yield
    except IcmoeError as error:
        raise click.ClickException(_one_line(str(error))) from error
    except MemoryError as error:
        raise click.ClickException(
            "There is too little memory for this: close other programs, or use a smaller image."
        ) from error
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader of our output has left; click ends quietly
            raise
        raise click.ClickException(_from_system(error)) from error
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None


def _from_system(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    where = f" ({error.filename})" if error.filename else ""
    return _one_line(f"The operating system refused: {reason}{where}.")


def _one_line(text: str) -> str:
    return " ".join(text.split())
