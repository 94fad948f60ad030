"""A request's body into a struct, and what is wrong with it in OpenAI's words: 400, with the parameter's name."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from mainspring.errors import BrokenJsonError, RequestError
from mainspring.runtimes.strict_json import broken_json, refuse_duplicate_keys, shown
from mainspring.serving.problems import Problem

T = TypeVar("T")

_AT = re.compile(r" - at `\$\.?(.*)`$", re.DOTALL)
_INDEX = re.compile(r"\[\d*\]")
_KINDS = (
    (re.compile(r"Object missing required field `(.*)`", re.DOTALL), "missing_required_parameter", "it is missing"),
    (re.compile(r"Object contains unknown field `(.*)`", re.DOTALL), "unknown_parameter", "there is no such parameter"),
)
_TEXT_ONLY = "this model reads text only: parts are {'type': 'text', 'text': …}"
# Why what OpenAI's API has is refused here, by the parameter's name without places in lists.
_WHY = {
    "audio": "this model gives text only: leave it out",
    "modalities": "this model gives text only: expected ['text']",
    "messages.content.type": _TEXT_ONLY,
    "messages.content.image_url": _TEXT_ONLY,
    "messages.content.input_audio": _TEXT_ONLY,
    "messages.content.file": _TEXT_ONLY,
    "messages.audio": "this model reads text only",
    "messages.role": "expected system, developer, user, assistant or tool",
    "messages.function_call": "the older form of `tool_calls`: send those",
    "functions": "the older form of `tools`: send those",
    "function_call": "the older form of `tool_choice`: send that",
    "tools.type": "expected 'function': other tools are not supported",
    "tools.custom": "custom tools are not supported: expected a function",
    "tool_choice": "expected 'none', 'auto', 'required' or {'type': 'function', 'function': {'name': …}}",
    "tool_choice.type": "expected 'function': other choices are not supported",
    "response_format.type": "expected 'text', 'json_object' or 'json_schema'",
    "logit_bias": "biases are not supported: leave it out",
    "stop": "expected a text, or up to 4 of them",
    "prediction": "predicted outputs are not supported: leave it out",
    "reasoning_effort": "this model does not reason apart from its answer: leave it out",
    "verbosity": "not supported: say in the messages how long the answer is to be",
    "web_search_options": "this model searches nothing: leave it out",
    "moderation": "not supported: leave it out",
    "prompt_cache_options": "prefixes are cached by themselves: leave it out",
    "prompt_cache_retention": "prefixes are cached by themselves: leave it out",
    "service_tier": "there is one tier: expected 'auto' or 'default'",
    "suffix": "insertion is not supported: leave it out",
    "prompt": "expected a text, a list of texts, a list of tokens, or a list of such lists",
    "input": "expected a text, a list of texts, a list of tokens, or a list of such lists",
    "encoding_format": "expected 'float' or 'base64'",
}


def read(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """The body as what `decoder` makes of it.

    Raises:
        Problem: 400, and why.
    """
    try:
        found = decoder.decode(body)
        refuse_duplicate_keys(body)
    except msgspec.ValidationError as error:
        raise _refusal(str(error)) from None
    except RequestError as error:
        raise Problem(400, str(error), error.place) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem.of(_broken(body, error)) from None
    return found


def refuse(param: str, why: str, code: str = "invalid_value") -> Problem:
    """400 for one parameter."""
    return Problem(400, f"{shown(param)}: {why}", param, code=code)


def _broken(body: bytes, error: Exception) -> BrokenJsonError:
    if isinstance(error, RecursionError):
        return BrokenJsonError("the body cannot be read: it is nested too deeply")
    return broken_json(body, error)


def _refusal(said: str) -> Problem:
    """What msgspec says, with the parameter's name taken out of it."""
    place = ""
    if match := _AT.search(said):
        said, place = said[: match.start()], match[1]
    for pattern, code, why in _KINDS:
        if match := pattern.fullmatch(said):
            param = f"{place}.{match[1]}" if place else match[1]
            return refuse(_cut(param), _WHY.get(_INDEX.sub("", param), why), code)
    code = "invalid_type" if ", got `" in said else "invalid_value"
    why = _WHY.get(_INDEX.sub("", place)) or said[:1].lower() + said[1:].replace("`", "")
    return refuse(_cut(place), why, code) if place else Problem(400, why, code=code)


def _cut(param: str) -> str:
    return param if len(param) <= 200 else param[:200] + "…"
