"""Backbones: the frozen networks under the experts, by name.

Each module of this folder that defines one registers it on import, so that a new backbone is a
new module here, or a call of :func:`register` anywhere else.
"""

import pkgutil
from importlib import import_module

from icmoe_core.backbones.backbone import Backbone, weights_hash
from icmoe_core.backbones.checkpoints import WeightsInfo
from icmoe_core.backbones.registry import build_backbone, names, register, unregister, weights_info

__all__ = [
    "Backbone",
    "WeightsInfo",
    "build_backbone",
    "names",
    "register",
    "unregister",
    "weights_hash",
    "weights_info",
]

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
