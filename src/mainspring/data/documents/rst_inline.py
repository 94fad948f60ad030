"""Inline markup of reStructuredText is taken off.

    ``code``                 code
    *text*, **text**         text
    :func:`~os.path.join`    join         (`!` before a name is dropped, `text <target>` becomes text)
    `text <address>`_        text, and a link
    |name|                   what it is replaced by, else name

What may stand before and after markup is in docutils' specification, "inline markup recognition rules".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_BEFORE = r"\s'\"(\[{<\-/:‘“’«¡¿„‐‑‒–—"
_AFTER = r"\s'\")\]}>\-/\\:.,;!?’”»…‐‑‒–—"
_MARKUP = re.compile(
    r"\\(?P<escaped>\s|.)"
    rf"|``(?<![^{_BEFORE}]``)(?=\S)(?P<literal>.*?\S)``(?![^{_AFTER}])"
    rf"|(?P<role>:(?<![^{_BEFORE}]:)[\w.+-]+(?:[:][\w.+-]+)*:)?`(?=\S)(?P<interpreted>(?:[^`\\]|\\.)*)`"
    rf"(?P<suffix>__?|:[\w.+-]+(?:[:][\w.+-]+)*:)?(?![^{_AFTER}])"
    rf"|\*\*(?<![^{_BEFORE}]\*\*)(?=\S)(?P<strong>.*?\S)\*\*(?![^{_AFTER}])"
    rf"|\*(?<![^{_BEFORE}]\*)(?=\S)(?P<emphasis>(?:[^*\\]|\\.)*[^*\s])\*(?![^{_AFTER}])"
    rf"|\|(?<![^{_BEFORE}]\|)(?=\S)(?P<substitution>[^|]*[^|\s])\|_{{0,2}}(?![^{_AFTER}])",
    re.DOTALL,
)
_REFERENCE = re.compile(r"(?<![\w`])([A-Za-z0-9]+(?:[-._+:][A-Za-z0-9]+)*)__?(?![\w])|\[(#?[\w.+-]*|\*)\]_(?!\w)")
_ADDRESS = re.compile(r"\b(?:https?|ftp)://[^\s<>\"'`]+[^\s<>\"'`.,;:!?)\]}]")
_EMBEDDED = re.compile(r"\s*<([^<>]+)>\s*\Z", re.DOTALL)
_ESCAPE = re.compile(r"\\(\s|.)", re.DOTALL)
_QUOTED = {"'": "'", '"': '"', "(": ")", "[": "]", "{": "}", "<": ">", "‘": "’", "“": "”", "«": "»"}
_NUMBERED = {"pep": "PEP ", "rfc": "RFC "}


class Inline:
    """Takes markup off. `targets` are the addresses of names, in lower case; `substitutions` what names stand for."""

    def __init__(self, targets: Mapping[str, str], substitutions: Mapping[str, str]) -> None:
        self._targets = targets
        self._substitutions = substitutions

    def plain(self, text: str) -> tuple[str, tuple[str, ...]]:
        """What `text` says, in one line, and the addresses of its links."""
        if not any(sign in text for sign in "\\`*|_") and "://" not in text:
            return " ".join(text.split()), ()
        pieces: list[str] = []
        links: list[str] = []
        done = 0
        for match in _MARKUP.finditer(text):
            said = self._said(match, links)
            if said is None:
                continue
            pieces += (self._between(text[done : match.start()], links), said)
            done = match.end()
        pieces.append(self._between(text[done:], links))
        return " ".join("".join(pieces).split()), tuple(dict.fromkeys(links))

    def _said(self, match: re.Match[str], links: list[str]) -> str | None:
        text, begin = match.string, match.start()
        kind, inner = match.lastgroup, ""
        if (escaped := match["escaped"]) is not None:
            return "" if escaped.isspace() else escaped
        if (
            begin
            and _QUOTED.get(text[begin - 1]) == text[begin + len(match.group()) - len(match.group().lstrip("`*|"))]
        ):
            return None  # "*" in quotes is a star
        if (literal := match["literal"]) is not None:
            return literal
        if (inner := match["interpreted"]) is not None:
            return self._interpreted(inner, match["role"] or "", match["suffix"] or "", links)
        for kind in ("strong", "emphasis"):
            if match[kind] is not None:
                return _ESCAPE.sub(_unescaped, match[kind])
        name = match["substitution"]
        return self._substitutions.get(name.lower(), name)

    def _interpreted(self, inner: str, role: str, suffix: str, links: list[str]) -> str:
        name = (role or (suffix if suffix.startswith(":") else "")).strip(":").rpartition(":")[2].lower()
        embedded = _EMBEDDED.search(inner)
        if embedded and embedded.start():
            target, inner = embedded[1], inner[: embedded.start()]
            if "_" in suffix:
                links.append(self._targets.get(target.rstrip("_").lower(), "".join(target.split())))
            elif "://" in target:
                links.append(target)
        elif "_" in suffix and (address := self._targets.get(" ".join(inner.lower().split()))):
            links.append(address)
        elif name:
            inner = inner.removeprefix("!")
            if inner.startswith("~"):
                inner = inner[1:].rpartition(".")[2]
            inner = _NUMBERED.get(name, "") + inner
        return _ESCAPE.sub(_unescaped, inner).strip()

    def _between(self, text: str, links: list[str]) -> str:
        """References without backquotes, and bare addresses."""
        if "://" in text:
            links += _ADDRESS.findall(text)
        return _REFERENCE.sub(lambda match: self._referred(match, links), text) if "_" in text else text

    def _referred(self, match: re.Match[str], links: list[str]) -> str:
        if match[1] is None:
            return f"[{match[2].lstrip('#')}]"
        if address := self._targets.get(match[1].lower()):
            links.append(address)
        return match[1]


def _unescaped(match: re.Match[str]) -> str:
    return "" if match[1].isspace() else match[1]
