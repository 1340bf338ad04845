"""Errors that are meant to be read by the person who caused them.

Each message is one sentence that names the thing, the rule and the way out. The command line
prints it and exits with 1, the plugin shows it as a notification; anything that is not an
:class:`IcmoeError` is a defect of ours.
"""


class IcmoeError(Exception):
    """Base of every error with a message for the user."""


class ImageError(IcmoeError, ValueError):
    """An image, slice or axis that cannot be worked on."""


class PromptError(IcmoeError, ValueError):
    """A point, box or mask prompt that breaks a rule."""


class GridError(IcmoeError, ValueError):
    """A mask that does not lie on the grid of its scan."""


class InputFileError(IcmoeError, OSError):
    """A file that is missing, truncated, or not what it should be."""


class DatasetError(IcmoeError, ValueError):
    """Images and labels that nothing can be learnt from, or measured on."""


class OutputFileError(IcmoeError, OSError):
    """A file that cannot be, or must not be, written."""


class CheckpointError(IcmoeError, RuntimeError):
    """Model weights that are missing, corrupt, or made for another model."""


class ModelError(IcmoeError, ValueError):
    """An unknown model, device or expert file."""


class TrainingError(IcmoeError, RuntimeError):
    """A training that cannot go on."""


class OvertakenError(IcmoeError, RuntimeError):
    """An answer, or an encoded slice, that nobody waits for any more."""

    def __init__(self, message: str = "Nobody waits for this answer any more: ask again.") -> None:
        super().__init__(message)


class DeviceMemoryError(IcmoeError, RuntimeError):
    """The device has too little memory for the model or the image."""
