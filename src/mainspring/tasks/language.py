"""A language model as a version: one file of weights, and the fastest way to compute it that is still the same model.

The weights are taken as they are. How they are multiplied is a choice: with 8-bit, 16-bit or 32-bit numbers between the
layers and in the cache of keys and values. Coarser is faster, and changes what the model says. So the ways are tried
from the fastest on, and the first is taken that passes the parity gate (`evaluation.language`): over a fixed set of
texts and chats, its next-token distributions are nearly those of the same weights in 32-bit arithmetic.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mainspring.errors import ParityError
from mainspring.evaluation.language import LanguageParity, compare, parity_texts
from mainspring.registry.versions import Golden
from mainspring.runtimes.language.chat_template import ChatTemplate
from mainspring.runtimes.language.local import LocalEngine, load_local
from mainspring.runtimes.language.protocol import Delta, Generate, Sampling
from mainspring.runtimes.language.scoring import Scorer
from mainspring.runtimes.language.settings import Precision
from mainspring.runtimes.language.tokens import Tokenizer
from mainspring.spec import LanguageSpec
from mainspring.weights import Weights
from mainspring.weights.gguf import read_header

GGUF = "model.gguf"
REMOTE = "remote.json"
FASTEST_FIRST: tuple[Precision, ...] = ("8-bit", "16-bit")  # and 32-bit, which is the reference itself
_MOST_TOKENS = 512  # of a text that parity is measured on
_GOLDEN_PLACE = 8  # the earliest
_GOLDEN_MARGIN = 1.0  # nats between the best and the second best token
_FEWEST_GOLDEN = 3

Say = Callable[[str], None]


@dataclass(frozen=True)
class Built:
    """What a version is made of, beside the files that were written into its folder."""

    candidate: str
    parameters: dict[str, Any]
    metric: str
    metrics: dict[str, dict[str, Any]]
    parity: dict[str, Any]
    evidence: str
    golden: Golden
    report: dict[str, Any]


@dataclass(frozen=True)
class Rung:
    """A precision that was tried."""

    precision: Precision
    parity: LanguageParity


def build_generator(spec: LanguageSpec, weights: Weights, staged: Path, *, say: Say) -> Built:
    """Put the weights into `staged` as one GGUF file, choose the precision, and make golden examples.

    Raises:
        WeightsError: they cannot be read, or are of an architecture that cannot be converted.
        RuntimeLoadError: no engine can load them.
    """
    gguf = staged / GGUF
    _put(weights, gguf, say)
    header = read_header(gguf)
    tokenizer = Tokenizer.from_header(header)
    texts = texts_for(tokenizer, ChatTemplate.from_header(header))
    with Scorer(gguf) as scorer:
        reference = list(scorer.logprobs(texts, "32-bit"))
        rungs = [] if spec.precision == "reference" else _climb(scorer, texts, reference, say)
    precision: Precision = rungs[-1].precision if rungs and rungs[-1].parity.passed else "32-bit"
    properties: dict[str, Any] = {"precision": precision}
    engine = load_local(gguf, engine=spec.engine, properties=properties)
    golden = asyncio.run(_golden(engine, tokenizer, texts, reference))
    info = engine.info
    chosen = rungs[-1].parity if rungs and precision == rungs[-1].precision else compare(texts, reference, reference)
    kinds = "/".join(sorted({tensor.type for tensor in header.tensors if len(tensor.shape) > 1}))
    return Built(
        candidate=f"{info.engine}, {kinds} weights, {precision} arithmetic",
        parameters={"engine": info.engine, "properties": properties, "why": info.why, "weights": weights.name},
        metric="agreement",
        metrics={
            name: asdict(getattr(chosen, name))
            for name in ("agreement", "mean_divergence", "tail_divergence", "perplexity_ratio")
        },
        parity={"precision": precision, **chosen.as_dict()},
        evidence=_evidence(rungs, precision),
        golden=golden,
        report={"weights": asdict(weights) | {"path": None}, "rungs": [_told(rung) for rung in rungs]},
    )


def texts_for(tokenizer: Tokenizer, template: ChatTemplate | None) -> list[list[int]]:
    """The tokens of the texts that parity is measured on; of the chats as well, if the model has a template."""
    known = parity_texts()
    texts = [tokenizer.encode(text) for text in known.texts]
    if template is not None:
        chats = [template.render([dict(turn) for turn in chat], add_generation_prompt=False) for chat in known.chats]
        texts += [tokenizer.encode(chat, special=True) for chat in chats]
    begin = [tokenizer.bos_id] if tokenizer.adds_bos and tokenizer.bos_id is not None else []
    return [[*begin, *text][:_MOST_TOKENS] for text in texts]


def _put(weights: Weights, gguf: Path, say: Say) -> None:
    """As a link where that can be: the files of the cache are replaced, and never changed."""
    if weights.kind == "huggingface":
        from mainspring.weights.to_gguf import convert

        say(f"writing {weights.name} as one GGUF file")
        convert(weights.path, gguf)
        return
    try:
        os.link(weights.path.resolve(), gguf)
    except OSError:
        shutil.copyfile(weights.path, gguf)


def _climb(scorer: Scorer, texts: list[list[int]], reference: list[Any], say: Say) -> list[Rung]:
    """Try precisions, the fastest first, until one passes."""
    rungs = []
    for precision in FASTEST_FIRST:
        say(f"proving that {precision} arithmetic says the same")
        parity = compare(texts, reference, scorer.logprobs(texts, precision))
        rungs.append(Rung(precision, parity))
        say(f"  {_in_words(rungs[-1])}")
        if parity.passed:
            break
    return rungs


def _in_words(rung: Rung) -> str:
    found = rung.parity
    figures = f"KL {found.mean_divergence.value:.4f}, top-1 agreement {found.agreement.value:.1%}"
    return f"{rung.precision}: {figures}: {'passed' if found.passed else '; '.join(found.failures)}"


def _evidence(rungs: list[Rung], precision: Precision) -> str:
    tried = "; ".join(_in_words(rung) for rung in rungs)
    return f"served in {precision} arithmetic" + (f" ({tried})" if tried else "")


def _told(rung: Rung) -> dict[str, Any]:
    return {"precision": rung.precision, **rung.parity.as_dict()}


async def _golden(engine: LocalEngine, tokenizer: Tokenizer, texts: list[list[int]], reference: list[Any]) -> Golden:
    """Beginnings of the texts, cut where the model is sure of what follows: no rounding may decide a golden example.

    Raises:
        ParityError: the engine continues them otherwise than the reference does.
    """
    records, answers = [], []
    try:
        for text, logprobs in zip(texts, reference, strict=True):
            place = _sure(logprobs, tokenizer)
            if place is None:
                continue
            prompt, expected = text[: place + 1], tokenizer.decode([int(logprobs[place].argmax())])
            if (answer := await _continued(engine, prompt)) != expected:
                raise ParityError(
                    f"the engine continues {tokenizer.decode(prompt)[-60:]!r} with {answer!r}, the same weights in "
                    f"32-bit arithmetic with {expected!r}"
                )
            records.append({"prompt": prompt})
            answers.append({"text": answer, "tokens": 1})
    finally:
        await engine.close()
    if len(records) < _FEWEST_GOLDEN:
        raise ParityError(
            f"the model is sure of a next word in {len(records)} of {len(texts)} texts, and {_FEWEST_GOLDEN} are the "
            "least: are these the weights of a language model?"
        )
    return Golden(records, answers, tolerance=0.0)


def _sure(logprobs: np.ndarray, tokenizer: Tokenizer) -> int | None:
    """The place in a text at which the best token is farthest ahead of the second best, and is a piece of text."""
    best = np.partition(logprobs, -2, axis=-1)[:, -2:]
    margins = best[:, 1] - best[:, 0]
    for place in np.argsort(-margins)[:20].tolist():
        expected = int(logprobs[place].argmax())
        is_text = expected not in tokenizer.end_ids and "\ufffd" not in tokenizer.decode([expected])
        if margins[place] >= _GOLDEN_MARGIN and place >= _GOLDEN_PLACE and is_text:
            return int(place)
    return None


async def _continued(engine: LocalEngine, prompt: list[int]) -> str:
    sampling = Sampling(temperature=0.0, max_tokens=1)
    parts = [part async for part in engine.generate(Generate(prompt=prompt, sampling=sampling))]
    return "".join(part.text for part in parts if isinstance(part, Delta))


def build_remote(spec: LanguageSpec, staged: Path) -> Built:
    """Write down where the endpoint is. Nothing can be proven of what is somebody else's."""
    assert spec.remote is not None
    told = {
        "url": spec.remote.url,
        "model": spec.remote.model,
        "key_environment": spec.remote.key,
        "timeout": spec.remote.timeout,
        "context": spec.remote.context,
    }
    (staged / REMOTE).write_bytes(msgspec.json.format(msgspec.json.encode(told)))
    return Built(
        candidate=f"{spec.remote.model} at {spec.remote.url}",
        parameters={"engine": "remote", "properties": {}},
        metric="agreement",
        metrics={},
        parity={},
        evidence=f"{spec.remote.url} is asked; what it answers is its own",
        golden=Golden([], [], 0.0),
        report={"remote": told},
    )
