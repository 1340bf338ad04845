"""What is installed is what is written here, and importing it stays light."""

import ast
import re
import statistics
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions, requires
from pathlib import Path

import pytest
from npe2 import PluginManifest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NAME = PROJECT["name"]
PACKAGES = ("icmoe_core", "napari_icmoe")


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_names(requirements):
    return {canonical(re.match(r"[\w.-]+", text).group()) for text in requirements}


def test_the_installed_manifest_is_the_one_at_the_top_level():
    installed = PluginManifest.from_distribution(NAME)
    written = PluginManifest.from_file(ROOT / "napari.yaml")
    assert installed.name == NAME
    assert installed.display_name == written.display_name
    assert installed.contributions == written.contributions


def test_every_command_of_the_manifest_can_be_imported():
    PluginManifest.from_distribution(NAME).validate_imports()


def test_both_packages_have_the_version_of_the_project():
    assert distribution(NAME).version == PROJECT["version"]
    for package in PACKAGES:
        assert __import__(package).__version__ == PROJECT["version"]


def test_the_extras_are_installed_under_their_names():
    assert {"all", "test"} <= set(distribution(NAME).metadata.get_all("Provides-Extra"))
    assert any("napari" in text and "all" in text for text in requires(NAME))


def test_what_is_imported_is_declared():
    extras = PROJECT["optional-dependencies"]
    # the cluster's module says itself what to install without it
    declared = requirement_names(PROJECT["dependencies"]) | requirement_names(extras["cluster"])
    with_gui = declared | requirement_names(PROJECT["optional-dependencies"]["all"])
    owners = packages_distributions()
    for package, allowed in (("icmoe_core", declared), ("napari_icmoe", with_gui)):
        for path in (ROOT / package).rglob("*.py"):
            for name in imported_roots(path) - {*sys.stdlib_module_names, *PACKAGES}:
                found = {canonical(owner) for owner in owners.get(name, [name])}
                assert found & allowed, f"{path.relative_to(ROOT)} imports {name}: not declared"


def imported_roots(path):
    roots = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            roots |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            roots.add(node.module.partition(".")[0])
    return roots


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("napari_icmoe", {"torch", "numpy", "napari", "qtpy", "PySide6", "icmoe_core"}),
        ("icmoe_core", {"torch", "numpy", "napari", "qtpy"}),
        ("icmoe_core.io", {"torch", "napari", "qtpy"}),
        ("icmoe_core.samples", {"torch", "numpy", "napari", "qtpy"}),
    ],
)
def test_an_import_pulls_in_no_more_than_it_needs(module, forbidden):
    code = f"import sys, {module}; print(*sorted({forbidden!r} & set(sys.modules)))"
    assert run_python(code).strip() == ""


def test_the_plugin_is_imported_in_less_than_50_ms():
    code = (
        "import time; began = time.perf_counter(); import napari_icmoe;"
        "print(time.perf_counter() - began)"
    )
    assert statistics.median(float(run_python(code)) for _ in range(5)) < 0.05


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
