from __future__ import annotations

import codecs

import pytest

from mainspring.data.documents.encodings import declared_in_html, decode
from mainspring.errors import DataError

GERMAN = "Die Fluggäste müssen sich spätestens dreißig Minuten vor dem Abflug am Schalter einfinden. " * 5
RUSSIAN = "Пассажиры должны явиться на регистрацию не позднее чем за тридцать минут до вылета. " * 5


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_byte_order_mark_says_it_and_is_no_text(mark, encoding):
    assert decode(mark + GERMAN.encode(encoding), "cp1252") == (GERMAN, None)


def test_utf_8_is_not_guessed_and_keeps_its_line_ends():
    assert decode("é\r\nü\r\u2028\n".encode()) == ("é\r\nü\r\u2028\n", None)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "cp1252"),
        ("naïve café", "cp1252"),
        (RUSSIAN, "cp1251"),
        (GERMAN, "utf-16-le"),
        ("a\x92s “b”", "cp1252"),
    ],
)
def test_a_guess_is_right_and_told(text, encoding):
    raw = text.replace("\x92", "’").encode(encoding)
    decoded, note = decode(raw)
    assert decoded == text.replace("\x92", "’")
    assert note is not None
    assert "guess" in note


def test_what_the_spec_says_is_taken_and_nothing_else():
    assert decode("Привет".encode("koi8-r"), "koi8-r") == ("Привет", None)
    with pytest.raises(DataError, match="is not utf-8, as `encoding` says"):
        decode("ü".encode("cp1252"), "utf-8")


@pytest.mark.parametrize(
    "raw", [b"\x7fELF" + bytes(range(256)) * 8, b"\0" * 100, b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff" * 20]
)
def test_what_is_binary_is_no_text(raw):
    with pytest.raises(DataError, match="binary"):
        decode(raw)


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        (b'<meta charset="KOI8-R">', "KOI8-R"),
        (b"<META http-equiv=Content-Type content='text/html; charset=windows-1251'>", "windows-1251"),
        (b"<meta charset=iso-8859-1>", "cp1252"),  # as the HTML standard has it
        (b"<meta charset=utf-16>", None),
        (b"<p>charset=x</p>", None),
        (b" " * 1024 + b"<meta charset=koi8-r>", None),
    ],
)
def test_html_says_its_encoding_in_its_beginning(head, encoding):
    assert declared_in_html(head) == encoding


def test_what_html_says_wrongly_is_passed_over():
    assert decode("ü".encode(), declared="ascii") == ("ü", None)
    assert decode("ü".encode(), declared="no-such-thing") == ("ü", None)
    assert decode("Привет".encode("koi8-r"), declared="koi8-r") == ("Привет", None)
