"""The outcome card: what a fine-tune has won and lost, in figures and in pictures."""

from __future__ import annotations

import html

from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QFrame, QGridLayout, QLabel, QVBoxLayout, QWidget

from icmoe_core.classes import ClassTable
from napari_icmoe.learning.outlines import AFTER, BEFORE, LABEL, DrawnSlice
from napari_icmoe.learning.trainer import Card
from napari_icmoe.panels.parts import make_text, set_text

GOOD, BAD, PLAIN = "#2ea043", "#e5534b", "#8a8f98"
SAME = 0.005
"""Differences of Dice below this are called the same."""
KINDS = {"box": "with a box", "click": "with one click"}
"""Kinds of prompts as a record has them, and in words."""
_SIDE = 84  # pixels of a picture


class OutcomeCard(QFrame):
    """Before and after on the held-out slices, the worst three of them, and what was kept."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.headline = make_text()
        self.figures = QLabel()
        self.figures.setTextFormat(Qt.TextFormat.RichText)
        self.notes = make_text()
        self.worst = make_text()
        self.pictures: list[QLabel] = []
        self._grid = QGridLayout()
        self._grid.setSpacing(4)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.setSpacing(5)
        for part in (self.headline, self.figures, self.notes, self.worst):
            layout.addWidget(part)
        layout.addLayout(self._grid)

    def show_card(self, card: Card, classes: ClassTable) -> None:
        """Show how a fine-tune went."""
        title, color = _headline(card)
        self.headline.setText(f'<b style="color:{color}; font-size:13px">{title}</b>')
        scores = card.record.get("scores")
        self.figures.setVisible(scores is not None)
        if scores is not None:
            self.figures.setText(_table(scores))
        set_text(self.notes, _notes(card))
        self.worst.setVisible(bool(card.worst))
        self.worst.setText(
            f"<b>Worst held-out slices</b><br>{_legend(LABEL, 'label')} "
            f"{_legend(BEFORE, 'before')} {_legend(AFTER, 'after')}"
        )
        self._show_pictures(card.worst, classes)

    def _show_pictures(self, worst: tuple[DrawnSlice, ...], classes: ClassTable) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            old = item.widget()
            if old is not None:
                old.hide()  # it is deleted only when the event loop comes to it
                old.deleteLater()
        self.pictures = []
        for column, drawn in enumerate(worst):
            note = drawn.note
            name = classes[note.label].name if note.label in classes.ids else f"label {note.label}"
            picture = QLabel()
            picture.setPixmap(_pixmap(drawn))
            picture.setToolTip(
                f"{note.name}: {name}, asked for with a {note.kind}. Dice {note.dice_before:.2f} "
                f"before, {note.dice_after:.2f} after."
            )
            picture.setAccessibleName(picture.toolTip())
            words = QLabel()
            shown = words.fontMetrics().elidedText(name, Qt.TextElideMode.ElideMiddle, _SIDE)
            words.setText(
                f"{html.escape(shown)}<br>with a {note.kind}<br>"
                f"{note.dice_before:.2f}→<b>{note.dice_after:.2f}</b>"
            )
            words.setFixedWidth(_SIDE)
            self._grid.addWidget(picture, 0, column)
            self._grid.addWidget(words, 1, column)
            self.pictures.append(picture)
        self._grid.setColumnStretch(len(worst), 1)


def _headline(card: Card) -> tuple[str, str]:
    scores = card.record.get("scores")
    change = 0.0 if scores is None else scores["after"]["mean"] - scores["before"]["mean"]
    if card.is_worse:
        words, color = "Worse than before", BAD
    elif card.forgets:
        words, color = "Other pictures are answered worse", BAD
    elif scores is None:
        words, color = "Not measured", PLAIN
    elif change > SAME and (lost := _worse_kinds(scores)):
        words, color = f"Better on average, worse {' and '.join(lost)}", PLAIN
    elif change > SAME:
        words, color = "Better than before", GOOD
    else:
        words, color = "About as before", PLAIN
    done = {None: "", True: ": switched on", False: ": not switched on"}[card.switched_on]
    return f"{words}{done}", color


def _worse_kinds(scores: dict) -> list[str]:
    before, after = scores["before"], scores["after"]
    return [
        words
        for kind, words in KINDS.items()
        if kind in before and kind in after and after[kind] - before[kind] < -SAME
    ]


def _table(scores: dict) -> str:
    rows = ["<tr><td></td><td>before</td><td>after</td><td></td></tr>"]
    for kind, words in KINDS.items():
        before, after = scores["before"].get(kind), scores["after"].get(kind)
        if before is None or after is None:
            continue
        change = after - before
        sign = "▲" if change > SAME else "▼" if change < -SAME else "="
        color = GOOD if change > SAME else BAD if change < -SAME else PLAIN
        rows.append(
            f"<tr><td>{words.capitalize()}&nbsp;&nbsp;</td><td>{before:.3f}&nbsp;&nbsp;</td>"
            f"<td><b>{after:.3f}</b>&nbsp;&nbsp;</td>"
            f'<td style="color:{color}">{sign} {change:+.3f}</td></tr>'
        )
    return f"<table cellspacing=2>{''.join(rows)}</table>"


def _notes(card: Card) -> str:
    record, sentences = card.record, []
    held, known = record.get("held_out_slices", 0), record.get("known_slices", 0)
    if record.get("scores") is not None and known >= held:
        sentences.append(
            f"Mean Dice on {_slices(held)}. What it started from had learnt from all of them, so "
            "the figures before are too good."
        )
    elif record.get("scores") is not None:
        verb = "was" if held - known == 1 else "were"
        sentences.append(f"Mean Dice on {_slices(held - known)}, which {verb} not learnt from.")
        if known:
            sentences.append(f"{_slices(known)} left out: known from an earlier training.")
    else:
        sentences.append("Nothing was held out: look at a few answers before you rely on them.")
    retention = record.get("retention")
    if retention is not None:
        before, after = retention["before"], retention["after"]
        kept = "kept" if after >= before - SAME else "partly lost"
        sentences.append(
            f"What it knew of other pictures is {kept} (Dice {before:.3f} before, {after:.3f} now)."
        )
    if card.is_worse or card.forgets:
        sentences.append(
            "It is in the list, should you want it. Approve more slices, or give it longer."
        )
    elif card.switched_on is False:
        sentences.append(
            "You have chosen other experts meanwhile, and they stay: switch this version on in the "
            "list if you want it."
        )
    return " ".join(sentences)


def _slices(count: int) -> str:
    return f"{count} held-out slice" + ("s" if count != 1 else "")


def _legend(color: tuple[int, int, int], words: str) -> str:
    red, green, blue = color
    # white outlines are named by a grey sign, which can be seen on a light theme, too
    shown = "#9aa0a6" if color == LABEL else f"rgb({red},{green},{blue})"
    sign = "□" if color == LABEL else "■"
    return f'<span style="color:{shown}">{sign}</span>&nbsp;{words}'


def _pixmap(drawn: DrawnSlice) -> QPixmap:
    rows, columns, _ = drawn.picture.shape
    image = QImage(drawn.picture.tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(image).scaled(
        _SIDE,
        _SIDE,
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )
