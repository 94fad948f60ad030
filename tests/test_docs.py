"""The documentation says what the code does, as far as that can be checked without a reader."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from mainspring import spec

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
SPEC_PAGE = ROOT / "docs" / "spec.md"

# The section of docs/spec.md that documents a table of mainspring.toml, and the model that reads it.
SECTIONS: dict[str, tuple[type[BaseModel], ...]] = {
    "`[project]`": (spec.ProjectSpec,),
    "`[models.NAME]` of a table": (spec.ClassificationSpec, spec.RegressionSpec),
    "`[models.NAME]` of a language model": (spec.ChatSpec, spec.CompletionSpec, spec.EmbeddingSpec),
    "`[models.NAME]` of a prompt": (spec.PromptSpec,),
    "`[models.NAME]` of a collection of documents": (spec.RetrievalSpec,),
    "Store": (spec.StoreSpec,),
    "Remote": (spec.RemoteSpec,),
    "Columns": (spec.ColumnSpec,),
    "Gate": (spec.GateSpec,),
    "Monitor": (spec.MonitorSpec,),
    "Renew": (spec.RenewSpec,),
    "`[serving]`": (spec.ServingSpec,),
    "`[log]`": (spec.LogSpec,),
    "`[tracking]`": (spec.TrackingSpec,),
}


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def without_code(page: Path) -> str:
    """A page without its blocks and spans of code, in which nothing is a link or a heading."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`(?!\])", "", text)


def anchors(page: Path) -> set[str]:
    """The anchors that a reader of Markdown makes of a page's headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def documented_keys(section: str) -> set[str]:
    """The keys in the table of `section` whose first heading is "key"."""
    text = SPEC_PAGE.read_text(encoding="utf-8").partition(f"# {section}\n")[2].partition("\n## ")[0]
    table = re.search(r"^\| key .*\n\|[- |]+\n((?:\|.*\n?)+)", text, re.MULTILINE)
    assert table, f"docs/spec.md has no table of keys under {section}"
    return set(re.findall(r"^\| `(\w+)` \|", table[1], re.MULTILINE))


def broken_links(page: Path) -> list[str]:
    """The relative links of `page` that lead nowhere."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_projects_in_the_docs_are_read(page):
    for block in blocks(page, "toml"):
        if "[project]" in block:
            assert spec.parse(block, ROOT).models


@pytest.mark.parametrize("section", SECTIONS)
def test_keys_are_documented_and_nothing_else(section):
    keys = {key for model in SECTIONS[section] for key in model.model_fields}
    assert documented_keys(section) == keys


def test_every_table_of_the_spec_has_a_section():
    tables = {
        spec.ProjectSpec,
        spec.ServingSpec,
        spec.LogSpec,
        spec.TrackingSpec,
        spec.GateSpec,
        spec.MonitorSpec,
        spec.RenewSpec,
        spec.ColumnSpec,
        *spec.TASKS.values(),
        spec.RemoteSpec,
        spec.StoreSpec,
    }
    assert tables == {model for models in SECTIONS.values() for model in models}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page):
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One heading\n[a](gone.md) [b](#one-heading) [c](#other) [d](page.md) [e](https://example.org)\n")
    assert broken_links(page) == ["gone.md", "#other"]
