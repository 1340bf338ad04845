"""Answers: what the model said, kept for going back and forth between slices and in the history."""

from __future__ import annotations

from collections import OrderedDict

from napari_icmoe.questions import Answer, Question

LIMIT_BYTES = 64 * 2**20
"""Some 200 answers: logits take 0.26 MB, and a mask takes little where it is not large."""


class AnswerCache:
    """The answers used last, up to a number of bytes.

    Parameters
    ----------
    limit_bytes : int
        For the arrays of all answers together. The newest answer is kept in any case.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._entries: OrderedDict[Question, Answer] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays that are kept."""
        return self._bytes

    def get(self, question: Question) -> Answer | None:
        """Return the answer to exactly `question`, and count it as used now."""
        answer = self._entries.get(question)
        if answer is not None:
            self._entries.move_to_end(question)
        return answer

    def add(self, answer: Answer) -> None:
        """Keep `answer`, and drop those used longest ago until the limit is met."""
        self._drop(answer.question)
        self._entries[answer.question] = answer
        self._bytes += answer.nbytes
        while self._bytes > self.limit_bytes and len(self._entries) > 1:
            self._drop(next(iter(self._entries)))

    def forget_image(self, image: str) -> None:
        """Drop every answer about the image with that unique id."""
        for question in [key for key in self._entries if key.place.image == image]:
            self._drop(question)

    def _drop(self, question: Question) -> None:
        answer = self._entries.pop(question, None)
        if answer is not None:
            self._bytes -= answer.nbytes
