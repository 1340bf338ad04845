"""Promptable segmentation of medical images: the model behind ``napari_icmoe``, without a GUI.

Names are imported on first use, so that readers and writers work without loading torch.
"""

import lazy_loader as _lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "errors": ["IcmoeError"],
        "io": ["read_volume", "write_labels"],
        "model": ["load_model"],
        "predictor": ["Predictor", "Prediction"],
        "prompts": ["Prompts"],
        "training.datasets": ["match_files", "read_slices"],
        "training.finetuning": ["finetune"],
        "training.settings": ["Settings"],
        "windowing": ["Window", "choose_window"],
    },
)
