"""The parts of ``latency.py`` without a window: networks, and a fine-tune."""

from __future__ import annotations

import platform
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from floor import floor_ms, measure_machine
from large_scan import large_scan
from reference import Reference

from icmoe_core import Predictor, Prompts, load_model
from icmoe_core.embeddings import EmbeddingStore
from icmoe_core.model import exchange_experts
from icmoe_core.simulation import deepest_point, mask_box
from icmoe_core.training.datasets import LabelledSlice
from icmoe_core.training.finetuning import finetune
from icmoe_core.training.settings import Settings
from icmoe_core.windowing import choose_window

REPEATS, SAM_REPEATS, AHEAD, TRAINED = 15, 2, 100, 20


def measure_networks(scan: Path, labels: Path, label: int, device: str) -> dict[str, Any]:
    """Measure encoding, boxes and clicks, ours and others'."""
    model = load_model(device=device)
    reference, machine = Reference(), measure_machine(model.device)
    image, truth = large_scan(scan, labels, label)
    window, order = choose_window(image), np.argsort(-truth.sum((1, 2)))
    predictor, index = Predictor(model), int(order[0])
    ours, theirs, floor = {}, {}, {}
    encode: list[float] = []
    their_encode: list[float] = []
    seen = window.apply(image[index])
    for turn in range(REPEATS):  # in turns, so that both meet the same disturbances
        encode.append(_ms(lambda: Predictor(model).encode(image[index], window), model.runtime))
        if turn < REPEATS // 3:
            their_encode.append(_ms(lambda: reference.encode(seen)))
    ours["encode"], theirs["encode"] = _median(encode), _median(their_encode)
    boxes, clicks, their_boxes = [], [], []
    for chosen in order[:REPEATS].tolist():
        embedding = predictor.encode(image[chosen], window)
        box, point = mask_box(truth[chosen]), deepest_point(truth[chosen])
        predictor.predict(embedding, Prompts(boxes=[box]))
        asked = Prompts(boxes=[box])
        boxes.append(_ms(partial(predictor.predict, embedding, asked), model.runtime))
        asked = Prompts([point])
        clicks.append(_ms(partial(predictor.predict, embedding, asked), model.runtime))
        known = reference.encode(window.apply(image[chosen]))
        their_boxes.append(_ms(partial(reference.predict, known, box)))
    ours["box_core"], ours["click_core"] = _median(boxes), _median(clicks)
    theirs["box_core"] = _median(their_boxes)
    backbone = model.backbone
    x = torch.rand(1, 3, backbone.input_size, backbone.input_size, device=model.device)
    floor["encode"], gflop = floor_ms(machine, backbone.encode, (x,), backbone.image_encoder)
    embedding = predictor.encode(image[index], window)
    plain = load_model(device=device, runtime="torch")
    for key, prompts in (
        ("box_core", Prompts(boxes=[mask_box(truth[index])])),
        ("click_core", Prompts([deepest_point(truth[index])])),
    ):
        floor[key], _ = floor_ms(
            machine, Predictor(plain).predict, (embedding, prompts), backbone.mask_decoder
        )
    with tempfile.TemporaryDirectory() as folder:
        ahead = Predictor(model, store=EmbeddingStore(Path(folder)))
        size = model.runtime.batch
        began = time.perf_counter()
        for first in range(0, AHEAD, size):
            ahead.encode_many(list(image[first : first + size]), window)
        ours["ahead"] = 1e3 * (time.perf_counter() - began)
    theirs["ahead"], floor["ahead"] = AHEAD * theirs["encode"], AHEAD * floor["encode"]
    return {
        "ours": ours,
        "reference": theirs,
        "sam": _sam(image[index], truth[index], model.device),
        "floor": floor,
        "machine": _name(model.device),
        "runtime": f"{model.runtime.name}, {model.precision}",
        "tflops": machine.flops / 1e12,
        "gbs": machine.bytes / 1e9,
        "gflop": gflop,
        "share": floor["encode"] / ours["encode"],
    }


def measure_finetune(scan: Path, labels: Path, label: int, device: str) -> dict[str, Any]:
    """Measure a fine-tune of a few slices, and how soon its experts are in use."""
    image, truth = large_scan(scan, labels, label)
    window, model = choose_window(image), load_model(device=device)
    chosen = np.argsort(-truth.sum((1, 2)))[:TRAINED].tolist()
    slices = [
        LabelledSlice(
            "scan", "scan", 0, i, image[i], truth[i].astype(np.int64), window, (1.0, 1.0), (1,)
        )
        for i in chosen
    ]
    settings = Settings(max_steps=100, max_seconds=None)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "experts.safetensors"
        began = time.perf_counter()
        for _ in finetune(model, slices, output=output, settings=settings):
            pass
        spent = time.perf_counter() - began
        began = time.perf_counter()
        exchange_experts(model, output)
        ready = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"ours": {"finetune": 1e3 * spent, "experts": 1e3 * ready}, "finetune_mb": memory}


def _sam(image: np.ndarray, truth: np.ndarray, device: torch.device) -> dict[str, float]:
    from segment_anything import SamPredictor, sam_model_registry

    torch.manual_seed(0)
    predictor = SamPredictor(sam_model_registry["vit_b"]().to(device).eval())
    low, high = np.percentile(image, (1, 99))
    picture = (np.clip((image - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    picture = np.repeat(picture[..., None], 3, axis=2)
    encode = [_ms(lambda: predictor.set_image(picture)) for _ in range(SAM_REPEATS)]
    r0, c0, r1, c1 = mask_box(truth)
    row, column = deepest_point(truth)
    box = np.array([c0, r0, c1, r1], float)
    point, labels = np.array([[column, row]], float), np.array([1])
    boxes = [
        _ms(lambda: predictor.predict(box=box, multimask_output=False)) for _ in range(REPEATS)
    ]
    clicks = [_ms(lambda: predictor.predict(point, labels)) for _ in range(REPEATS)]
    return {
        "encode": _median(encode),
        "box_core": _median(boxes),
        "click_core": _median(clicks),
        "ahead": AHEAD * _median(encode),
    }


def _ms(work: Callable[[], Any], runtime: Any = None) -> float:
    began = time.perf_counter()
    work()
    if runtime is not None:
        runtime.synchronise()
    return 1e3 * (time.perf_counter() - began)


def _median(values: list[float]) -> float:
    return float(np.median(values))


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} cores of {platform.machine()}, torch {torch.__version__}"
