from __future__ import annotations

import time

from mainspring.data.documents.html import read


def said(text: str) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in read(text).blocks]


HEAD = """<!DOCTYPE html><html lang="de"><head><title>Fares &mdash; the site</title>
<meta name="author" content="A. B."><meta property="article:published_time" content="2024-01-02">
<meta name="viewport" content="no"><style>p { x: "no" }</style><script>var no = "<p>no</p>"</script></head>"""


def test_the_head_is_metadata():
    content = read(f"{HEAD}<body><h1>Fares</h1>text</body></html>")
    assert content.title == "Fares"  # which the head has, with the site's name
    assert content.metadata == {"language": "de", "author": "A. B.", "date": "2024-01-02"}
    assert [block.text for block in content.blocks] == ["Fares", "text"]
    assert read(f"{HEAD}<h1>Other</h1>").title == "Fares — the site"


def test_blocks_end_where_html_lets_them_end():
    text = "<p>one<p>two<br>lines<ul><li>a<li>b<ul><li>c</ul>more</ul><dl><dt>T<dd>def</dl><h2>H<p>after"
    assert [(block.kind, block.level, block.text) for block in read(text).blocks] == [
        ("paragraph", 0, "one"),
        ("paragraph", 0, "two\nlines"),
        ("item", 1, "a"),
        ("item", 1, "b"),
        ("item", 2, "c"),
        ("paragraph", 0, "more"),
        ("item", 1, "T\ndef"),
        ("heading", 2, "H"),
        ("paragraph", 0, "after"),
    ]


def test_places_are_those_of_the_source_with_entities_and_comments():
    text = "<p>\n caf&eacute; &#65;&amp;B <!-- x > y --><b title='>'>bold</b>\n</p>"
    [block] = read(text).blocks
    assert block.text == "café A&B bold"
    assert text[block.begin : block.end] == "caf&eacute; &#65;&amp;B <!-- x > y --><b title='>'>bold"


def test_anchors_of_headings_are_ids_on_them_in_them_or_just_before():
    text = (
        '<h2 id="a">A</h2><h2><a name="b"></a>B</h2><section id="c"><h2>C<a class="headerlink" href="#c">¶</a></h2>'
        '<p id="p">text<h2>D</h2>'
    )
    assert [(b.text, b.anchor) for b in read(text).blocks if b.kind == "heading"] == [
        ("A", "a"),
        ("B", "b"),
        ("C", "c"),
        ("D", None),
    ]


def test_navigation_and_what_is_no_text_are_left_out():
    text = (
        "<nav><nav>no</nav>no</nav><div role=navigation><div>no</div>no</div><svg><text>no</text></svg><template>no"
        "</template><select><option>no</select><script src=x />a<noscript>no</noscript><p>b</p></nav>c"
    )
    assert said(text) == [("paragraph", "a"), ("paragraph", "b"), ("paragraph", "c")]


def test_code_keeps_its_lines_and_its_language():
    [block] = read('<div class="highlight-py notranslate"><pre><span>a</span> &lt; 1\n\n  b\r\n</pre></div>').blocks
    assert (block.kind, block.language, block.text) == ("code", "py", "a < 1\n\n  b")
    blocks = read('<pre><code class="language-c++">x</code></pre><pre>y</pre>').blocks
    assert [block.language for block in blocks] == ["c++", ""]


def test_tables_have_rows_a_header_and_links():
    text = (
        "<table><caption>Cap</caption><thead><tr><td>a<td>b</thead><tbody><tr><td>1 <p>one</p><td><a href=u>2</a>"
        "<tr><td><td><tr><td>3<td></table>after"
    )
    caption, table, after = read(text).blocks
    assert (caption.text, after.text) == ("Cap", "after")
    assert (table.header, table.links) == (1, ("u",))
    assert [row.text for row in table.rows] == ["a | b", "1 one | 2", "3 | "]
    assert text[table.begin : table.end].startswith("a<td>b")
    assert [read(f"<table><tr><{tag}>a<tr><td>b</table>").blocks[0].header for tag in ("th", "td")] == [1, 0]


def test_tables_for_the_layout_are_text():
    text = "<table><tr><td><h2>Head</h2>one<td><table><tr><td>two</table></table>"
    assert said(text) == [("heading", "Head"), ("paragraph", "one"), ("table", "two")]


def test_links_and_pictures():
    [block] = read('<p><a href="http://x.y">x</a> <a href="#top">top</a> <img alt="a map" src=m.png></p>').blocks
    assert (block.text, block.links) == ("x top a map", ("http://x.y",))


def test_definitions_are_headings_that_end():
    text = (
        '<h1>M</h1><dl class="py class"><dt class="sig sig-object" id="m.C"><em>class</em> C<a class="headerlink">¶</a>'
        '</dt><dd><p>about</p><dl><dt class="sig" id="m.C.f">f()</dt><dd>f</dd></dl>more</dd></dl><p>after'
    )
    found = read(text).blocks
    assert [(b.kind, b.level, b.anchor, b.text) for b in found] == [
        ("heading", 1, None, "M"),
        ("heading", 2, "m.C", "class C"),
        ("paragraph", 0, None, "about"),
        ("heading", 3, "m.C.f", "f()"),
        ("paragraph", 0, None, "f"),
        ("paragraph", 0, None, "more"),
        ("paragraph", 0, None, "after"),
    ]
    assert (found[1].until, found[3].until) == (found[5].end, found[4].end)


def test_what_is_not_closed_takes_no_longer_than_what_is():
    begin = time.process_time()
    for piece in ("<!--", "<a ", "<a b='<![CDATA[", "<ul><li>", "<table><tr><td>", "<h1>a"):
        read(piece * 10_000)
    assert time.process_time() - begin < 8  # in the square of their number, they are minutes
