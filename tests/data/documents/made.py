"""Small files of the formats that are no text."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Sequence

_PADDING = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")

Line = tuple[str, int, int]  # the text, its size in points, its place above the page's lower edge


def page(*texts: str, size: int = 10, top: int = 700, apart: int = 12) -> list[Line]:
    """Lines of one size below each other. An empty text is a gap."""
    return [(text, size, top - apart * number) for number, text in enumerate(texts) if text]


def pdf(
    pages: Sequence[Sequence[Line]],
    outline: Sequence[tuple[str, int]] = (),
    info: str = "",
    encrypted: bool = False,
    looped: bool = False,
) -> bytes:
    """A PDF with lines on pages.

    Args:
        pages: of lines.
        outline: titles, and the numbers of their pages, from 0.
        info: the inside of its information dictionary, as "/Title (A)".
        encrypted: whether it wants a password (RC4 of 40 bits; PDF 1.4, section 3.5).
        looped: whether the outline's last entry is followed by the first.
    """
    count = len(pages)
    first = 4 + 2 * count  # the outline's first entry; before it: catalogue, pages, font, and two objects a page
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {f'/Outlines {first} 0 R' if outline else ''} >>".encode(),
        f"<< /Type /Pages /Count {count} /Kids [{' '.join(f'{4 + 2 * n} 0 R' for n in range(count))}] >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, lines in enumerate(pages):
        drawn = "".join(f"BT /F1 {size} Tf 72 {y} Td ({_escaped(text)}) Tj ET\n" for text, size, y in lines)
        content = drawn.encode("cp1252")
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {5 + 2 * number} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>".encode(),
            f"<< /Length {len(content)} >>\nstream\n".encode() + content + b"\nendstream",
        ]
    if outline:
        last = first + len(outline)
        objects.append(f"<< /First {first + 1} 0 R /Last {last} 0 R /Count {len(outline)} >>".encode())
        for number, (title, place) in enumerate(outline, start=first + 1):
            after = number + 1 if number < last else first + 1 if looped else 0
            following = f"/Next {after} 0 R" if after else ""
            objects.append(
                f"<< /Title ({title}) /Parent {first} 0 R /Dest [{4 + 2 * place} 0 R /Fit] {following} >>".encode()
            )
    objects.append(f"<< {info} >>".encode())
    trailer = f"/Root 1 0 R /Info {len(objects)} 0 R"
    if encrypted:
        owner = _rc4(hashlib.md5(b"owner" + _PADDING[:27]).digest()[:5], b"user" + _PADDING[:28])
        identity, allowed = b"0123456789abcdef", (-4).to_bytes(4, "little", signed=True)
        key = hashlib.md5(b"user" + _PADDING[:28] + owner + allowed + identity).digest()[:5]
        objects.append(
            f"<< /Filter /Standard /V 1 /R 2 /P -4 /O <{owner.hex()}> /U <{_rc4(key, _PADDING).hex()}> >>".encode()
        )
        trailer += f" /Encrypt {len(objects)} 0 R /ID [<{identity.hex()}> <{identity.hex()}>]"
    return _numbered(objects, trailer)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def _numbered(objects: list[bytes], trailer: str) -> bytes:
    out = bytearray(b"%PDF-1.4\n")
    places = []
    for number, one in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n".encode() + one + b"\nendobj\n"
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{place:010d} 00000 n \n".encode() for place in places)
    return bytes(out) + f"trailer\n<< /Size {len(objects) + 1} {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode()


def _rc4(key: bytes, text: bytes) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]

    def stream() -> Iterator[int]:
        i = j = 0
        while True:
            i = (i + 1) % 256
            j = (j + state[i]) % 256
            state[i], state[j] = state[j], state[i]
            yield state[(state[i] + state[j]) % 256]

    return bytes(one ^ other for one, other in zip(text, stream(), strict=False))


def docx(body: str, styles: str = "", parts: dict[str, bytes] | None = None) -> bytes:
    """A Word file made by python-docx, with `body` (of paragraphs, `w:` is bound) in place of its own."""
    import docx as python_docx

    made = io.BytesIO()
    python_docx.Document().save(made)
    out = io.BytesIO()
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "word/document.xml":
                begin = content.index(b"<w:body>") + len(b"<w:body>")
                content = content[:begin] + body.encode() + b"</w:body></w:document>"
            elif name == "word/styles.xml" and styles:
                content = content.replace(b"</w:styles>", styles.encode() + b"</w:styles>")
            new.writestr(name, (parts or {}).get(name, content))
        for name in (parts or {}).keys() - set(old.namelist()):
            new.writestr(name, (parts or {})[name])
    return out.getvalue()
