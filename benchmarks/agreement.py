"""Masks of a fast runtime beside those of plain torch in float32, on real scans.

    python benchmarks/agreement.py [--data FOLDER] [--runtime NAME] [--slices 8]

Ten scans of CT and MR. On slices evenly spread over each, up to six objects a slice: a box around
each, and a click in its middle. Printed is the Dice of both runtimes' masks, where a slice's is the
mean of its masks: what :mod:`icmoe_core.runtimes.agreement` asks of a runtime, on more scans.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from icmoe_core import Predictor, Prompts, load_model, read_volume
from icmoe_core.io import read_labels
from icmoe_core.model import PromptableModel
from icmoe_core.runtimes.agreement import Case, agree, cases_of, masks_of

TOTAL, TPTBOX = "totalsegmentator", "tptbox"
SCANS = {
    **{
        name: (f"pyradiomics/{name}_image.nrrd", f"pyradiomics/{name}_label.nrrd")
        for name in ("brain1", "brain2", "breast1", "lung1", "lung2")
    },
    "ct abdomen": (f"{TOTAL}/ct_abdomen.nii.gz", f"{TOTAL}/ct_abdomen_labels.nii.gz"),
    "mr abdomen": (f"{TOTAL}/mr_abdomen.nii.gz", f"{TOTAL}/mr_abdomen_labels.nii.gz"),
    "ct dicom": (f"{TOTAL}/ct_dicom", f"{TOTAL}/ct_dicom_labels.nii.gz"),
    "ct spine": (
        f"{TPTBOX}/sample_ct/sub-ct_label-22_ct.nii.gz",
        f"{TPTBOX}/sample_ct/sub-ct_seg-subreg_label-22_msk.nii.gz",
    ),
    "mr spine": (
        f"{TPTBOX}/sample_mri/sub-mri_label-6_T2w.nii.gz",
        f"{TPTBOX}/sample_mri/sub-mri_seg-subreg_label-6_msk.nii.gz",
    ),
}


def clicked(model: PromptableModel, cases: Sequence[Case]) -> list[list[NDArray[np.bool_]]]:
    """Return a model's masks for one click in the middle of each object."""
    predictor, found = Predictor(model), []
    for case in cases:
        embedding = predictor.encode(case.image, case.window)
        found.append([predictor.predict(embedding, Prompts([p])).mask for p in case.middles])
    return found


def main() -> None:
    """Compare on all scans, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    beside = Path(__file__).parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ICMOE_DATA", beside)))
    parser.add_argument("--runtime", default="openvino-bf16")
    parser.add_argument("--slices", type=int, default=8, help="of each scan")
    chosen = parser.parse_args()
    plain = load_model("lite-medsam", "default", "cpu", runtime="torch")
    fast = load_model("lite-medsam", "default", "cpu", runtime=chosen.runtime)
    table = Table("scan", "slices", "prompts", "boxes", "lowest", "clicks", "lowest")
    boxes: list[list[list[NDArray[np.bool_]]]] = [[], []]
    clicks: list[list[list[NDArray[np.bool_]]]] = [[], []]
    for name, (image, labels) in SCANS.items():
        volume = read_volume(chosen.data / image)
        truth = np.asarray(read_labels(chosen.data / labels, volume.grid))
        cases = list(cases_of(np.asarray(volume.array), truth, chosen.slices))
        new_boxes = [masks_of(model, cases) for model in (plain, fast)]
        new_clicks = [clicked(model, cases) for model in (plain, fast)]
        for kept, new in ((boxes, new_boxes), (clicks, new_clicks)):
            for one, more in zip(kept, new, strict=True):
                one.extend(more)
        _add(table, name, new_boxes, new_clicks)
    _add(table, "all", boxes, clicks)
    console = Console()
    console.print(f"{fast.runtime.name}, {fast.runtime.precision}, beside plain torch in float32")
    console.print(table)


def _add(
    table: Table,
    name: str,
    boxes: Sequence[Sequence[Sequence[NDArray[np.bool_]]]],
    clicks: Sequence[Sequence[Sequence[NDArray[np.bool_]]]],
) -> None:
    of_boxes, of_clicks = agree(*boxes), agree(*clicks)
    table.add_row(
        name,
        str(of_boxes.slices),
        str(sum(len(masks) for masks in boxes[0])),
        f"{of_boxes.mean:.4f}",
        f"{of_boxes.lowest:.4f}",
        f"{of_clicks.mean:.4f}",
        f"{of_clicks.lowest:.4f}",
    )


if __name__ == "__main__":
    main()
