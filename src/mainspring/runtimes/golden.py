"""Golden examples: a version answers them as it did when it was made, or it does not go live."""

from __future__ import annotations

from typing import Any

from mainspring.errors import RequestError, RuntimeLoadError
from mainspring.runtimes.onnx import OnnxRuntime
from mainspring.runtimes.records import RecordCodec


def check(runtime: OnnxRuntime, codec: RecordCodec, records: list[Any], answers: list[Any], tolerance: float) -> None:
    """Ask `records`, and compare with `answers`.

    Raises:
        RuntimeLoadError: naming the first example that is answered otherwise, with both answers.
    """
    try:
        columns, _ = codec.convert(records)
    except RequestError as error:
        raise RuntimeLoadError(f"a golden example does not fit the schema: {error.place}: {error}") from None
    if len(records) != len(answers):
        raise RuntimeLoadError(f"there are {len(records)} golden examples, but {len(answers)} answers")
    try:
        given = codec.outputs(runtime.predict(columns))
    except KeyError as error:
        raise RuntimeLoadError(f"the graph answers {error}, which is no label of the schema") from None
    for row, (found, expected) in enumerate(zip(given, answers, strict=True)):
        if not _same(found, expected, tolerance):
            raise RuntimeLoadError(f"golden example {row} is answered {found}; when it was made it was {expected}")


def _same(found: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(_same(found[k], expected[k], tolerance) for k in expected)
    if isinstance(expected, float) or (isinstance(expected, int) and isinstance(found, float)):
        return abs(found - expected) <= tolerance * max(1.0, abs(expected))
    return found == expected
