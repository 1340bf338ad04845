"""Figure: what each method won against what it lost, as an SVG."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from icmoe_core.benchmark.comparison import Outcome
from icmoe_core.benchmark.names import BASE, is_ours

WIDTH, HEIGHT, MARGIN = 720, 460, 70
_OURS, _OTHERS = "#d55e00", "#0072b2"  # told apart by colour-blind people, too
_LINE = 15  # pixels from one name to the next
_ROOM = 0.01  # of Dice, around all points


def draw_svg(outcomes: Sequence[Outcome]) -> str:
    """Draw the change of box Dice elsewhere to the right, and the gain on the targets upwards.

    The bare model is where the two lines cross; methods without other targets are left out.
    """
    points = [
        (one.method, one.change, one.gain)
        for one in outcomes
        if one.method != BASE and one.change is not None and one.gain is not None
    ]
    xs, ys = [0.0, *(x for _, x, _ in points)], [0.0, *(y for *_, y in points)]
    left, bottom = min(xs) - _ROOM, min(ys) - _ROOM
    across, up = max(xs) + _ROOM - left, max(ys) + _ROOM - bottom

    def place(x: float, y: float) -> tuple[float, float]:
        column = MARGIN + (x - left) / across * (WIDTH - 4 * MARGIN)  # names need room
        row = HEIGHT - MARGIN - (y - bottom) / up * (HEIGHT - 2 * MARGIN)
        return round(column, 1), round(row, 1)

    zero_x, zero_y = place(0, 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<path d="M{MARGIN} {zero_y}H{WIDTH - MARGIN}M{zero_x} {MARGIN}V{HEIGHT - MARGIN}" '
        'stroke="#999"/>',
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 25}" text-anchor="middle">'
        "change of box Dice elsewhere</text>",
        f'<text x="25" y="{HEIGHT / 2}" text-anchor="middle" '
        f'transform="rotate(-90 25 {HEIGHT / 2})">gain of Dice on the target</text>',
    ]
    lowest = float(MARGIN) - _LINE
    for name, x, y in sorted(points, key=lambda point: -point[2]):
        column, row = place(x, y)
        lowest = max(row + 4, lowest + _LINE)  # names below one another, where points meet
        colour = _OURS if is_ours(name) else _OTHERS
        parts.append(f'<circle cx="{column}" cy="{row}" r="5" fill="{colour}"/>')
        text = escape(f"{name} ({x:+.3f}, {y:+.3f})")
        parts.append(f'<text x="{column + 9}" y="{lowest}">{text}</text>')
    return "\n".join([*parts, "</svg>"])
