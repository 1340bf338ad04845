"""The review panel: proposals accepted or rejected, slices approved, and where to look next."""

from __future__ import annotations

from qtpy.QtWidgets import QGridLayout, QWidget

from napari_icmoe.controller import AnnotateController
from napari_icmoe.panels.parts import make_button, make_text, set_text, with_keys
from napari_icmoe.review.marks import SliceState

_BUTTONS = {
    "accept": "Accept slice",
    "reject": "Reject slice",
    "accept_all": "Accept all",
    "reject_all": "Reject all",
    "look": "Next in doubt",
    "approve": "Approve and lock",
}
_TIPS = {
    "accept": "Write what is proposed on this slice into the mask",
    "reject": "Drop what is proposed on this slice, and do not propose it again",
    "accept_all": "Write all proposals of this stack into the mask; one undo takes it back",
    "reject_all": "Drop all proposals of this stack for good; one undo takes it back",
    "look": "Go to the slice that is most worth a look",
    "approve": "This slice is finished: nothing changes it until it is unlocked",
}


class ReviewPanel(QWidget):
    """What is to be decided on the displayed slice, and on all of them."""

    def __init__(self, controller: AnnotateController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.text = make_text()
        self.buttons = {name: make_button(text) for name, text in _BUTTONS.items()}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(3)
        grid.addWidget(self.text, 0, 0, 1, 2)
        for position, button in enumerate(self.buttons.values()):
            grid.addWidget(button, 1 + position // 2, position % 2)
        reviewing = controller.reviewing
        actions = {
            "accept": controller.prompting.accept,
            "reject": reviewing.reject_here,
            "accept_all": reviewing.accept_all,
            "reject_all": reviewing.reject_all,
            "look": reviewing.go_to_doubtful,
            "approve": reviewing.toggle_approved,
        }
        for name, action in actions.items():
            self.buttons[name].clicked.connect(lambda _=False, action=action: action())
        controller.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the present state."""
        c = self._controller
        place, state = c.view.place, c.session.state
        approved = place is not None and state.mark_at(place).approved
        here = bool(c.view.proposals)
        anywhere = any(state.proposals.get(one) for one in c.reviewing.stack)
        settled = not c.propagating.running
        enabled = {
            "accept": (here and settled) or bool(c.prompts),
            "reject": here and settled,
            "accept_all": anywhere and settled,
            "reject_all": anywhere and settled,
            "look": anywhere or c.reviewing.on_image(state.marks),
            "approve": place is not None and not here,
        }
        for name, button in self.buttons.items():
            button.setEnabled(enabled[name])
            button.setToolTip(with_keys(_TIPS[name], name))
        self.buttons["approve"].setText("Unlock slice" if approved else _BUTTONS["approve"])
        set_text(self.text, self._words(approved))

    def _words(self, approved: bool) -> str:
        c = self._controller
        if approved:
            return "This slice is approved and locked."
        proposals = c.view.proposals
        if proposals:
            cautions = [caution for one in proposals for caution in one.cautions]
            if cautions:
                return f"Low confidence: {'; '.join(dict.fromkeys(cautions))}."
            return (
                "Right? Accept it. Wrong? Choose its class and click to correct it, or reject it."
            )
        if c.reviewing.on_image(c.session.state.proposals):
            return "Nothing is proposed here."
        position = c.reviewing.position
        states = c.reviewing.states()
        if position is not None and states[position] is not SliceState.EMPTY:
            return f"This slice is {states[position].value}: approve it when it is right."
        return "There is nothing to review on this slice yet."
