"""Templates: graphs translated from torch for OpenVINO, kept on disk between starts."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_path
from torch import Tensor, nn

from icmoe_core.backbones import Backbone
from icmoe_core.experts.mixture import Experts
from icmoe_core.runtimes.graphs import ExpertsGraph, FrozenGraph, example_inputs, weights_of
from icmoe_core.runtimes.mixed import with_mixed_precision
from icmoe_core.runtimes.quiet import import_openvino, openvino_core
from icmoe_core.runtimes.strips import in_strips

FORMAT = 5
"""Raised whenever a graph would be translated into another one."""

_FILE = "graph.xml"  # and graph.bin beside it
_NEW = ".new-"
_ABANDONED_S = 3600.0
_UNUSED_S = 90 * 24 * 3600.0


class Templates:
    """Translated graphs in a folder; what is not there yet is translated.

    Parameters
    ----------
    folder : Path, optional
        By default one in the user's cache.
    """

    def __init__(self, folder: Path | None = None) -> None:
        default = user_cache_path("icmoe", appauthor=False) / "openvino"
        self.folder = default if folder is None else folder

    def encoder(self, backbone: Backbone, *, mixed: bool) -> Any:
        """Return the image encoder's graph, for one picture; `mixed` in its precision."""
        side = backbone.input_size
        x = backbone.pixel_mean.new_zeros(1, 3, side, side)

        def made() -> tuple[nn.Module, tuple[Tensor, ...]]:
            encoder = in_strips(backbone.image_encoder)
            return with_mixed_precision(encoder) if mixed else encoder, (x,)

        model = self._graph(["encoder", backbone.weights_sha256, str(mixed)], made)
        model.reshape([1, 3, side, side])
        return model

    def frozen(self, backbone: Backbone) -> Any:
        """Return the frozen decoder's graph."""
        name = ["frozen", backbone.weights_sha256]
        return self._graph(name, lambda: (FrozenGraph(backbone), example_inputs(backbone, False)))

    def experts(self, experts: Experts) -> Any:
        """Return the graph of experts of one configuration, without weights."""
        backbone = experts.tuned.backbone
        config = json.dumps(experts.config.to_dict(), sort_keys=True)
        name = ["experts", backbone.weights_sha256, config]

        def made() -> tuple[nn.Module, tuple[Tensor, ...]]:
            weights = [weight.clone() for weight in weights_of(experts)]
            return ExpertsGraph(experts), (*example_inputs(backbone, True), *weights)

        return self._graph(name, made)

    def _graph(
        self, name: Sequence[str], make: Callable[[], tuple[nn.Module, tuple[Tensor, ...]]]
    ) -> Any:
        """Read a graph, or translate it and keep it if that can be done."""
        openvino = import_openvino()
        parts = [str(FORMAT), openvino.__version__, torch.__version__, *name]
        key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
        kept = self.folder / key
        if (kept / _FILE).is_file():
            with suppress(OSError):
                kept.touch()  # so that it counts as used
            with suppress(RuntimeError):  # damaged: translated anew
                return openvino_core().read_model(kept / _FILE)
            shutil.rmtree(kept, ignore_errors=True)
        self._remove_abandoned()
        model = translated(*make())
        with suppress(OSError, RuntimeError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=_NEW) as temporary:
                made = Path(temporary) / "graph"
                made.mkdir()
                openvino.save_model(model, made / _FILE, compress_to_fp16=False)
                made.replace(kept)  # whole, or not at all
                return openvino_core().read_model(kept / _FILE)
        return model

    def _remove_abandoned(self) -> None:
        """Remove what a process has left that was ended while it kept a graph, and old graphs.

        Each version of the libraries has graphs of its own, which nobody asks for after the next.
        """
        with suppress(OSError):
            graphs = (path.parent for path in self.folder.glob(f"*/{_FILE}"))
            limits = [(left, _ABANDONED_S) for left in self.folder.glob(f"{_NEW}*")]
            for left, limit in [*limits, *((graph, _UNUSED_S) for graph in graphs)]:
                if time.time() - left.stat().st_mtime > limit:
                    shutil.rmtree(left, ignore_errors=True)


def translated(module: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
    """Translate a module for OpenVINO; its outputs are in float32."""
    import warnings

    openvino = import_openvino()
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")  # of tracing: shapes that are known to stay
        traced = torch.jit.trace(module, inputs, check_trace=False)
        return openvino.convert_model(traced, example_input=inputs)
