from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.data.documents.document import Block
from mainspring.data.documents.rst import read

from .by_docutils import docutils_units, our_units


def said(text: str) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in read(text).blocks]


def one(text: str) -> Block:
    [block] = read(text).blocks
    return block


SAMPLE = """\
=================
 The *Whole* Book
=================

.. contents::

First
=====

A paragraph of ``code | *no*``, *emphasis*, **strong\\*ness**, a `link <http://a.b>`_, ref_, `two words`__,
:func:`~os.path.join`, :ref:`the text <label>`, |Main| and *x*\\ :sub:`2`, "*", '``', (*) 2*3*4 and snake_case_.

.. |Main| replace:: Main
.. _ref: http://r.r
__ http://anonymous
.. a comment
   of two lines

..

  A quote after an empty comment.

  Its second paragraph::

     literal
       more

Below ``it``
------------

Ends with two colons::

> quoted literal
> again

:field: value
   goes on
:other field:
   paragraph one

   paragraph two

term
   definition
another term
   * an item
   * another, which
     goes on

     and has a second paragraph

     1. one
     #. two

        deep::

          code

-a             option a
--long=ARG, -l  option with two names
               and more text
/V             one of DOS

>>> print("doctest")
doctest

| a line block
|   indented
  goes on

A. Person
is no list, nor is this: e.g. this.

(a) a list
(b) of letters

.. [1] A footnote
   of two lines.

.. note:: An admonition [1]_
   with text.

   - and a list

.. seealso::

   A paragraph.

.. function:: f(x)
              g(x)
   :option: none

   What they do.

   .. versionadded:: 3.2

   .. code-block:: python
      :linenos:

      x = 1

        y

   After the code.

.. py:class:: Empty

+-------+--------+
| Head  | Second |
+=======+========+
| one   | *two*  |
| more  |        |
+-------+--------+
| spans          |
+----------------+

======  =======
Simple  Second
======  =======
a       b
        goes on
c       ``d``
======  =======

----

Second
======

Unexpected
   indentation is a definition.

Text
goes on
   with a quote.

term::
   is a term without a blank line.

Short
---

``::`` alone is no paragraph:

::

   literal

Last.
"""


def test_a_book_is_read_as_by_docutils():
    ours = [unit.replace("New in version ", "") for unit in our_units(read(SAMPLE))]
    assert ours == docutils_units(SAMPLE)
    assert len(ours) > 60


PIECES = st.sampled_from(
    [
        *("word", "*em*", "``co de``", ":func:`~a.b`", "`t <http://u>`_", "a_", "2*3", '"*"', "'``'", "\\*"),
        *("e.g.", "[1]_", "|s|", "x::"),
    ]
)
LINES = st.lists(PIECES, min_size=1, max_size=5).map(" ".join)
STARTS = st.sampled_from(["", "", "", "- ", "1. ", "#) ", ":f: ", ".. note:: ", "   ", "| ", ">>> "])
PARTS = st.tuples(st.integers(0, 2), STARTS, st.lists(LINES, min_size=1, max_size=3), st.integers(1, 2))


@settings(max_examples=100, deadline=None)
@given(st.lists(PARTS, max_size=6))
def test_compositions_are_read_as_by_docutils(parts):
    """Blocks of several kinds at any depth."""
    lines = ["Not at the head, where fields are metadata.", ""]
    for depth, start, texts, blank in parts:
        indent = "   " * depth
        lines += [indent + start + texts[0], *(indent + " " * len(start) + text for text in texts[1:])]
        lines += [""] * blank
    text = "\n".join(lines)
    assert our_units(read(text)) == docutils_units(text)


def test_links_and_roles():
    text = (
        "`Text <http://a.b>`_, `named`_, named_, http://bare.org/x. :pep:`8` and :func:`!f` and :file:`~/.rc`\n"
        "and :doc:`guide <https://g.h>` and `a <named_>`__\n\n.. _named: http://n.n\n"
    )
    block = one(text)
    assert block.text == "Text, named, named, http://bare.org/x. PEP 8 and f and ~/.rc and guide and a"
    assert block.links == ("http://a.b", "http://n.n", "http://bare.org/x", "https://g.h")


def test_anchors_are_those_of_sphinx():
    text = (
        ".. _My_label:\n\nLabelled\n========\n\n1. Größe & more\n===============\n\nTwice\n-----\n\nTwice\n-----\n\n"
        ".. module:: m\n\n.. class:: C(a)\n\n   .. method:: f()\n\n   .. attribute:: C.x\n\n"
        ".. c:function:: int g(int a)\n"
    )
    assert [block.anchor for block in read(text).blocks] == [
        *("my-label", "groe-more", "twice", "id1"),
        *("m.C", "m.C.f", "m.C.x", "c.g"),
    ]


def test_definitions_are_headings_that_end():
    text = "T\n=\n\n.. class:: C\n\n   About.\n\n   .. method:: f(a, \\\n                 b)\n\n      Does.\n\nAfter.\n"
    blocks = read(text).blocks
    assert [(block.kind, block.level, block.text) for block in blocks] == [
        ("heading", 1, "T"),
        ("heading", 2, "C"),
        ("paragraph", 0, "About."),
        ("heading", 3, "f(a, b)"),
        ("paragraph", 0, "Does."),
        ("paragraph", 0, "After."),
    ]
    assert blocks[1].until == blocks[3].until == blocks[4].end
    assert text[blocks[3].begin : blocks[3].end].startswith("f(a, \\\n")


def test_fields_at_the_head_are_metadata():
    content = read(":orphan:\n:Author: *A*\n   B\n\nTitle\n=====\n\ntext")
    assert content.metadata == {"orphan": True, "author": "A B"}
    assert content.title == "Title"
    assert len(one(f":abstract: {'long ' * 100}").text) > 500
    content = read("Title\n=====\n\n:version: 2\n\ntext\n\n:field: body\n")
    assert content.metadata == {"version": "2"}
    assert [block.text for block in content.blocks] == ["Title", "text", "field:\nbody"]


def test_tables_of_lists_and_of_commas():
    text = (
        ".. list-table:: Caption\n   :header-rows: 1\n\n   * - a\n     - *b*\n   * - 1\n\n       one\n     - 2\n\n"
        '.. csv-table::\n   :header-rows: 1\n   :file: /etc/passwd\n\n   x, "y, ""z"""\n   1, "2\n   3"\n'
    )
    caption, first, second = read(text).blocks
    assert (caption.kind, caption.text) == ("paragraph", "Caption")
    assert (first.header, [row.text for row in first.rows]) == (1, ["a | b", "1 one | 2"])
    assert (second.header, [row.text for row in second.rows]) == (1, ['x | y, "z"', "1 | 2 3"])
    assert text[first.rows[1].begin : first.rows[1].end] == "* - 1\n\n       one\n     - 2"


def test_code_has_the_language_that_was_told():
    text = (
        ".. highlight:: c\n\nx::\n\n   int a;\n\n.. code-block:: python\n\n   a\n\n.. doctest::\n\n   >>> 1\n\n>>> 2\n"
    )
    assert [(b.language, b.text) for b in read(text).blocks if b.kind == "code"] == [
        ("c", "int a;"),
        ("python", "a"),
        ("pycon", ">>> 1"),
        ("pycon", ">>> 2"),
    ]


def test_versions_are_sentences():
    text = (
        ".. versionchanged:: 3.8\n   Better.\n\n.. deprecated:: 3.2\n\n   Use that.\n\n"
        ".. deprecated-removed:: 3.1 3.9 Gone.\n\n.. availability:: Unix.\n"
    )
    assert [block.text for block in read(text).blocks] == [
        "Changed in version 3.8: Better.",
        "Deprecated since version 3.2",
        "Use that.",
        "Deprecated since version 3.1, removed in version 3.9: Gone.",
        "Availability: Unix.",
    ]


@pytest.mark.parametrize("name", ["include", "literalinclude", "raw", "toctree", "index"])
def test_no_file_is_looked_at_and_nothing_hidden_is_said(name):
    text = f"a\n\n.. {name}:: /etc/passwd\n   :option: x\n\n   hidden\n\nb"
    assert said(text) == [("paragraph", "a"), ("paragraph", "b")]


def test_pictures_say_what_they_show():
    assert said(".. figure:: map.png\n   :alt: A map\n\n   The caption.") == [
        ("paragraph", "A map"),
        ("paragraph", "The caption."),
    ]


@pytest.mark.parametrize("line", ["- ", "   " * 2, ".. note:: ", ":f: "])
def test_nothing_is_lost_however_deep_it_is(line):
    assert "the end" in " ".join(text for _, text in said(line * 3000 + "the end"))
    nested = "\n\n".join("   " * depth + ".. note:: x" for depth in range(300))
    assert sum(text.count("x") for _, text in said(nested)) == 300


def test_many_signs_take_no_longer_than_many_words():
    for piece in ("`a ", "``a ", "**a ", "*a ", "|a ", ":a:", "a.", "[#]_ ", ".. _", "\\", "`a <", "-a, ", "1. ", "| "):
        read(piece * 5_000)
