"""The demo: napari with the sample brain scan and the Annotate widget docked."""

from __future__ import annotations


def open_demo() -> None:
    """Open the window and run until it is closed."""
    import napari

    viewer = napari.Viewer(title="napari-icmoe demo")
    prepare_demo(viewer)
    napari.run()


def prepare_demo(viewer: object) -> object:
    """Open the sample at the tumour and dock the widget in `viewer`; returns the widget."""
    viewer.open_sample("napari-icmoe", "brain")  # type: ignore[attr-defined]
    _, widget = viewer.window.add_plugin_dock_widget("napari-icmoe", "Annotate")  # type: ignore[attr-defined]
    return widget
