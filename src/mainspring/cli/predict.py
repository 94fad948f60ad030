"""`mainspring predict`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from mainspring import spec
from mainspring.cli.options import json_option, print_json, project_option
from mainspring.errors import RequestError, SpecError, require
from mainspring.schema import Columns, Schema, label_text

if TYPE_CHECKING:
    from mainspring.runtimes.records import RecordCodec

_MOST_TOKENS = 512  # of an answer


@click.command()
@click.argument("model")
@click.argument("input_", metavar="INPUT")
@click.option("--version", help="Which version.  [default: the champion]")
@project_option
@json_option
def predict(model: str, input_: str, version: str | None, folder: Path, as_json: bool) -> None:
    """Ask MODEL about INPUT: a JSON record or list of records, a file of them, a table (CSV, Parquet, …), or - for
    standard input. A language model is asked a text, or messages as JSON.

    Example: mainspring predict delay '{"carrier": "UA", "distance": 1400, …}'
    """
    project = spec.load(folder)
    project.model(model)
    if model in project.prompts:
        _ask_prompt_program(folder, model, version, input_, as_json)
        return
    if model in project.languages:
        _ask_language_model(folder, model, version, input_, as_json)
        return
    if model in project.retrievals:
        raise SpecError(f"{model} is a collection of documents: `mainspring search {model} QUESTION`, or `ask`")
    require("onnxruntime", "serve")
    from mainspring.registry import desired, versions
    from mainspring.runtimes.onnx import FILE_NAME, OnnxRuntime
    from mainspring.runtimes.records import RecordCodec

    chosen = version or desired.read(project.state).champion(model)
    if chosen is None:
        raise versions.no_champion(project.state, model)
    found = versions.load(project.state, model, chosen)
    found.verify()
    schema = found.manifest.schema
    codec = RecordCodec(schema)
    columns = _columns(input_, codec, schema)
    outputs = OnnxRuntime(found.file(FILE_NAME), schema, threads=0).predict_in_chunks(columns)
    answers = codec.outputs(outputs)
    if as_json:
        print_json({"model": model, "version": chosen, "predictions": answers})
    else:
        _print(answers)


def _columns(given: str, codec: RecordCodec, schema: Schema) -> Columns:
    """The records that are given, as JSON or by the path of a file."""
    path = Path(given) if not given.lstrip().startswith(("{", "[")) else None
    try:
        if path is None or given == "-" or path.suffix == ".json":
            return codec.decode(_bytes(given, path))[0]
        return _table(path, schema)
    except RequestError as error:
        raise click.ClickException(f"{error.place}: {error}") from None


def _ask_language_model(folder: Path, model: str, version: str | None, given: str, as_json: bool) -> None:
    """Print the answer, greedy so that it is the same again; or, of a model that embeds, the vector."""
    from mainspring.use import OpenProject

    text = sys.stdin.read() if given == "-" else given
    with OpenProject(folder).model(model, version) as asked:
        manifest = asked.version.manifest
        if manifest.task == "embedding":
            print_json({"model": model, "version": manifest.version, "vector": asked.embed([text])[0].tolist()})
            return
        question = msgspec.json.decode(text, type=list[dict[str, Any]]) if text.lstrip().startswith("[{") else text
        answer = asked.generate(question, temperature=0.0, max_tokens=_MOST_TOKENS)
    if as_json:
        print_json({"model": model, "version": manifest.version, "answer": answer})
    else:
        click.echo(answer)


def _ask_prompt_program(folder: Path, model: str, version: str | None, given: str, as_json: bool) -> None:
    """Print the answers to records, and what they cost."""
    from mainspring.prompts.records import values_of
    from mainspring.prompts.template import as_text
    from mainspring.runtimes.records import RecordCodec
    from mainspring.use import OpenProject

    with OpenProject(folder).prompt(model, version) as program:
        schema = program.version.manifest.schema
        columns = _columns(given, RecordCodec(schema), schema)
        answers = program.answer(values_of(columns, schema))
    if as_json:
        told = [
            {"answer": one.value, "tokens": one.cost.tokens, "calls": one.cost.calls, "stopped": one.stopped}
            for one in answers
        ]
        print_json({"model": model, "version": program.version.name, "predictions": told})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("answer")
    for heading in ("tokens", "calls"):
        table.add_column(heading, justify="right")
    for one in answers:
        answer = one.stopped or "–" if one.value is None else as_text(one.value)
        table.add_row(answer, str(one.cost.tokens), str(one.cost.calls))
    Console(highlight=False, markup=False).print(table)


def _bytes(given: str, path: Path | None) -> bytes:
    if path is None:
        return given.encode()
    if given == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}") from None


def _table(path: Path, schema: Schema) -> Columns:
    require("pyarrow", "tabular")
    from mainspring.data.conform import conform
    from mainspring.data.readers import read_files

    return conform(read_files([path], {column.name: column.kind for column in schema.features}), schema.features)


def _print(answers: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    if "value" in answers[0]:
        table.add_column("value", justify="right")
        for answer in answers:
            table.add_row(f"{answer['value']:.6g}")
    else:
        table.add_column("label")
        for label in answers[0]["probabilities"]:
            table.add_column(f"p({label})", justify="right")
        for answer in answers:
            table.add_row(label_text(answer["label"]), *(f"{p:.4f}" for p in answer["probabilities"].values()))
    Console(highlight=False, markup=False).print(table)
