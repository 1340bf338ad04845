"""The record of a fine-tune, as the process that trains tells it."""

RECORD = {
    "date": "2025-01-02T03:04:05+00:00",
    "classes": {"1": 16},
    "scores": {
        "before": {"box": 0.8, "click": 0.6, "mean": 0.7},
        "after": {"box": 0.9, "click": 0.8, "mean": 0.85},
    },
    "worse": False,
    "retention": {"before": 0.98, "after": 0.979},
    "train_slices": 16,
    "held_out_slices": 4,
    "data": "not for the note",
}
