"""SVG drawings that take their colours from the page they stand in.

Matplotlib is asked for six marker colours, which are then replaced by CSS variables of the page; so one drawing reads
well on light, on dark and on paper. Text stays text in the page's own font. Ids get the drawing's name in front,
because several share a page. The same numbers give the same bytes: ids are salted with a constant, no date is kept.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The colours to draw with; the page says what they look like.
INK, MUTED, RULE, ONE, TWO, SOFT = "#000001", "#000002", "#000003", "#000004", "#000005", "#000006"
_COLOURS = {
    INK: "currentColor",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    ONE: "var(--one)",
    TWO: "var(--two)",
    SOFT: "var(--soft)",
}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mainspring",
    "text.parse_math": False,  # a label may hold dollar signs
    "font.size": 9,
    "axes.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.edgecolor": RULE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "axes.formatter.useoffset": False,
}
_XLINK = "{http://www.w3.org/1999/xlink}href"
_LONG_FRACTION = re.compile(r"(\.\d\d)\d+")


def drawn(name: str, description: str, size: tuple[float, float], draw: Callable[[Figure], None]) -> str:
    """The SVG element of a figure that `draw` fills. Matplotlib's settings are as before afterwards.

    Args:
        name: of the drawing, unlike that of every other on the page.
        description: for those who cannot see it.
        size: width and height in inches.
        draw: fills the figure, in the colours above.
    """
    import matplotlib
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        # The reader's browser has the letters that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _for_page(buffer.getvalue(), name, description)


def _for_page(svg: str, name: str, description: str) -> str:
    """Matplotlib's SVG file as an element of a page."""
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        parent.tag = parent.tag.rpartition("}")[2]
        for child in list(parent):
            # A style element would apply to the whole page.
            if child.tag.endswith("}metadata") or (child.tag.endswith("}defs") and child[0].tag.endswith("}style")):
                parent.remove(child)
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            if key == "id":
                element.set(key, f"{name}-{value}")
            elif key == _XLINK:
                del element.attrib[key]
                element.set("href", value.replace("#", f"#{name}-"))
            elif key == "clip-path":
                element.set(key, value.replace("#", f"#{name}-"))
            elif key == "style":
                element.set(key, _page_style(value))
            elif key != "viewBox":
                element.set(key, _LONG_FRACTION.sub(r"\1", value))
    width = root.attrib.pop("width").removesuffix("pt")
    del root.attrib["height"]
    root.attrib |= {"role": "img", "aria-label": description, "style": f"--width: {float(width):.0f}"}
    return ElementTree.tostring(root, encoding="unicode")


def _page_style(style: str) -> str:
    for marker, colour in _COLOURS.items():
        style = style.replace(marker, colour)
    return re.sub(r"font-family: [^;]*(; )?", "", style)


def clean(text: str, most: int) -> str:
    """Text that fits a plot: no control characters (XML has none), and cut after `most` characters."""
    printable = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    return printable if len(printable) <= most else printable[: most - 1] + "…"
