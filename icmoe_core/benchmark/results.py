"""Results: cells as small files in a folder that belongs to one comparison."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from icmoe_core.benchmark.cells import Cell
from icmoe_core.benchmark.names import ALL
from icmoe_core.errors import OutputFileError
from icmoe_core.io.atomic import atomic_path

_PURPOSE = "benchmark.json"


def claim_folder(folder: Path, purpose: dict[str, Any]) -> None:
    """Make sure that the results in a folder can be compared with those to come.

    Parameters
    ----------
    folder : Path
        That exists.
    purpose : dict
        Model, data and budget, as JSON can hold them.

    Raises
    ------
    OutputFileError
        If the folder holds results of another comparison.
    """
    path = folder / _PURPOSE
    if path.is_file():
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            earlier = None
        if earlier != json.loads(json.dumps(purpose)):
            raise OutputFileError(
                f"The results in {folder} are of another model, other data or another budget: "
                "choose another folder, or repeat what was asked for there."
            )
        return
    write_text(path, json.dumps(purpose, indent=1))


def cell_file(folder: Path, method: str, target: str, seed: int) -> Path:
    """Return where a cell is kept."""
    return folder / "cells" / f"{target}_{method.replace(' ', '-')}_{seed}.json"


def write_cell(path: Path, cell: Cell) -> None:
    """Write a cell; all of it, or nothing."""
    path.parent.mkdir(exist_ok=True)
    write_text(path, json.dumps(cell.to_dict(), indent=1))


def read_cell(path: Path) -> Cell | None:
    """Read a cell; None if it is not there or damaged, so that it is measured again."""
    try:
        return Cell(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def read_cells(folder: Path) -> list[Cell]:
    """Read all cells in a folder of results, those of earlier calls included.

    Returns
    -------
    list of Cell
        By seed, target and method.
    """
    read = (read_cell(path) for path in (folder / "cells").glob("*.json"))
    cells = [cell for cell in read if cell is not None and cell.method in ALL]
    return sorted(cells, key=lambda cell: (cell.seed, cell.target, ALL.index(cell.method)))


def write_csv(path: Path, cells: Iterable[Cell]) -> None:
    """Write one line for each cell."""
    rows = [
        {name: json.dumps(v) if isinstance(v, dict) else v for name, v in cell.to_dict().items()}
        for cell in cells
    ]
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, list(Cell.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(rows)


def write_text(path: Path, text: str) -> None:
    """Write a small file; all of it, or nothing."""
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
