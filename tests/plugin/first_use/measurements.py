"""What a measuring process prints, and an engine that stands for the real one."""

from __future__ import annotations

import json
from dataclasses import asdict

from icmoe_core.runtimes import measured
from icmoe_core.runtimes.choosing import fastest
from icmoe_core.runtimes.measured import Measured
from napari_icmoe import first_use
from napari_icmoe.engine import Unmeasured
from napari_icmoe.questions import ModelChoice

MODEL = ModelChoice("lite-medsam", "cpu")
OTHER = ModelChoice("sam-vit-b", "cpu")
QUICKEST = Measured("openvino-bf16", 200.0, 30.0, 1.0, 1.0, True)
QUICK = Measured("openvino-fp32", 400.0, 60.0, 1.0, 1.0, True)
TORCH = Measured("torch", 900.0, 90.0, 1.0, 1.0, True)
WRONG = Measured("openvino-bf16", 200.0, 30.0, 0.9, 0.8, False)


def line(*found):
    """Code that prints what is known of some runtimes."""
    return f"print({json.dumps({'measured': [asdict(one) for one in found]})!r}, flush=True)"


def wait_for(path):
    """Code that waits until there is a file."""
    return f"import time, pathlib\nwhile not pathlib.Path({str(path)!r}).exists(): time.sleep(0.01)"


FOUND = f"{line(QUICK)}; {line(QUICK, TORCH)}"
"""What the process prints: a line for each runtime."""
USED = "Answers are quicker from now on: openvino-fp32 was measured to give the same masks."


class Engine:
    """Stands for the real one, whose runtimes take minutes to measure."""

    def __init__(self, folder):
        self.folder, self.runtime, self.changed = folder, "torch", []
        self.usable = ("openvino-bf16", "openvino-fp32", "torch")

    def file(self, choice):
        return self.folder / f"{choice.name}.json"

    def unmeasured(self, choice):
        known = {one.name for one in measured._read(self.file(choice)) or ()}
        left = tuple(name for name in ("openvino-fp32", "torch") if name not in known)
        return Unmeasured(left, self.file(choice), self.runtime) if left else None

    def change_runtime(self, choice):
        chosen = fastest(measured._read(self.file(choice)))
        if chosen == self.runtime or chosen not in self.usable:
            return None
        self.runtime = chosen
        self.changed.append((choice, chosen))
        return chosen


def remembered(folder):
    return [Measured(**one) for one in json.loads((folder / "lite-medsam.json").read_text())]


def process_of(made):
    """The process that measures, or None before it is there."""
    return None if made._process is None else made._process._process


def free(qtbot):
    """Wait until nothing is measured any more."""
    qtbot.waitUntil(lambda: not first_use._MEASURING.locked(), timeout=10_000)
    qtbot.wait(50)
