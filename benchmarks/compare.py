"""Run ``icmoe benchmark`` on six sets of real scans, four of which are learnt.

    python benchmarks/compare.py --data DATA --output FOLDER [options of icmoe benchmark]

Abdominal CT and MR, lumbar MR and T1 brain MR are learnt, each by itself; the others, lumbar CT and
lesions of five patients among them, must not be forgotten. What is finished is not measured again.
"""

from __future__ import annotations

from pathlib import Path

import click
import nibabel as nib
import numpy as np

from icmoe_core.cli.benchmark import benchmark

LEARNT = ("ct-abdomen", "mr-abdomen", "lumbar-mr", "brain-t1")
LESIONS = ("brain1", "brain2", "breast1", "lung1", "lung2")


@click.command(help=__doc__, context_settings={"ignore_unknown_options": True})
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--output", type=click.Path(path_type=Path), required=True)
@click.argument("others", nargs=-1, type=click.UNPROCESSED)
def main(data: Path, output: Path, others: tuple[str, ...]) -> None:
    """Name the sets, and compare."""
    spine = data / "tptbox/sample_{0}/sub-{0}_{1}.nii.gz"
    sets = [
        ("ct-abdomen", *_pair(data / "totalsegmentator", "ct_abdomen{}.nii.gz")),
        ("mr-abdomen", *_pair(data / "totalsegmentator", "mr_abdomen{}.nii.gz")),
        ("lumbar-mr", *_spine(spine, "mri", "label-6_T2w", "seg-vert_label-6_msk")),
        ("brain-t1", *_brain(data / "voxelmorph/test_scan.npz", output / "brain-t1")),
        ("lumbar-ct", *_spine(spine, "ct", "label-22_ct", "seg-vert_label-22_msk")),
    ]
    for name in LESIONS:
        image, labels = (data / f"pyradiomics/{name}_{kind}.nrrd" for kind in ("image", "label"))
        sets.append(("lesions", image, labels))
    targets = [f"--target={name}={image}:{labels}" for name, image, labels in sets]
    learnt = (
        ()
        if any(one.startswith("--train-on") for one in others)
        else (f"--train-on={','.join(LEARNT)}",)
    )
    benchmark.main([*targets, *learnt, f"--output={output}", *others], prog_name="icmoe benchmark")


def _pair(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / name.format(""), folder / name.format("_labels")


def _spine(path: Path, kind: str, image: str, labels: str) -> tuple[Path, Path]:
    return Path(str(path).format(kind, image)), Path(str(path).format(kind, labels))


def _brain(archive: Path, folder: Path) -> tuple[Path, Path]:
    """Write the brain, which comes as an archive of NumPy, as NIfTI."""
    folder.mkdir(parents=True, exist_ok=True)
    image, labels = folder / "vol.nii.gz", folder / "seg.nii.gz"
    if not labels.exists():
        with np.load(archive) as file:
            for path, array in ((image, file["vol"]), (labels, file["seg"].astype(np.int16))):
                nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    return image, labels


if __name__ == "__main__":
    main()
