"""How right an answer is: 0 to 1 for each question, so that two prompts are compared question by question.

`exact_match` and `token_f1` are those of SQuAD (Rajpurkar et al., 2016): case, punctuation and the English articles do
not count. An answer that could not be read (None) is worth 0.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeAlias

from mainspring.errors import SpecError
from mainspring.spec.mistakes import choices

Metric: TypeAlias = Callable[[Any, Any], float]  # (what was read, what is right) → 0 to 1

_TOLERANCE = 1e-6  # relative


def exact_match(value: Any, expected: Any) -> float:
    """Whether both are the same text, as SQuAD compares texts; objects and lists are compared as JSON."""
    if isinstance(expected, dict | list):
        return json_equal(value, expected)
    return float(value is not None and _normalised(str(value)) == _normalised(str(expected)))


def choice_accuracy(value: Any, expected: Any) -> float:
    """Whether it is the right option, as it is written."""
    return float(value == expected)


def token_f1(value: Any, expected: Any) -> float:
    """The harmonic mean of precision and recall over words."""
    if value is None:
        return 0.0
    found, right = _normalised(str(value)).split(), _normalised(str(expected)).split()
    if not found or not right:
        return float(found == right)
    return 2 * (Counter(found) & Counter(right)).total() / (len(found) + len(right))


def json_equal(value: Any, expected: Any) -> float:
    """Whether both are the same JSON; the order of an object's keys does not count, and 1 is 1.0 but not true."""
    return float(value is not None and _same_json(value, expected))


def numeric(value: Any, expected: Any) -> float:
    """Whether both are the same number, to a millionth of it."""
    return float(_is_number(value) and math.isclose(value, expected, rel_tol=_TOLERANCE, abs_tol=1e-12))


METRICS: dict[str, Metric] = {
    metric.__name__: metric for metric in (exact_match, choice_accuracy, token_f1, json_equal, numeric)
}


def metric_named(name: str) -> Metric:
    """The metric called `name`; SpecError, with the names there are, if there is none."""
    if name in METRICS:
        return METRICS[name]
    raise SpecError(f"{name!r} is not a metric of answers{choices(name, METRICS)}")


def _normalised(text: str) -> str:
    bare = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same_json(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same_json(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same_json, one, other))
    if _is_number(one) and _is_number(other):
        return bool(one == other)
    return type(one) is type(other) and bool(one == other)
