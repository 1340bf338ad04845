"""``icmoe info``: what is installed, where it would run, and what it keeps on the disk."""

from __future__ import annotations

import json
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

PACKAGES = ("napari-icmoe", "torch", "numpy", "napari")


@click.command(short_help="Show versions, device, models and cache.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def info(as_json: bool) -> None:
    """Show versions, the device that would be used, the models and the cache."""
    record = collect()
    click.echo(json.dumps(record)) if as_json else _print(record)


def collect() -> dict[str, Any]:
    """Gather what ``icmoe info`` shows, as plain JSON values."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "device": _device(),
        "models": _models(),
        "cache": _cache(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _device() -> dict[str, str]:
    import torch  # here: it takes seconds

    from icmoe_core.devices import choose_device

    device = choose_device("auto")
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = platform.processor() or platform.machine()
        name += f", {torch.get_num_threads()} threads"
    return {"device": str(device), "name": name}


def _models() -> list[dict[str, Any]]:
    from icmoe_core.backbones import names, weights_info
    from icmoe_core.backbones.downloads import cache_folder

    models: list[dict[str, Any]] = []
    for name in names():
        weights = weights_info(name)
        if weights is None:
            models.append({"name": name, "licence": None, "present": False, "weights": None})
            continue
        # Published weights without an address come inside a package that this one requires.
        path = None if weights.filename is None else cache_folder() / weights.filename
        models.append(
            {
                "name": name,
                "licence": weights.licence,
                "source": weights.source,
                "megabytes": round(weights.size_bytes / 1e6),
                "present": path is None or path.is_file(),
                "weights": None if path is None else str(path),
            }
        )
    return models


def _cache() -> dict[str, Any]:
    from icmoe_core.backbones.downloads import cache_folder

    folder = cache_folder().parent
    return {"folder": str(folder), "megabytes": round(_size(folder) / 1e6, 1)}


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # another process has just removed it
            total += path.stat().st_size if path.is_file() else 0
    return total


def _print(record: dict[str, Any]) -> None:
    rows = [("python", f"{record['python']} on {record['system']}")]
    rows += [(name, found or "not installed") for name, found in record["packages"].items()]
    device = record["device"]
    rows.append(("device", f"{device['device']} ({device['name']})"))
    for model in record["models"]:
        rows.append((model["name"], _describe(model)))
    cache = record["cache"]
    rows.append(("cache", f"{cache['folder']} ({cache['megabytes']} MB)"))
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        click.echo(f"{name:<{width}}  {text}")


def _describe(model: dict[str, Any]) -> str:
    if model["licence"] is None:
        return "weights from a file of yours"
    if model["weights"] is None:
        state = "installed with this package"
    elif model["present"]:
        state = f"in {model['weights']}"
    else:
        state = f"not downloaded yet ({model['megabytes']} MB, to {model['weights']})"
    return f"{state}; {model['licence']}"
