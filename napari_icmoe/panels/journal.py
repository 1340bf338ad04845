"""The session panel: earlier work to go on with, where work is recorded, and session files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QFrame,
    QVBoxLayout,
    QWidget,
)

from napari_icmoe.controller import AnnotateController
from napari_icmoe.journal.folders import JournalFolder, Keeping, Unfinished
from napari_icmoe.journal.session_files import SESSION_SUFFIX
from napari_icmoe.journal.sessions import Sessions
from napari_icmoe.panels.parts import in_column, in_row, make_button, make_combo, make_text

FILES = f"Sessions (*{SESSION_SUFFIX});;All files (*)"
PLACES = {
    Keeping.DATA: "My data folder",
    Keeping.BESIDE: "Beside the scan",
    Keeping.CHOSEN: "Another folder …",
}


class SessionPanel(QWidget):
    """Offers to restore, the journal's folder, and sessions as files."""

    def __init__(self, controller: AnnotateController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._journaling = controller.journaling
        self.sessions = Sessions(controller, self._journaling, self)

        self.offer = make_text()
        self.restore = make_button(
            "Restore", "Bring the mask, the prompts, the marks and the undo steps back"
        )
        self.discard = make_button(
            "Discard", 'Do not offer it again; it is kept in the folder "discarded"'
        )
        self.restore.clicked.connect(self._restore)
        self.discard.clicked.connect(self._discard)
        self.offers = QFrame()
        self.offers.setFrameShape(QFrame.Shape.StyledPanel)
        offers = QVBoxLayout(self.offers)
        offers.setContentsMargins(6, 6, 6, 6)
        offers.setSpacing(4)
        offers.addWidget(self.offer)
        offers.addLayout(in_row(self.restore, self.discard))

        self.keeping = make_combo(
            "All that you do is written down at once, so that nothing is lost if the program "
            "ends unexpectedly. File names are hashes and tell nothing about the patient."
        )
        for keeping, text in PLACES.items():
            self.keeping.addItem(text, keeping)
        self.keeping.activated.connect(self._choose_keeping)
        self.state = make_text()
        self.state.setMinimumWidth(1)  # a long name of a folder is cut rather than widen the panel
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Journal", self.keeping)

        self.save = make_button(
            "Save session …", "Write mask, prompts, marks and undo steps to one file"
        )
        self.open = make_button("Open session …", "Go on with a session file of this very scan")
        self.save.clicked.connect(self._choose_file_to_save)
        self.open.clicked.connect(self._choose_file_to_open)
        self.names = QCheckBox("Name the scan in provenance files")
        self.names.setToolTip(
            "A file beside each saved mask tells how it came about. It names neither the scan nor "
            "its folder unless this is ticked."
        )
        self.names.toggled.connect(self._want_names)

        buttons = in_row(self.save, self.open)
        in_column(self, self.offers, form, self.state, buttons, self.names, spacing=6)
        self._journaling.changed.connect(self.refresh)
        controller.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what there is of the present scan."""
        scan = self._journaling.current
        offers = () if scan is None else scan.offers
        self.offers.setVisible(bool(offers))
        if offers:
            self.offer.setText(_in_words(offers))
        for button in (self.restore, self.discard):
            button.setEnabled(not self.sessions.busy)
        choice = self._journaling.choice
        self.keeping.setCurrentIndex(self.keeping.findData(choice.keeping))
        self.open.setEnabled(scan is not None and not self.sessions.busy)
        self.save.setEnabled(scan is not None and scan.recorder.started)
        if scan is None:
            text = "Open a scan: what you do on it is recorded as you go."
        elif scan.problem:
            text = scan.problem
        elif scan.recorder.started:
            path = scan.recorder.journal.path
            folder = self._journaling.folder_of(scan) if path is None else path.parent
            text = f"Recorded in {_in_short(folder)}"
        else:
            text = "Nothing to record yet: your first click or stroke begins the journal."
        self.state.setText(text)
        self.state.setToolTip(text)

    def _restore(self) -> None:
        offer = self._newest()
        if offer is not None:
            self.sessions.restore(offer)
            self.refresh()

    def _discard(self) -> None:
        offer = self._newest()
        if offer is not None:
            self.sessions.discard(offer)

    def _newest(self) -> Unfinished | None:
        scan = self._journaling.current
        return scan.offers[0] if scan is not None and scan.offers else None

    def _choose_keeping(self, row: int) -> None:
        keeping = Keeping(self.keeping.itemData(row))  # Qt hands out a plain string
        choice = JournalFolder(keeping)
        if keeping is Keeping.CHOSEN:
            start = self._journaling.choice.chosen or Path.home()
            folder = QFileDialog.getExistingDirectory(self, "Folder for journals", str(start))
            choice = JournalFolder(keeping, Path(folder)) if folder else self._journaling.choice
        if choice != self._journaling.choice:
            self._journaling.keep_in(choice)
        self.refresh()

    def _choose_file_to_save(self) -> None:
        start = str(Path.home() / f"session{SESSION_SUFFIX}")
        path, _ = QFileDialog.getSaveFileName(self, "Save session", start, FILES)
        if not path:
            return
        if not path.endswith(SESSION_SUFFIX):
            path += SESSION_SUFFIX
            if Path(path).exists():  # the dialog asked about the name without its suffix
                self._controller.say("warning", f"{path} exists already: choose it by name.")
                return
        self.sessions.save(Path(path))

    def _choose_file_to_open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open session", str(Path.home()), FILES)
        if path:
            self.sessions.open(Path(path))

    def _want_names(self, wanted: bool) -> None:
        self._journaling.names_wanted = wanted


def _in_words(offers: tuple[Unfinished, ...]) -> str:
    newest, older = offers[0].summary, len(offers) - 1
    when = datetime.fromtimestamp(newest.last)
    slices = "1 slice" if newest.accepted == 1 else f"{newest.accepted} slices"
    text = (
        "<b>An unfinished session of this scan</b> "
        f"from {when.day} {when:%b %H:%M}, {slices} accepted."
    )
    if older:
        text += f" {older} older {'one is' if older == 1 else 'ones are'} there, too."
    return text


def _in_short(folder: Path) -> str:
    """Return a folder as people write it, with ``~`` for their own."""
    home = Path.home()
    if not folder.is_relative_to(home):
        return str(folder)
    return "~" if folder == home else f"~/{folder.relative_to(home).as_posix()}"
