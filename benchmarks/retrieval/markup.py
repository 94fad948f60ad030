"""What the sets need of markup: POD and manual pages as Markdown, reStructuredText's index directives and inline marks.

Enough for the documents that are read here, and not for others.
"""

from __future__ import annotations

import html
import re

_ROLE = re.compile(r":[\w:+-]+:`(?:([^`<]+?)\s*<[^`>]*>|([^`]*))`")
_KINDS = "single|pair|triple|module|seealso|see|builtin|object|statement|keyword|operator|exception"
_INDEX = re.compile(
    rf"^([ \t]*)\.\. index::[ \t]*(.*)\n((?:\1[ \t]+\S.*\n|[ \t]*\n(?=\1[ \t]+(?:{_KINDS})\b))*)", re.MULTILINE
)
_HEADING = re.compile(r"^(?:([=*#^\"~+-])\1{2,}\n)?(\S.*)\n([=*#^\"'~+-])\3{2,}\n", re.MULTILINE)
_DEFINITION = re.compile(
    r"^[ \t]*\.\. (?:\w+:)?(?:function|method|class|classmethod|staticmethod|attribute|data|exception|decorator|module"
    r"|macro|member|type|var|opcode|option|envvar|cmdoption|describe)::.*\n",
    re.MULTILINE,
)
_FORMAT = re.compile(r"([A-Z])(?:(<<+)\s+(.*?)\s+>>+|<([^<>]*)>)", re.DOTALL)
_ESCAPES = {"lt": "<", "gt": ">", "verbar": "|", "sol": "/"}
_LEAST = 40  # characters: a section that says less is none


def plain_rst(text: str) -> str:
    """A line of reStructuredText without inline marks."""
    text = _ROLE.sub(lambda role: role[1] or role[2].lstrip("~!"), text)
    return re.sub(r"``|\*\*|[*`]|\\", "", text).strip()


def unescaped(text: str) -> str:
    """HTML's entities as characters."""
    return html.unescape(text)


def index_entries(text: str) -> tuple[list[tuple[str, str]], str]:
    """The first entry of each index directive with the section that it stands before or in, and the text without them.

    A section ends at the next heading or definition; if the directive stands right before one, it is that one's.
    """
    places = []
    parts = []
    at = length = 0
    for directive in _INDEX.finditer(text):
        lines = [line.strip() for line in (directive[2], *directive[3].split("\n"))]
        entry = next((line for line in lines if line and not line.startswith((":", "module:", "see"))), "")
        kind, colon, words = entry.partition(":")
        if not colon or kind not in ("single", "pair", "triple"):
            words = entry if not colon else ""
        parts.append(text[at : directive.start()])
        length += directive.start() - at
        at = directive.end()
        words = plain_rst(" ".join(words.replace("!", " ").replace(";", " ").split()))
        if re.search(r"[A-Za-z]{2}", words):
            places.append((words, length))
    without = "".join(parts) + text[at:]
    entries = []
    for words, place in places:
        own = re.compile(r"(?:\s*\.\. _[^\n]*:\s*\n|\s*\n)*").match(without, place)
        begin = own.end() if own else place
        heading = _HEADING.match(without, begin)
        own_title = heading or _DEFINITION.match(without, begin)
        after = own_title.end() if own_title else begin
        nexts = [found.start() for form in (_HEADING, _DEFINITION) if (found := form.search(without, after))]
        section = without[begin : min(nexts, default=len(without))].strip()
        if len(section) >= _LEAST:
            entries.append((words, section))
    return entries, without


def markdown_of_pod(text: str) -> str:
    """Perl's documentation as Markdown: headings, items, code, and text without marks."""
    written = []
    code: list[str] = []
    left_out = ""
    for paragraph in re.split(r"\n[ \t]*\n+", text.replace("\r\n", "\n")):
        paragraph = paragraph.strip("\n")
        if paragraph[:1] in (" ", "\t") and not left_out:
            code.append(paragraph)
            continue
        if code:
            written.append("```\n" + "\n\n".join(code) + "\n```")
            code = []
        command, _, rest = paragraph.partition(" ")
        if command.startswith(("=begin", "=for")):
            left_out = "" if command == "=for" else "begin"
        elif command.startswith("=end") or (command == "=cut" and not left_out):
            left_out = ""
        elif left_out or command.startswith(("=over", "=back", "=encoding", "=pod")):
            continue
        elif command.startswith("=head"):
            written.append(f"{'#' * int(command[5:6] or 1)} {_of_formats(rest)}")
        elif command.startswith("=item"):
            item = _of_formats(rest)
            written.append(f"- {item}" if item not in ("", "*") else "-")
        elif paragraph.strip():
            written.append(_of_formats(paragraph))
    if code:
        written.append("```\n" + "\n\n".join(code) + "\n```")
    return "\n\n".join(written) + "\n"


def _of_formats(text: str) -> str:
    for _ in range(6):  # they are nested
        text, count = _FORMAT.subn(_of_format, text)
        if not count:
            break
    text = text.replace("\x01", "<").replace("\x02", ">")
    return " ".join(text.split())


def _of_format(found: re.Match[str]) -> str:
    letter, inner = found[1], found[3] if found[2] else found[4]
    if letter == "E":
        return {"<": "\x01", ">": "\x02"}.get(_ESCAPES.get(inner, inner), _ESCAPES.get(inner, inner))
    if letter == "L":
        return inner.partition("|")[0].strip('/"')
    if letter in "XZ":
        return ""
    return f"`{inner}`" if letter == "C" else inner


def markdown_of_man(text: str) -> tuple[str, str]:
    """What a manual page says that it is for, in a line; and the page as Markdown without that section."""
    purpose = ""
    written: list[str] = []
    inside = tagged = False  # the section NAME; after .TP
    for line in re.sub(r"\\\n", "", text).split("\n"):
        if line.startswith(
            ('.\\"', "'\\\"", ".TH", ".so", ".ad", ".hy", ".nh", ".if", ".ie", ".el", ".de", "..", ".in")
        ):
            continue
        if line.startswith(".SH"):
            title = _of_troff(line[3:])
            inside = title == "NAME"
            if not inside:
                written.append(f"\n## {title.capitalize()}\n")
            continue
        if inside:
            purpose += " " + _of_troff(line.removeprefix(".B "))
        elif line.startswith(".SS"):
            written.append(f"\n### {_of_troff(line[3:])}\n")
        elif re.match(r"\.(EX|nf)", line):
            written.append("\n```")
        elif re.match(r"\.(EE|fi)", line):
            written.append("```\n")
        elif re.match(r"\.(TP|TQ|IP)", line):
            words = _of_troff(line[3:]).split(" ")[0].strip('"') if line.startswith(".IP") else ""
            written.append("\n- " + ("" if words in ("", "•", "\\(bu") else words))
            tagged = line.startswith((".TP", ".TQ"))
        elif re.match(r"\.(PP|P|LP|RS|RE|TS|TE|sp|br|UE|ME)\b", line):
            written.append("")
        elif re.match(r"\.(B|I|BI|BR|IB|IR|RB|RI|SM|SB|UR|MT)\b", line):
            command, _, rest = line[1:].partition(" ")
            words = re.findall(r'"([^"]*)"|(\S+)', rest)
            joined = ("" if len(command) == 2 and command not in ("SM", "SB", "UR", "MT") else " ").join(
                a or b for a, b in words
            )
            _say(written, _of_troff(joined), tagged)
            tagged = False
        elif not line.startswith((".", "'")):
            _say(written, _of_troff(line), tagged)
            tagged = False
    parts = re.split(r"\s-\s", purpose.strip(), maxsplit=1)
    page = re.sub(r"\n{3,}", "\n\n", "\n".join(written)).strip() + "\n"
    return (parts[1].strip() if len(parts) == 2 else ""), page


def _say(written: list[str], words: str, tagged: bool) -> None:
    if tagged and written and written[-1].startswith("\n- "):
        written[-1] += words
    else:
        written.append(words)


def _of_troff(text: str) -> str:
    text = re.sub(r"\\f\(?(?:\[[^\]]*\]|.)", "", text)
    text = re.sub(r"\\\((..)|\\\[([^\]]*)\]", lambda sign: _SIGNS.get(sign[1] or sign[2], ""), text)
    text = re.sub(r"\\[&|^/,%:]|\\s[+-]?\d", "", text).replace("\\-", "-").replace("\\e", "\\").replace("\\(", "(")
    return text.replace("\\ ", " ").replace("\\~", " ").replace('\\"', "").strip().strip('"')


_SIGNS = {
    "aq": "'", "dq": '"', "rs": "\\", "ti": "~", "ha": "^", "bu": "•", "em": "—", "en": "–", "lq": "“", "rq": "”",
    "oq": "‘", "cq": "’", "mu": "×", "+-": "±", "<=": "≤", ">=": "≥", "!=": "≠", "->": "→", "co": "©", "mc": "µ",
}  # fmt: skip
