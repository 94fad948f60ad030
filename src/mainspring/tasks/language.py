"""A language model as a version: one file of weights, and the fastest way to compute it that is still the same model.

Two roundings are chosen. The weights stay as they came, or are written again in a wider type, should the engine not
compute theirs faithfully. And what is between the layers and in the cache of keys and values has 8, 16 or 32 bits.
Coarser is faster, and changes what the model says. So the ways are tried from the fastest on, and the first is taken
that passes the parity gate (`evaluation.language`): over a fixed set of texts and
chats, its next-token distributions are nearly those of the weights themselves in 32-bit arithmetic.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mainspring.errors import ParityError, RuntimeLoadError
from mainspring.evaluation.language import LIMITS, LanguageParity, compare, parity_texts
from mainspring.registry.versions import Golden
from mainspring.runtimes.language.chat_template import ChatTemplate
from mainspring.runtimes.language.local import LocalEngine, load_local
from mainspring.runtimes.language.openvino_graph import write_graph
from mainspring.runtimes.language.protocol import Delta, Engine, Generate, Sampling
from mainspring.runtimes.language.scoring import Scorer
from mainspring.runtimes.language.settings import Precision
from mainspring.runtimes.language.tokens import Tokenizer
from mainspring.spec import LanguageSpec
from mainspring.tasks.built import Built, Say
from mainspring.weights import Weights
from mainspring.weights.gguf import Header, read_header
from mainspring.weights.gguf_weights import WeightType, requantize

GGUF = "model.gguf"
REMOTE = "remote.json"
_EXACT: WeightType = "F16"  # holds what any quantised type stands for, to a two-thousandth
_MOST_TOKENS = 512  # of a text that parity is measured on
_GOLDEN_PLACE = 8  # the earliest
_GOLDEN_MARGIN = 1.0  # nats between the best and the second best token
_GOLDEN_LOGPROB = -0.3  # of a token that is three quarters sure
_FEWEST_GOLDEN = 3


@dataclass(frozen=True)
class Way:
    """A way to compute: the weights as they came (None) or in another type, and the arithmetic."""

    weights: WeightType | None
    precision: Precision

    def __str__(self) -> str:
        return f"{self.weights or 'its own'} weights, {self.precision} arithmetic"


# The speed of an answer is that of reading the weights: fewer bytes first, then coarser arithmetic.
FASTEST_FIRST = (
    Way(None, "8-bit"),
    Way(None, "16-bit"),
    Way("Q8_0", "8-bit"),
    Way("Q8_0", "16-bit"),
    Way("F16", "16-bit"),
)
REFERENCE = Way("F16", "32-bit")


@dataclass(frozen=True)
class Rung:
    """A way that was tried."""

    way: Way
    parity: LanguageParity


def build_generator(spec: LanguageSpec, weights: Weights, staged: Path, *, say: Say) -> Built:
    """Choose the way to compute, put the weights into `staged` as one GGUF file, and make golden examples.

    Raises:
        WeightsError: they cannot be read, or are of an architecture that cannot be converted.
        RuntimeLoadError: no engine can load them.
        ParityError: the engine does not say what the weights say.
    """
    with tempfile.TemporaryDirectory(prefix="mainspring-weights-") as work:
        files = _Files(_as_gguf(weights, Path(work), say), Path(work))
        header = read_header(files.own)
        tokenizer = Tokenizer.from_header(header)
        texts = texts_for(tokenizer, ChatTemplate.from_header(header))
        if spec.engine == "llamacpp":
            return _unjudged(files, weights, texts, staged)
        try:
            reference = _reference(files, texts)
        except RuntimeLoadError:
            if spec.engine == "openvino" or spec.precision == "reference":
                raise
            return _unjudged(files, weights, texts, staged)
        rungs = [] if spec.precision == "reference" else _climb(files, texts, reference, say)
        passed = bool(rungs) and rungs[-1].parity.passed
        way = rungs[-1].way if passed else REFERENCE
        found = rungs[-1].parity if passed else compare(texts, reference, reference)
        link(files.of(way.weights), staged / GGUF)
        properties: dict[str, Any] = {"precision": way.precision}
        write_graph(staged / GGUF, staged)  # so that an engine that is started again is back soon
        engine = load_local(staged / GGUF, engine=spec.engine, properties=properties)
        context = engine.capabilities.context
        golden = asyncio.run(_golden(engine, tokenizer, texts, reference))
    info = engine.info
    return Built(
        candidate=f"{info.engine}, {_types(read_header(staged / GGUF))} weights, {way.precision} arithmetic",
        parameters={"engine": info.engine, "properties": properties, "why": info.why, "weights": weights.name},
        metric="agreement",
        metrics={name: asdict(getattr(found, name)) for name in LIMITS},
        parity={"way": str(way), **found.as_dict()},
        evidence="; ".join([*map(_in_words, rungs), *([] if passed else [f"served with {way}"])]),
        golden=golden,
        report=_told(weights, header, staged)
        | {"context": context, "ways": [asdict(rung.way) | rung.parity.as_dict() for rung in rungs]},
    )


def _unjudged(files: _Files, weights: Weights, texts: list[list[int]], staged: Path) -> Built:
    """A model that llama.cpp runs: it tells too little of what it thinks for its arithmetic to be judged."""
    link(files.own, staged / GGUF)
    engine = load_local(staged / GGUF, engine="llamacpp")
    context = engine.capabilities.context
    golden = asyncio.run(own_golden(engine, [[text[: len(text) // 2]] for text in texts]))
    return Built(
        candidate=f"{engine.info.engine}, {_types(read_header(files.own))} weights",
        parameters={"engine": "llamacpp", "properties": {}, "why": engine.info.why, "weights": weights.name},
        metric="agreement",
        metrics={},
        parity={},
        evidence="llama.cpp computes the file as it is; how near that is to 32-bit arithmetic was not measured",
        golden=golden,
        report=_told(weights, read_header(files.own), staged) | {"context": context},
    )


def _told(weights: Weights, header: Header, staged: Path) -> dict[str, Any]:
    """What the report says of the weights that were given, and of the file that is served."""
    served = {"types": _types(read_header(staged / GGUF)), "bytes": (staged / GGUF).stat().st_size}
    return {"weights": asdict(weights) | {"path": None, "types": _types(header)}, "served": served}


async def own_golden(engine: Engine, texts: Sequence[Sequence[str | list[int]]]) -> Golden:
    """What the engine itself says next: of each text the one of its beginnings after which it is surest. It is closed
    then.

    Raises:
        ParityError: it is sure of hardly anything.
    """
    records, answers = [], []
    try:
        for beginnings in texts:
            found = [(*await _next_token(engine, beginning), beginning) for beginning in beginnings]
            logprob, said, beginning = max(found, key=itemgetter(0))
            if said and logprob >= _GOLDEN_LOGPROB:
                records.append({"prompt": beginning})
                answers.append({"text": said, "tokens": 1})
    finally:
        await engine.close()
    return _enough(records, answers, len(texts))


async def _next_token(engine: Engine, beginning: str | list[int]) -> tuple[float, str]:
    """How sure the engine is of the next token, as a log probability, and its text."""
    sampling = Sampling(temperature=0.0, max_tokens=1, logprobs=0)
    asked = engine.generate(Generate(prompt=beginning, sampling=sampling))
    parts = [part async for part in asked if isinstance(part, Delta)]
    logprobs = [token.logprob for part in parts for token in part.logprobs]
    return min(logprobs, default=-math.inf), "".join(part.text for part in parts)


class _Files:
    """One model's weights in several types, each written when it is first asked for."""

    def __init__(self, own: Path, work: Path) -> None:
        self.own = own
        self.work = work
        self._written: dict[WeightType, Path] = {}
        self._is_exact = _types(read_header(own)) == _EXACT

    def of(self, type_: WeightType | None) -> Path:
        """The file of this type."""
        if type_ is None or (type_ == _EXACT and self._is_exact):
            return self.own
        if type_ not in self._written:
            self._written[type_] = self.work / f"{type_}.gguf"
            requantize(self.own, self._written[type_], type_)
        return self._written[type_]


def _types(header: Header) -> str:
    return "/".join(sorted({tensor.type for tensor in header.tensors if len(tensor.shape) > 1}))


def texts_for(tokenizer: Tokenizer, template: ChatTemplate | None) -> list[list[int]]:
    """The tokens of the texts that parity is measured on; of the chats as well, if the model has a template."""
    known = parity_texts()
    texts = [tokenizer.encode(text) for text in known.texts]
    if template is not None:
        chats = [template.render([dict(turn) for turn in chat], add_generation_prompt=False) for chat in known.chats]
        texts += [tokenizer.encode(chat, special=True) for chat in chats]
    begin = [tokenizer.bos_id] if tokenizer.adds_bos and tokenizer.bos_id is not None else []
    return [[*begin, *text][:_MOST_TOKENS] for text in texts]


def _as_gguf(weights: Weights, work: Path, say: Say) -> Path:
    if weights.kind == "gguf":
        return weights.path.resolve()
    from mainspring.weights.to_gguf import convert

    say(f"writing {weights.name} as one GGUF file")
    convert(weights.path, work / GGUF)
    return work / GGUF


def link(file: Path, target: Path) -> None:
    """Put a file of weights at `target`, as a link if that can be: those of the cache are replaced, never changed."""
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)


def _reference(files: _Files, texts: list[list[int]]) -> list[np.ndarray]:
    """What the weights say in 32-bit arithmetic. Of a large vocabulary that is gigabytes, and so it lies in files."""
    found = []
    with Scorer(files.of(_EXACT)) as scorer:
        for place, logprobs in enumerate(scorer.logprobs(texts, "32-bit")):
            np.save(file := files.work / f"{place}.npy", logprobs)
            found.append(np.load(file, mmap_mode="r"))
    return found


def _climb(files: _Files, texts: list[list[int]], reference: list[np.ndarray], say: Say) -> list[Rung]:
    """Try the ways, the fastest first, until one passes."""
    rungs: list[Rung] = []
    for type_, ways in itertools.groupby(FASTEST_FIRST, key=lambda way: way.weights):
        try:
            opened = Scorer(files.of(type_))
        except RuntimeLoadError as error:  # OpenVINO reads not every type: BF16 and Q5_1, for two, it does not
            say(str(error))
            continue
        with opened as scorer:
            for way in ways:
                parity = compare(texts, reference, scorer.logprobs(texts, way.precision))
                rungs.append(Rung(way, parity))
                say(_in_words(rungs[-1]))
                if parity.passed:
                    return rungs
    return rungs


def _in_words(rung: Rung) -> str:
    found = rung.parity
    said = f"KL {found.mean_divergence.value:.4f}, top-1 agreement {found.agreement.value:.1%}"
    return f"{rung.way}: {said}: {'says the same' if found.passed else 'says something else'}"


async def _golden(
    engine: LocalEngine, tokenizer: Tokenizer, texts: list[list[int]], reference: list[np.ndarray]
) -> Golden:
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
    return _enough(records, answers, len(texts))


def _enough(records: list[dict[str, Any]], answers: list[dict[str, Any]], texts: int) -> Golden:
    if len(records) < _FEWEST_GOLDEN:
        raise ParityError(
            f"the model is sure of a next word in {len(records)} of {texts} texts, and {_FEWEST_GOLDEN} are the "
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
        "embeds": spec.remote.embeds,
    }
    (staged / REMOTE).write_bytes(msgspec.json.format(msgspec.json.encode(told)))
    return Built(
        candidate=f"{spec.remote.model} at {spec.remote.url}",
        parameters={"engine": "remote", "properties": {}},
        metric="cosine" if spec.task == "embedding" else "agreement",
        metrics={},
        parity={},
        evidence=f"{spec.remote.url} is asked; what it answers is its own",
        golden=Golden([], [], 0.0),
        report={"remote": told, "context": spec.remote.context},
    )
