"""Inline markup of reStructuredText is taken off.

    ``code``                 code
    *text*, **text**         text
    :func:`~os.path.join`    join         (of objects; `text <target>` is text)
    `text <address>`_        text, and a link
    |name|                   what it is replaced by, else name

What may stand before and after markup is in docutils' specification, "inline markup recognition rules".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_BEFORE = r"\s'\"(\[{<\-/:‘“’«¡¿„‐‑‒–—"
_AFTER = r"\s'\")\]}>\-/\\:.,;!?’”»…‐‑‒–—"
_LONGEST = 1000  # characters in markup whose end is looked for from every sign
_ROLE = r"[\w.+-]+(?::[\w.+-]+)*"
# Each begins with its own sign, so that the search jumps from sign to sign.
_MARKUP = re.compile(
    r"\\(?P<escaped>\s|.)"
    rf"|``(?<![^{_BEFORE}]``)(?=\S)(?P<literal>.{{0,{_LONGEST}}}?\S)``(?![^{_AFTER}])"
    rf"|:(?<![^{_BEFORE}`*|]:)(?P<role>{_ROLE}):`(?=\S)(?P<object>(?:[^`\\]|\\.)+)(?<!\s)`(?![^{_AFTER}])"
    rf"|`(?<![^{_BEFORE}]`)(?=\S)(?P<interpreted>(?:[^`\\]|\\.)+)(?<!\s)`(?P<suffix>__?|:{_ROLE}:)?(?![^{_AFTER}])"
    rf"|\*\*(?<![^{_BEFORE}]\*\*)(?=\S)(?P<strong>.{{0,{_LONGEST}}}?\S)\*\*(?![^{_AFTER}])"
    rf"|\*(?<![^{_BEFORE}]\*)(?=\S)(?P<emphasis>(?:[^*\\]|\\.)*[^*\s])\*(?![^{_AFTER}])"
    rf"|\|(?<![^{_BEFORE}]\|)(?=\S)(?P<substitution>[^|]*[^|\s])\|_{{0,2}}(?![^{_AFTER}])",
    re.DOTALL,
)
_SIGN = re.compile(r"[\\`*|_]|:(?=//)")
_REFERENCE = re.compile(
    rf"(?<![\w`.+:-])([A-Za-z0-9]+(?:[-._+:][A-Za-z0-9]+)*)__?(?![^{_AFTER}])|\[(#?[\w.+-]*|\*)\]_(?![^{_AFTER}])"
)
_ADDRESS = re.compile(r"\b(?:https?|ftp)://[^\s<>\"'`]+[^\s<>\"'`.,;:!?)\]}]")
_EMBEDDED = re.compile(r"(?:\\?\s)*(?<!\\)<([^<>]+)>\s*\Z", re.DOTALL)
_ESCAPE = re.compile(r"\\(\s|.)", re.DOTALL)
_QUOTED = {"'": "'", '"': '"', "(": ")", "[": "]", "{": "}", "<": ">", "‘": "’", "“": "”", "«": "»"}
_OBJECTS = frozenset(("any", "attr", "class", "const", "data", "exc", "func", "meth", "mod", "obj", "type"))
_NUMBERED = {"pep": "PEP ", "rfc": "RFC "}


class Inline:
    """Takes markup off. `targets` are the addresses of names, in lower case; `substitutions` what names stand for."""

    def __init__(self, targets: Mapping[str, str], substitutions: Mapping[str, str]) -> None:
        self._targets = targets
        self._substitutions = substitutions
        self._footnotes = 0  # references to footnotes without a number, which are numbered in their order

    def plain(self, text: str) -> tuple[str, tuple[str, ...]]:
        """What `text` says, in one line, and the addresses of its links."""
        if _SIGN.search(text) is None:
            return " ".join(text.split()), ()
        pieces: list[str] = []
        links: list[str] = []
        done = begin = 0
        while (match := _MARKUP.search(text, begin)) is not None:
            said = self._said(match, links)
            if said is None:
                begin = match.start(match.lastindex or 0)  # behind the sign, which is one only
                continue
            pieces += (self._between(text[done : match.start()], links), said)
            done = begin = match.end()
        pieces.append(self._between(text[done:], links))
        return " ".join("".join(pieces).split()), tuple(dict.fromkeys(links))

    def _said(self, match: re.Match[str], links: list[str]) -> str | None:
        text, begin = match.string, match.start()
        if (escaped := match["escaped"]) is not None:
            return "" if escaped.isspace() else escaped
        kind = match.lastgroup or ""
        if kind == "suffix":
            kind = "interpreted"
        if begin and _QUOTED.get(text[begin - 1]) == text[match.start(kind)]:
            return None  # "*" in quotes is a star
        inner = match[kind]
        if kind == "literal":
            return inner
        if kind == "object":
            return self._object(inner, match["role"], links)
        if kind == "interpreted":
            suffix = match["suffix"] or ""
            if suffix.startswith(":"):
                return self._object(inner, suffix.strip(":"), links)
            return self._referring(inner, links) if suffix else unescaped(inner)
        return self._substitutions.get(inner.lower(), inner) if kind == "substitution" else unescaped(inner)

    def _object(self, inner: str, role: str, links: list[str]) -> str:
        """What a role says: a text with a target, or the name of a thing."""
        if "<" in inner and (embedded := _EMBEDDED.search(inner)) and embedded.start():
            if "://" in embedded[1]:
                links.append(embedded[1])
            return unescaped(inner[: embedded.start()])
        name = role.rpartition(":")[2].lower()
        return _NUMBERED.get(name, "") + unescaped(_shown(inner) if name in _OBJECTS else inner)

    def _referring(self, inner: str, links: list[str]) -> str:
        """A link: an address, or a name of one."""
        embedded = _EMBEDDED.search(inner)
        if embedded and embedded.start():
            target, inner = embedded[1], inner[: embedded.start()]
            links.append(self._targets.get(target.rstrip("_").lower(), "".join(target.split())))
        elif address := self._targets.get(" ".join(inner.lower().split())):
            links.append(address)
        return unescaped(inner)

    def _between(self, text: str, links: list[str]) -> str:
        """References without backquotes, and bare addresses."""
        if "://" in text:
            links += _ADDRESS.findall(text)
        return _REFERENCE.sub(lambda match: self._referred(match, links), text) if "_" in text else text

    def _referred(self, match: re.Match[str], links: list[str]) -> str:
        if match[1] is None:
            if match[2] == "#":
                self._footnotes += 1
                return f"[{self._footnotes}]"
            return f"[{match[2].lstrip('#')}]"
        if address := self._targets.get(match[1].lower()):
            links.append(address)
        return match[1]


def _shown(name: str) -> str:
    """What Sphinx shows of the name of an object: `~a.b.c` is c, `!a` and `.a` are a."""
    name = name.removeprefix("!")
    return name[1:].rpartition(".")[2] if name.startswith("~") else name.removeprefix(".")


def unescaped(text: str) -> str:
    """`text` without the backslashes that take the meaning from a sign."""
    return _ESCAPE.sub(lambda match: match[1].strip(), text) if "\\" in text else text
