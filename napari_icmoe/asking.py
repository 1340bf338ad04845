"""Asking: questions to the engine on its thread, and the answers that came back."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from icmoe_core.errors import IcmoeError, ImageError, PromptError
from napari_icmoe.answers import AnswerCache
from napari_icmoe.downloads import WeightsDownload
from napari_icmoe.engine import Engine, MissingWeightsError
from napari_icmoe.questions import Answer, ModelChoice, Question, Scan, at_pixels
from napari_icmoe.timers import once
from napari_icmoe.workers import Background, NewestWins

logger = logging.getLogger(__name__)

NOTICED_MS = 450
"""Waiting is shown only if it lasts this long: each change of the panel redraws the canvas too."""
OF_THE_SLICE = (ImageError, PromptError)
"""Errors that another slice or prompt need not have; all others are the model's."""


@dataclass
class _Foreseen:
    """A question that may come, as it was asked, and what has become of it."""

    question: Question
    asked: Question | None = None  # now that it has come
    answer: Answer | None = None


class Asker(QObject):
    """Asks the newest question, and keeps the answers.

    One that may come is answered while the thread is idle, and told of when it has come.

    A model that could not be loaded rests: nothing is encoded ahead with it until the user chooses
    it anew, or a prompt of theirs is answered.

    Attributes
    ----------
    engine : Engine
        To be used on :attr:`worker` only.
    worker : Background
        Whose thread answers; others who need the engine work beside it.
    """

    asked = Signal(object)
    """A question, before the engine is given it; not one that is answered already."""
    answered = Signal(object, object)
    """A question with prompts, and its answer."""
    failed = Signal(object)
    """A question that has no answer; the reason has been said."""
    ready = Signal()
    """A model's weights have come, so what was not answered can be asked again."""
    changed = Signal()
    """Waiting has begun to be noticed, or a download has moved on."""
    said = Signal(str, str)
    """A level and a sentence for the user."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.answers = AnswerCache()
        self.progress: tuple[int, int] | None = None
        self.engine = Engine()
        self.worker = Background(self)
        self._asking = NewestWins(self, self.worker)
        self._asking.answered.connect(self._on_answer)
        self._asking.failed.connect(self._on_failure)
        self._asking.busy_changed.connect(self._on_busy)
        self._waited = once(NOTICED_MS, self)
        self._waited.timeout.connect(self.changed)
        self._download = WeightsDownload(self)
        self._download.progressed.connect(self._on_progress)
        self._download.ended.connect(self._on_downloaded)
        self._held: Question | None = None
        self._last: tuple[Question, Scan] | None = None
        self._wanted: ModelChoice | None = None  # the choice that is being downloaded
        self._resting: set[ModelChoice] = set()
        self._unanswered: set[Question] = set()  # which failed
        self._foreseen: _Foreseen | None = None
        self._overtaken = threading.Event()  # the job that was submitted last
        self._told: set[tuple[ModelChoice, str]] = set()

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way that somebody waits for."""
        return self._newest is not None

    @property
    def slow(self) -> bool:
        """Whether an answer has been on its way for so long that the user should be told."""
        return self.busy and not self._waited.isActive()

    @property
    def downloading(self) -> str | None:
        """Name of the model whose weights are being downloaded."""
        return self._download.name

    def ask(self, question: Question, scan: Scan) -> None:
        """Have `question` answered, unless that is being done already, or has failed."""
        newest = self._newest
        if newest == question or self.downloading == question.model.name:
            return
        if newest is not None and newest == self._held:  # its answer must not be overtaken
            return
        if question in self._unanswered:  # it has been said why
            return
        self._last = question, scan
        foreseen, self._foreseen = self._foreseen, None
        if foreseen is None or foreseen.question != at_pixels(question):
            self.asked.emit(question)
            self._submit(question, scan)
            self._on_busy(True)  # which is not told while another one runs
        elif foreseen.answer is not None:
            self._on_answer(question, replace(foreseen.answer, question=question))
        else:
            self.asked.emit(question)
            foreseen.asked, self._foreseen = question, foreseen
            self._on_busy(True)

    def foresee(self, question: Question, scan: Scan) -> None:
        """Have a question answered that may come, unless the thread has anything else to do."""
        wanted = at_pixels(question)
        if self.busy or self._held is not None or self.downloading or self.rests(question.model):
            return
        if question in self._unanswered or self.answers.get(question) is not None:
            return
        if not self.worker.idle and not self._asking.busy:  # others use it
            return
        if self._foreseen is None or self._foreseen.question != wanted:
            self._foreseen = _Foreseen(wanted)
            self._submit(wanted, scan)

    def unforesee(self) -> None:
        """Let a question that has not come yet be forgotten: it is another one that may come."""
        if self._foreseen is not None and self._foreseen.asked is None:
            self._foreseen = None
            self._overtake()

    @property
    def _newest(self) -> Question | None:
        """The question whose answer is going to be told."""
        newest: Question | None = self._asking.newest
        return newest if self._foreseen is None else self._foreseen.asked

    def _submit(self, question: Question, scan: Scan) -> None:
        self._overtaken.set()
        self._overtaken = overtaken = threading.Event()
        prior = self.prior_of(question)
        self._asking.submit(
            question,
            partial(self.engine.answer, question, scan, prior, lambda: not overtaken.is_set()),
        )

    def _overtake(self) -> None:
        self._overtaken.set()
        self._asking.drop()

    def prior_of(self, question: Question) -> NDArray[np.float32] | None:
        """Return the logits of the answer that the last prompt of `question` corrects."""
        prompts = question.prompts[:-1]
        corrected = self.answers.get(replace(question, prompts=prompts)) if prompts else None
        return None if corrected is None else corrected.logits

    def rests(self, model: ModelChoice) -> bool:
        """Whether `model` failed, so that nothing is encoded ahead with it."""
        return model in self._resting

    def rest(self, model: ModelChoice, error: Exception) -> None:
        """Note that `model` failed while nobody asked; why is said once.

        Weights that are not here are downloaded when they are asked for, and not before.
        """
        self._resting.add(model)
        if isinstance(error, MissingWeightsError):
            return
        if not isinstance(error, IcmoeError):
            logger.error("The model failed while encoding ahead", exc_info=error)
        told = (model, _sentence(error))
        if told not in self._told:
            self._told.add(told)
            self.said.emit("error", told[1])

    def hold(self, question: Question | None) -> None:
        """Let nothing overtake `question`, since its answer is waited for; None ends that.

        What is asked meanwhile is not kept: ask it again when this one is answered or has failed.
        """
        self._held = question

    def allow_retry(self, question: Question) -> None:
        """Let `question` be asked again, although it has failed."""
        self._unanswered.discard(question)

    def give_chance(self, model: ModelChoice) -> None:
        """Note that the user has chosen `model`: whatever failed with it may be tried again."""
        self._resting.discard(model)
        self._told = {told for told in self._told if told[0] != model}
        self._unanswered = {one for one in self._unanswered if one.model != model}
        if self.downloading not in (None, model.name):
            self._stop_download()

    def drop(self) -> None:
        """Forget the questions that are not answered yet."""
        self._foreseen = None
        self._overtake()
        self._last = None

    def cancel_download(self) -> None:
        """End the download, at the user's wish."""
        name, wanted = self.downloading, self._wanted
        if name is None or wanted is None:
            return
        self._resting.add(wanted)
        self._stop_download()
        self.said.emit(
            "info",
            f"The download of {name} was cancelled; what came is kept. Choose another model, or "
            "make a prompt to go on with it.",
        )

    def close(self) -> None:
        """Emit nothing from now on; the running job ends by itself, unheard."""
        self._waited.stop()
        self._foreseen = None
        self._overtaken.set()
        self._asking.close()
        self._download.cancel()

    def _stop_download(self) -> None:
        self._download.cancel()
        self.progress = None
        self._give_up()
        self.changed.emit()

    def _on_busy(self, busy: bool) -> None:
        if not busy:
            self._waited.stop()
        elif self.busy and not self._waited.isActive():
            self._waited.start()

    def _on_answer(self, question: Question, answer: Answer) -> None:
        foreseen = self._foreseen
        if foreseen is not None:
            if foreseen.asked is None:
                foreseen.answer = answer
                return
            self._foreseen, question = None, foreseen.asked
            answer = replace(answer, question=question)
        self._resting.discard(question.model)
        self.answers.add(answer)
        self.answered.emit(question, answer)

    def _on_failure(self, question: Question, error: Exception) -> None:
        foreseen, self._foreseen = self._foreseen, None
        if foreseen is not None:
            if foreseen.asked is None:  # why is told when it is asked
                return
            question = foreseen.asked
        if isinstance(error, MissingWeightsError):
            self._wanted, self.progress = question.model, (0, error.info.size_bytes)
            self._download.start(error.name, error.info)
            self.changed.emit()
            return
        if not isinstance(error, IcmoeError):
            logger.error("The model failed on %s", question, exc_info=error)
        self._unanswered.add(question)
        sentence = _sentence(error)
        if not isinstance(error, OF_THE_SLICE):
            self._resting.add(question.model)
        self._told.add((question.model, sentence))
        self.said.emit("error", sentence)
        self.failed.emit(question)

    def _on_progress(self, have: int, whole: int) -> None:
        self.progress = (have, whole)
        self.changed.emit()

    def _on_downloaded(self, error: Exception | None) -> None:
        wanted, self.progress = self._wanted, None
        if error is None:
            self._resting -= {one for one in self._resting if wanted and one.name == wanted.name}
            if self._last is not None and self._last[0] == self._held:  # it comes first
                self.ask(*self._last)
            self.ready.emit()
            return
        if wanted is not None:
            self._resting.add(wanted)
        self.said.emit("error", _sentence(error))
        self._give_up()
        self.changed.emit()

    def _give_up(self) -> None:
        """Tell that what is waited for has no answer, now that its model does not come."""
        if self._held is not None:
            self.failed.emit(self._held)


def _sentence(error: Exception) -> str:
    if isinstance(error, IcmoeError):
        return str(error)
    return (
        f"The model failed ({type(error).__name__}: {error}); nothing was changed, and the details "
        "are in the log."
    )
