"""Build hook: place ``napari.yaml``, kept at the top level, inside the ``napari_icmoe`` package.

napari looks for a plugin's manifest in the plugin's package. A wheel gets a copy of the file; an
editable install gets a link in the source tree, so that an edit of the manifest needs no new
installation.
"""

import shutil
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGED = "napari_icmoe/napari.yaml"


class ManifestHook(BuildHookInterface):
    """Copies the manifest into wheels, and links it for editable installs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Run before a build; `version` is ``"standard"`` or ``"editable"``."""
        source = Path(self.root, "napari.yaml")
        if version == "editable":
            _link(source, Path(self.root, PACKAGED))
        else:
            build_data["force_include"][str(source)] = PACKAGED


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        target.symlink_to(Path("..", source.name))
    except OSError:  # Windows grants links to few accounts
        shutil.copyfile(source, target)
