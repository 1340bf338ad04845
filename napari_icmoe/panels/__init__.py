"""Panels: the parts of the Annotate widget, each showing one side of the controller."""

from napari_icmoe.panels.classes import ClassPanel
from napari_icmoe.panels.keys import KeysPanel
from napari_icmoe.panels.model import ModelPanel
from napari_icmoe.panels.prompt import PromptPanel
from napari_icmoe.panels.scan import ScanPanel

__all__ = ["ClassPanel", "KeysPanel", "ModelPanel", "PromptPanel", "ScanPanel"]
