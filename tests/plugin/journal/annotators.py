"""Annotators: people with a scan, in a viewer without a window, of whose work a journal is kept."""

import numpy as np
from napari.components import ViewerModel

from napari_icmoe.controller import AnnotateController
from napari_icmoe.label_layers import make_target
from napari_icmoe.planes import Plane
from napari_icmoe.readers import PATH_KEY
from napari_icmoe.state import Place

NAME = "DOE_JANE_19500101"
PIXELS = np.random.default_rng(1).integers(0, 900, (6, 20, 24)).astype(np.int16)


class Annotator:
    """A person with a scan, in a viewer without a window."""

    def __init__(self, qtbot, folder, pixels=PIXELS):
        self.viewer = ViewerModel()
        self.controller = AnnotateController(self.viewer)
        self.journaling = self.controller.journaling
        self.said = []
        self.controller.said.connect(lambda level, sentence: self.said.append(sentence))
        self.qtbot, self.folder = qtbot, folder
        self.image = self.add_scan(pixels)

    def add_scan(self, pixels, name=NAME):
        """Open a scan and annotate it."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        image = self.viewer.add_image(
            pixels, name=name, scale=(5, 1, 1), metadata={PATH_KEY: folder / f"{name}.nii.gz"}
        )
        self.controller.set_image(image)
        self.controller.changed.emit()
        self.wait()
        return image

    @property
    def session(self):
        return self.controller.session

    @property
    def current(self):
        return self.journaling.current

    @property
    def path(self):
        """Where the journal is."""
        return self.current.recorder.journal.path

    def wait(self):
        """Until the journal's threads have done everything."""
        self.qtbot.waitUntil(lambda: not self.journaling.threads.busy)

    def place(self, index):
        return Place(str(self.controller.image.unique_id), Plane((index, None, None)))

    def accept(self, index, label=1, rows=slice(2, 9)):
        """An outline, as if a model had drawn it."""
        controller = self.controller
        if controller.target is None:
            layer = make_target(controller.image, instances=False)
            controller.tool.add_below(layer)
            controller.masks.choose(controller.image, layer, empty=True)
        written = np.zeros(PIXELS.shape[1:], bool)
        written[rows, 3:12] = True
        place = self.place(index)
        self.session.accept(place, label, controller.target.write(place.plane, written, label))

    def paint(self, index, label=2):
        rows, columns = np.full(5, 12), np.arange(5)
        self.controller.target.layer.data_setitem((np.full(5, index), rows, columns), label)

    @property
    def labels(self):
        return np.asarray(self.controller.target.layer.data)

    @property
    def painted(self):
        return self.controller.target.painted.values

    def close(self):
        self.journaling.close()
        self.controller.close()
        self.wait()
