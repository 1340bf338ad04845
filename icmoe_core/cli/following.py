"""Following a fine-tune on the terminal: a bar, sentences, and Ctrl+C between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from icmoe_core.training.progress import Progress as Step


def follow(steps: Generator[Step, None, None], *, quiet: bool, silent: bool) -> Step:
    """Show a bar, and the sentences that come with it, on standard error.

    Parameters
    ----------
    steps : generator of Progress
        At Ctrl+C it is closed after its next step, so that it can go on exactly from there.
    quiet : bool
        Show nothing at all: another process does.
    silent : bool
        Show the bar, but no sentences.

    Returns
    -------
    Progress
        The last one.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl+C.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(),
    )
    said = ""
    with (
        _stopping_gently(quiet=quiet) as is_asked_to_stop,
        Progress(
            *columns, console=console, transient=True, disable=quiet or not console.is_terminal
        ) as bar,
    ):
        task = bar.add_task("", total=None, text="")
        for step in steps:
            if step.message and step.message != said and step.stage != "done" and not quiet:
                said = step.message
                if not silent:
                    console.print(said, highlight=False)
            done, total = _place(step)
            bar.update(
                task,
                description=step.stage.capitalize(),
                total=total,
                completed=done,
                text=_text(step),
            )
            if is_asked_to_stop() and step.stage != "done":
                steps.close()
                raise KeyboardInterrupt
    return step


@contextmanager
def _stopping_gently(*, quiet: bool) -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether Ctrl+C was pressed; a second time it works as ever."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # signals reach the main thread only
        return
    asked = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if quiet:  # the first process stops all of them
            return
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        click.echo("Stopping after this step; Ctrl+C once more stops at once.", err=True)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _place(step: Step) -> tuple[float, float | None]:
    """How far the bar goes: by steps where they are counted, by time in a training."""
    if step.stage != "training":
        return step.step, step.total
    return step.seconds, None if step.seconds_left is None else step.seconds + step.seconds_left


def _text(step: Step) -> str:
    parts = [f"step {step.step}"] if step.stage == "training" else []
    if "mask" in step.losses:
        parts.append(f"loss {step.losses['mask']:.3f}")
    if step.scores is not None:
        parts.append(f"Dice: box {step.scores.box:.3f}, click {step.scores.click:.3f}")
    return ", ".join(parts)
