"""Point and box prompts for medical images in napari."""

__version__ = "0.1.0"
