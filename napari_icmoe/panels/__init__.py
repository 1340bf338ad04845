"""Panels: the parts of the Annotate widget, each showing one side of the controller."""

from napari_icmoe.panels.classes import ClassPanel
from napari_icmoe.panels.journal import SessionPanel
from napari_icmoe.panels.keys import KeysPanel
from napari_icmoe.panels.learning import LearnPanel
from napari_icmoe.panels.maps import MapsPanel
from napari_icmoe.panels.measures import MeasuresPanel
from napari_icmoe.panels.message import MessageLine
from napari_icmoe.panels.model import ModelPanel
from napari_icmoe.panels.prompt import PromptPanel
from napari_icmoe.panels.propagation import PropagationPanel
from napari_icmoe.panels.readiness import ReadinessLine
from napari_icmoe.panels.review import ReviewPanel
from napari_icmoe.panels.scan import ScanPanel
from napari_icmoe.panels.strip import StripPanel
from napari_icmoe.panels.worklist import WorklistPanel

__all__ = [
    "ClassPanel",
    "KeysPanel",
    "LearnPanel",
    "MapsPanel",
    "MeasuresPanel",
    "MessageLine",
    "ModelPanel",
    "PromptPanel",
    "PropagationPanel",
    "ReadinessLine",
    "ReviewPanel",
    "ScanPanel",
    "SessionPanel",
    "StripPanel",
    "WorklistPanel",
]
