r"""A prompt as a Markdown file, there and back.

    +++
    strategy = "few-shot"
    answer = ["yes", "no"]

    [sampling]
    max_tokens = 8
    +++
    # system
    You decide whether a review is good.

    # user
    Review: {{review}}

    # examples
    {"review": "Broke after a day.", "answer": "no"}
    {"review": "My third pair, and I love them.", "answer": "yes"}

The front matter is TOML, not YAML: the project's file is TOML too, its parser is in the standard library and gives
each mistake its line, and `no` stays a word.

A line that is `# ` and one word begins a section: `system`, `user` and `assistant` are the conversation, in order;
`examples` has one JSON object a line (or the front matter names a file of them: `examples = "reviews.jsonl"`);
`output` has the JSON schema of the answer. Either may stand in a fence. A line of a text that looks like such a heading
is written with a backslash before it.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError

from mainspring.errors import SpecError
from mainspring.prompts.prompt import RESERVED, Example, Limits, Prompt, SamplingSpec, Turn, told
from mainspring.prompts.reading import Choice, Json, LastLine, Number, Reading, Text
from mainspring.prompts.strategies import STRATEGIES
from mainspring.prompts.strategy import Strategy
from mainspring.prompts.toml_text import table
from mainspring.spec.mistakes import choices, explain
from mainspring.spec.toml_lines import Key, line_numbers
from mainspring.spec.values import Strict

_FENCE = "+++"
_HEADING = re.compile(r"# (\S+)\s*")
_LIKE_A_HEADING = re.compile(r"\\+# \S+\s*")
_TURNS = ("system", "user", "assistant")
_SECTIONS = (*_TURNS, "examples", "output")
_READINGS: dict[str, Reading] = {"text": Text(), "last-line": LastLine(), "number": Number()}
_MOST_BYTES = 64 * 1000**2


@dataclass(frozen=True)
class _Section:
    name: str
    text: str
    line: int  # of the first line of the text


def _answer(value: object) -> object:
    if isinstance(value, str) and value in _READINGS:
        return _READINGS[value]
    if isinstance(value, list) and all(isinstance(option, str) for option in value):
        return Choice(tuple(value))
    raise ValueError(f"one of {', '.join(map(repr, _READINGS))}, or a list of the options")


class _FrontMatter(Strict):
    strategy: Any = "direct"
    answer: Annotated[Any, BeforeValidator(_answer)] = None
    examples: str | None = None
    sampling: SamplingSpec = SamplingSpec()
    limits: Limits = Limits()


def load(path: Path | str) -> Prompt:
    """Read a prompt's file, and the file of examples that it names.

    Raises:
        SpecError: with one line for each mistake.
    """
    path = Path(path)
    return parse(_read(path), source=path.name, folder=path.parent)


def parse(text: str, *, source: str = "the prompt", folder: Path | None = None) -> Prompt:
    """The prompt that `text` is; `source` names it in messages, `folder` is where its file of examples is.

    Raises:
        SpecError: with one line for each mistake.
    """
    front, body, first = _split(text.replace("\r\n", "\n"), source)
    settings, strategy = _front_matter(front, source)
    sections = _sections(body, first, source)
    turns = tuple(Turn(section.name, section.text, section.line) for section in sections if section.name in _TURNS)  # type: ignore[arg-type]
    once = {name: [section for section in sections if section.name == name] for name in ("examples", "output")}
    for name, found in once.items():
        if len(found) > 1:
            raise SpecError(told(source, found[1].line - 1, f"`# {name}` stands here for the second time"))

    examples: tuple[Example, ...] = ()
    if once["examples"]:
        examples = _examples(once["examples"][0], source)
    if settings.examples is not None:
        if once["examples"]:
            raise SpecError(told(source, once["examples"][0].line - 1, "examples stand here and in a file: choose one"))
        path = (folder or Path()) / settings.examples
        found_there = _examples(_Section("examples", _read(path), 1), path.name)
        examples = tuple(replace(example, line=None) for example in found_there)
    reading = settings.answer or Text()
    if once["output"]:
        if settings.answer:
            raise SpecError(told(source, once["output"][0].line - 1, "`# output` and `answer`: choose one"))
        reading = Json(_output(once["output"][0], source))
    return Prompt(turns, strategy, examples, reading, settings.sampling, settings.limits, source)


def dumps(prompt: Prompt) -> str:
    """The file of `prompt`, examples and all: `parse` gives the same prompt again."""
    parts = [_front_text(prompt)]
    parts += [f"# {turn.role}\n{_with_backslashes(turn.text)}\n" for turn in prompt.turns]
    if prompt.examples:
        parts.append("# examples\n```jsonl\n" + "".join(map(_example_text, prompt.examples)) + "```\n")
    if isinstance(prompt.reading, Json):
        schema = json.dumps(prompt.reading.schema, ensure_ascii=False, indent=2, allow_nan=False)
        parts.append(f"# output\n```json\n{schema}\n```\n")
    return "\n".join(part for part in parts if part)


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise SpecError(f"{path} has {path.stat().st_size:,} bytes; at most {_MOST_BYTES:,} are read")
        return path.read_bytes().decode("utf-8-sig")  # some editors begin a file with a mark
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} cannot be read: {error}") from None


def _split(text: str, source: str) -> tuple[str, str, int]:
    """Front matter, body, and the number of the body's first line."""
    lines = text.split("\n")
    if lines[0].rstrip() == "---":
        raise SpecError(told(source, 1, f"front matter is TOML here: between lines {_FENCE!r}, with `key = value`"))
    if lines[0].rstrip() != _FENCE:
        return "", text, 1
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), None)
    if end is None:
        raise SpecError(told(source, 1, f"the front matter has no end: expected a second line {_FENCE!r}"))
    # An empty line instead of the fence, so that lines are counted as in the file.
    return "\n" + "\n".join(lines[1:end]), "\n".join(lines[end + 1 :]), end + 2


def _front_matter(text: str, source: str) -> tuple[_FrontMatter, Strategy]:
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{source}: the front matter is not valid TOML: {error}") from None
    mistakes: list[tuple[Key, str]] = []
    settings = strategy = None
    try:
        settings = _FrontMatter.model_validate(raw)
    except ValidationError as error:
        mistakes += explain(error, _FrontMatter, ())
    try:
        strategy = _strategy(raw.get("strategy", "direct"), mistakes)
    except ValidationError as error:
        mistakes += explain(error, STRATEGIES[raw["strategy"]["name"]], ("strategy",))
    if mistakes or settings is None or strategy is None:
        lines = line_numbers(text)
        placed = [(_line(key, lines), ".".join(key), problem) for key, problem in mistakes]
        raise SpecError("\n".join(told(source, line, f"{key}: {problem}") for line, key, problem in sorted(placed)))
    return settings, strategy


def _strategy(written: Any, mistakes: list[tuple[Key, str]]) -> Strategy | None:
    """The strategy that is `written`, a name or a table with a name; ValidationError for its parameters."""
    named = {"name": written} if isinstance(written, str) else written
    if not isinstance(named, dict) or not isinstance(named.get("name"), str):
        mistakes.append((("strategy",), f"expected a name, or a table with the key 'name'; found {written!r}"))
    elif named["name"] not in STRATEGIES:
        problem = f"{named['name']!r} is not a strategy{choices(named['name'], STRATEGIES)}"
        mistakes.append((("strategy",), problem))
    else:
        parameters = {key: value for key, value in named.items() if key != "name"}
        return STRATEGIES[named["name"]].model_validate(parameters)
    return None


def _line(key: Key, lines: dict[Key, int]) -> int:
    """Of the key, or of the nearest table around it that is written."""
    return next(lines[key[:end]] for end in range(len(key), 0, -1) if key[:end] in lines)


def _sections(body: str, first: int, source: str) -> list[_Section]:
    sections: list[_Section] = []
    name, start, kept = "", first, list[str]()

    def close() -> None:
        text = "\n".join(kept)
        leading = len(text) - len(text.lstrip())
        if name:
            sections.append(_Section(name, text.strip(), start + text.count("\n", 0, leading)))
        elif text.strip():
            raise SpecError(told(source, first, "text before the first section: expected `# system` or `# user`"))

    for number, line in enumerate(body.split("\n"), first):
        if match := _HEADING.fullmatch(line):
            close()
            name, start, kept = match[1], number + 1, []
            if name not in _SECTIONS:
                problem = f"{name!r} is not a section{choices(name, _SECTIONS)}; as text, write \\{line.rstrip()}"
                raise SpecError(told(source, number, problem))
        else:
            kept.append(line[1:] if _LIKE_A_HEADING.fullmatch(line) else line)
    close()
    return sections


def _with_backslashes(text: str) -> str:
    """`text` without a line that would be read as a heading, or as one that has a backslash already."""
    lines = text.split("\n")
    return "\n".join(
        f"\\{line}" if _HEADING.fullmatch(line) or _LIKE_A_HEADING.fullmatch(line) else line for line in lines
    )


def _without_fence(section: _Section) -> _Section:
    lines = section.text.split("\n")
    if len(lines) > 1 and lines[0].startswith("```") and lines[-1].strip() == "```":
        return _Section(section.name, "\n".join(lines[1:-1]), section.line + 1)
    return section


def _examples(section: _Section, source: str) -> tuple[Example, ...]:
    section = _without_fence(section)
    examples = []
    for number, line in enumerate(section.text.split("\n"), section.line):
        if not line.strip():
            continue
        record = _json(line, number, source, "examples")
        if not isinstance(record, dict) or "answer" not in record:
            problem = f"examples: expected an object with the prompt's variables and 'answer'; found {line[:80]!r}"
            raise SpecError(told(source, number, problem))
        reasoning = record.get("reasoning")
        if reasoning is not None and not isinstance(reasoning, str):
            raise SpecError(told(source, number, f"examples: reasoning: expected text; found {reasoning!r}"))
        values = {key: value for key, value in record.items() if key not in RESERVED}
        examples.append(Example(values, record["answer"], reasoning, number))
    return tuple(examples)


def _example_text(example: Example) -> str:
    record = {**example.values, "answer": example.answer}
    if example.reasoning is not None:
        record["reasoning"] = example.reasoning
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def _output(section: _Section, source: str) -> dict[str, Any]:
    section = _without_fence(section)
    schema = _json(section.text, section.line, source, "output")
    if not isinstance(schema, dict):
        raise SpecError(told(source, section.line, f"output: expected a JSON schema; found {section.text[:80]!r}"))
    return schema


def _json(text: str, line: int, source: str, key: str) -> Any:
    def no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("an object has a key twice")
        return found

    def no_constant(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(text, object_pairs_hook=no_key_twice, parse_constant=no_constant)
    except json.JSONDecodeError as error:
        raise SpecError(
            told(source, line + error.lineno - 1, f"{key}: not valid JSON: {error.msg} (column {error.colno})")
        ) from None
    except (ValueError, RecursionError) as error:
        raise SpecError(told(source, line, f"{key}: not valid JSON: {error}")) from None


def _front_text(prompt: Prompt) -> str:
    """The front matter: only what is not as it would be without."""
    parameters = prompt.strategy.model_dump(exclude_defaults=True)
    top: dict[str, Any] = {}
    if not parameters and prompt.strategy.name != "direct":
        top["strategy"] = prompt.strategy.name
    if isinstance(prompt.reading, Choice):
        top["answer"] = prompt.reading.options
    elif prompt.reading != Text() and not isinstance(prompt.reading, Json):
        top["answer"] = next(name for name, reading in _READINGS.items() if reading == prompt.reading)
    tables = {
        "strategy": {"name": prompt.strategy.name, **parameters} if parameters else {},
        "sampling": prompt.sampling.model_dump(exclude_defaults=True),
        "limits": prompt.limits.model_dump(exclude_defaults=True),
    }
    parts = [table(top)] if top else []
    parts += [f"[{name}]\n{table(values)}" for name, values in tables.items() if values]
    return f"{_FENCE}\n" + "\n".join(parts) + f"{_FENCE}\n" if parts else ""
