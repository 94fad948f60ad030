"""Which elements of HTML do what to text. After the HTML standard, sections 4 and 13.1.2.4 (optional tags)."""

from __future__ import annotations

# Nothing in them is read.
SKIPPED = frozenset((
    "script", "style", "nav", "template", "noscript", "svg", "math", "select", "textarea", "iframe", "object",
    "canvas", "audio", "video",
))  # fmt: skip
# They have a start tag only.
VOID = frozenset((
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track",
    "wbr",
))  # fmt: skip
LISTS = frozenset(("ul", "ol", "dl"))
HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
# They end the text before them.
BLOCKS = LISTS | HEADINGS | frozenset((
    "html", "head", "body", "title", "p", "div", "section", "article", "main", "aside", "header", "footer", "li", "dt",
    "dd", "table", "caption", "thead", "tbody", "tfoot", "tr", "td", "th", "pre", "blockquote", "figure", "figcaption",
    "hr", "address", "details", "summary", "fieldset", "legend", "form", "option", "menu", "center",
))  # fmt: skip
# A start tag ends the elements named, if they are open inside the nearest of those that hold them.
ENDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "li": (frozenset(("li",)), LISTS),
    "dt": (frozenset(("dt", "dd")), LISTS),
    "dd": (frozenset(("dt", "dd")), LISTS),
    "td": (frozenset(("td", "th")), frozenset(("tr", "table"))),
    "th": (frozenset(("td", "th")), frozenset(("tr", "table"))),
    "tr": (frozenset(("tr",)), frozenset(("table",))),
    "thead": (frozenset(("thead", "tbody", "tfoot", "tr")), frozenset(("table",))),
    "tbody": (frozenset(("thead", "tbody", "tfoot", "tr")), frozenset(("table",))),
    "tfoot": (frozenset(("thead", "tbody", "tfoot", "tr")), frozenset(("table",))),
}
# Those that say what the text in them is.
HELD = LISTS | HEADINGS | frozenset(("li", "dt", "dd", "table", "thead", "tr", "td", "th", "pre", "blockquote"))
