"""Pictures with two objects each to learn from, and one object to replay."""

import numpy as np
import torch
from PIL import Image

from icmoe_core.training.examples import Example

LABELS = np.zeros((40, 50), np.uint8)
LABELS[5:15, 5:20], LABELS[20:32, 25:45] = 1, 4


def write_pictures(folder, names):
    """Write pictures and their label maps into two folders, and return these."""
    images, labels = folder / "images", folder / "labels"
    images.mkdir()
    labels.mkdir()
    rng = np.random.default_rng(0)
    for name in names:
        picture = (LABELS * 40 + rng.integers(0, 40, LABELS.shape)).astype(np.uint8)
        Image.fromarray(picture).save(images / f"{name}.png")
        Image.fromarray(LABELS).save(labels / f"{name}_mask.png")
    return images, labels


def one_replayed(model):
    """What is replayed, in place of objects on twenty pictures."""
    truth = np.zeros((16, 16), bool)
    truth[4:10, 4:10] = True
    yield [Example(torch.zeros(32, 4, 4).half(), truth, (16, 16), 4.0, 0, "replay")]
