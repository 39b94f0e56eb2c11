"""The few SVG elements the report's figures are made of; text is escaped here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

__all__ = ["d", "figure", "join", "link", "num", "path", "rect", "text"]


def num(value: float) -> str:
    """A coordinate with one decimal, or none where that is zero."""
    return f"{value:.1f}".removesuffix(".0")


def d(*parts: str | float) -> str:
    """Path data from letters and coordinates: ``d("M", 1, 2.25, "V", 3)`` is "M1 2.2V3"."""
    out = ""
    for part in parts:
        piece = part if isinstance(part, str) else num(part)
        out += piece if not out or out[-1].isalpha() or isinstance(part, str) else " " + piece
    return out


def _tip(tip: str) -> Markup:
    return Markup("<title>{}</title>").format(tip) if tip else Markup("")


def path(kind: str, data: str, tip: str = "", at: tuple[float, float] | None = None, scale: float = 1) -> Markup:
    """A path of a style class, with a tool tip, moved to `at` and scaled about it."""
    move = Markup("")
    if at is not None:
        move = Markup(' transform="translate({} {}){}"').format(
            *map(num, at), "" if scale == 1 else f"scale({scale:g})"
        )
    if not tip:
        return Markup('<path class="{}"{} d="{}"/>').format(kind, move, data)
    return Markup('<path class="{}"{} d="{}">{}</path>').format(kind, move, data, _tip(tip))


def rect(kind: str, x: float, y: float, width: float, height: float) -> Markup:
    """A rectangle of a style class."""
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
        kind, num(x), num(y), num(width), num(height)
    )


def text(
    x: float,
    y: float,
    content: str,
    kind: str = "tick",
    anchor: str = "start",
    *,
    power: str = "",
    tip: str = "",
    upright: bool = False,
) -> Markup:
    """A line of text; `power` is set as a superscript, `upright` turns the line a quarter to the left."""
    turned, level = Markup('transform="translate({} {}) rotate(-90)"'), Markup('x="{}" y="{}"')
    place = (turned if upright else level).format(num(x), num(y))
    above = Markup('<tspan class="power" dy="-4">{}</tspan>').format(power) if power else Markup("")
    start = Markup("") if anchor == "start" else Markup(' text-anchor="{}"').format(anchor)
    return Markup('<text class="{}" {}{}>{}{}{}</text>').format(kind, place, start, content, above, _tip(tip))


def link(anchor: str, content: Markup, *, tab_stop: bool = True) -> Markup:
    """Content that leads to a place on the page; without an anchor, the content alone.

    `tab_stop` False spares the Tab key hundreds of stops where the same places are linked from a table.
    """
    if not anchor:
        return content
    skipped = Markup("") if tab_stop else Markup(' tabindex="-1"')
    return Markup('<a href="#{}"{}>{}</a>').format(anchor, skipped, content)


def join(parts: Iterable[Markup]) -> Markup:
    """Elements one after the other."""
    return Markup("").join(parts)


def figure(
    kind: str, width: float, height: float, label: str, parts: Iterable[Markup], *, fixed: bool = False
) -> Markup:
    """A whole drawing with its text alternative; `fixed` keeps its own width instead of filling its box."""
    size = Markup(' width="{}"').format(num(width)) if fixed else Markup("")
    content = join(parts)
    # A picture has no parts of its own to go to; with links in it, it is a group of them.
    role = "group" if "<a " in content else "img"
    return Markup('<svg class="{}" viewBox="0 0 {} {}"{} role="{}" aria-label="{}">{}</svg>').format(
        kind, num(width), num(height), size, role, label, content
    )
