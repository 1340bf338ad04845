"""Threads: how many cores a calculation takes."""

import numpy as np
import pytest
import torch

from icmoe_core.errors import IcmoeError
from icmoe_core.predictor import Predictor
from icmoe_core.prompts import Prompts
from icmoe_core.runtimes import threads
from icmoe_core.runtimes.threads import cores, one_for_torch, share_of


@pytest.fixture(autouse=True)
def torch_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_one_place_decides_about_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("ICMOE_THREADS", raising=False)
    most = cores()
    assert most >= 1
    monkeypatch.setenv("ICMOE_THREADS", "1")
    assert cores() == 1
    assert share_of(4) == {"ICMOE_THREADS": "1"}
    for wrong in ("many", "0", "1.5"):
        monkeypatch.setenv("ICMOE_THREADS", wrong)
        with pytest.raises(IcmoeError, match=r"ICMOE_THREADS .* such as 2"):
            cores()
    monkeypatch.setenv("ICMOE_THREADS", "")
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert cores() == most


def test_torch_has_one_thread_where_it_does_little(monkeypatch):
    inside = cores()
    with one_for_torch():
        assert torch.get_num_threads() == 1
        assert cores() == inside, "networks that are compiled meanwhile have them all"
    monkeypatch.setattr(threads, "cores", lambda: 3)
    with pytest.raises(ZeroDivisionError), one_for_torch():
        raise ZeroDivisionError
    assert torch.get_num_threads() == 3


def test_answers_are_given_in_what_their_runtime_wants(tiny_model, monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 3)
    torch.set_num_threads(3)
    used = []
    decode = tiny_model.runtime.decode

    def looked_at(*arguments, **more):
        used.append(torch.get_num_threads())
        return decode(*arguments, **more)

    monkeypatch.setattr(tiny_model.runtime, "decode", looked_at)
    predictor = Predictor(tiny_model)
    image = np.random.default_rng(0).random((40, 40))
    embedding, box = predictor.encode(image), Prompts(boxes=[(4, 4, 20, 20)])
    predictor.predict(embedding, box)
    monkeypatch.setattr(tiny_model.runtime, "answering", one_for_torch)
    predictor.predict(embedding, box)
    assert used == [3, 1]
    assert torch.get_num_threads() == 3
