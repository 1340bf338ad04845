"""Encoding ahead: slices are encoded before anybody clicks on them, so that answers come at once.

:mod:`~napari_icmoe.ahead.stacks` remembers which slices are ready,
:mod:`~napari_icmoe.ahead.queue` knows which one is next, :mod:`~napari_icmoe.ahead.portions`
encodes some on the engine's thread, :mod:`~napari_icmoe.ahead.stillness` tells when the person is
about to ask something, and :mod:`~napari_icmoe.ahead.encoding` feeds the thread.
"""
