"""What a person does with a scan and its sessions, and all that has to come back of it."""

import numpy as np
from desk import content

from napari_icmoe.journal.sessions import Sessions
from napari_icmoe.state import Click


def sessions(one):
    return Sessions(one.controller, one.journaling, one.controller)


def finish(save, path):
    """Write a mask that was to be saved."""
    with save.reaching(lambda: path):
        path.write_bytes(b"the mask")
    save.note()


def work(one):
    """Some of everything."""
    one.session.add_prompt(one.place(1), Click(4, 5), [1])
    one.accept(1)
    one.paint(1)
    one.session.choose_class(2)
    one.session.add_prompt(one.place(2), Click(1, 1, positive=False), [1])
    one.accept(3, label=2)
    one.session.approve(one.place(3))
    one.controller.undo()
    one.controller.undo()
    one.controller.redo()


def snapshot(one):
    history = one.session.history
    return {
        "state": content(one.session.state, str(one.controller.image.unique_id)),
        "labels": one.labels.copy(),
        "painted": one.painted.copy(),
        "steps": [step.name for step in (*history.done, *history.undone)],
        "next": (history.next_undo, history.next_redo),
    }


def assert_same(first, second):
    for name in first:
        if isinstance(first[name], np.ndarray):
            assert np.array_equal(first[name], second[name]), name
        else:
            assert first[name] == second[name], name
