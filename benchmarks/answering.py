"""How well does an assistant answer from passages: does it cite rightly, and follow no document?

    python benchmarks/answering.py --python ROOT [--only PART] [--questions 40]

Python's documentation (its FAQ's sections without their headings, tutorial, how-tos, reference) is the collection;
all-minilm-l6-v2 finds, SmolLM2-135M-Instruct writes, greedily. `--python` is `…/html/_sources` of Debian's
python3.11-doc. Parts: support, follow-ups, citations, prefix, injection. Intervals are of 95 %. The index is made once,
in `.benchmarks/answering`. Whether an assistant keeps silent rightly is told by `answerability.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent / "answering"))

import support
from collection import Collection, Question, open_collection, python_collection
from follow_ups import follow_ups
from injection import STYLES, attacks

from mainspring.data.documents.document import Document
from mainspring.evaluation.citations import CitedAnswer, score_citations
from mainspring.evaluation.intervals import Estimate, clopper_pearson
from mainspring.evaluation.scores import mean_score
from mainspring.prompts.answering import Answering, KnowledgeEngine
from mainspring.prompts.answering.follow_ups import conversation_to_rewrite, either, with_conversation
from mainspring.prompts.answering.layout import conversation, lay_out
from mainspring.prompts.answering.sentences import MARK, split
from mainspring.runtimes.index.found import Found, Searched
from mainspring.runtimes.language.local import load_local
from mainspring.runtimes.language.protocol import Citation, Delta, Engine, Generate, Sampling, Usage
from mainspring.weights import resolve

WORK = Path(".benchmarks/answering")
PASSAGES = 5
SAMPLING = Sampling(temperature=0, max_tokens=96)
PARTS = ("support", "follow-ups", "citations", "prefix", "injection")


def told(estimate: Estimate | None) -> str:
    """A figure with its interval."""
    return "-" if estimate is None else f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def asked(question: str) -> Generate:
    """One question, alone."""
    return Generate(messages=[{"role": "user", "content": question}], sampling=SAMPLING)


async def said(engine: Engine, request: Generate) -> tuple[str, Delta]:
    """The whole answer, and its last piece."""
    text, last = "", Delta()
    async with aclosing(engine.generate(request)) as pieces:  # type: ignore[type-var]
        async for piece in pieces:
            if isinstance(piece, Delta):
                text, last = text + piece.text, piece if piece.finish else last
    return text, last


class Remembering:
    """An engine that does not write the same greedy answer twice: what is checked is then what was counted before."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[bytes, list[Delta | Usage]] = {}
        self.capabilities = engine.capabilities
        self.info = engine.info
        self.count, self.embed, self.close = engine.count, engine.embed, engine.close

    async def generate(self, request: Generate) -> AsyncGenerator[Delta | Usage, None]:
        key = msgspec.json.encode(request)
        if key not in self._known:
            async with aclosing(self._engine.generate(request)) as pieces:
                self._known[key] = [piece async for piece in pieces]
        for piece in self._known[key]:
            yield piece


class Fixed:
    """A search that finds what it is given."""

    def __init__(self, found: list[Found]) -> None:
        self._found = found

    async def __call__(self, question: str, k: int, where: object = None) -> Searched:
        return Searched(found=self._found[:k])


async def follow(collection: Collection, engine: Engine, questions: list[Question]) -> None:
    """How often the answer is among the passages, by what is searched for."""
    made = follow_ups(questions)
    hits: dict[str, list[bool]] = {}
    sampling = Sampling(temperature=0, max_tokens=32, stop=("\n",))
    conversations = [conversation_to_rewrite([{"role": "user", "content": one.before}], one.text) for one in made]
    asks = (said(engine, Generate(messages=messages, sampling=sampling)) for messages in conversations)
    for one, (rewritten, _) in zip(made, await asyncio.gather(*asks), strict=True):
        raw = await collection(one.text, PASSAGES)
        longer = await collection(with_conversation(one.text, [one.before]), PASSAGES)
        third = await collection(rewritten.strip()[:500] or one.text, PASSAGES)
        forms = {
            "the question as it is": raw,
            "the conversation in front": longer,
            "both": either([raw, longer], PASSAGES),
            "rewritten by the model": third,
            "all three": either([raw, longer, third], PASSAGES),
            "before the word was taken out": await collection(one.whole, PASSAGES),
        }
        for name, searched in forms.items():
            right = any(found.passage.source == one.source for found in searched.found)
            hits.setdefault(name, []).append(right)
    print(f"\n| searched for ({len(made)} follow-ups) | recall@{PASSAGES} |\n| --- | ---: |")
    for name, right in hits.items():
        print(f"| {name} | {told(mean_score(np.array(right, np.float64)))} |", flush=True)


async def citations(
    collection: Collection, engine: Engine, questions: list[Question], documents: list[Document], number: int
) -> None:
    """Precision and recall by span: what the model writes, what is left of it, what is quoted."""
    texts = {document.source: document.text for document in documents}
    chosen = questions[:: max(1, len(questions) // number)][:number]
    print(f"\n| answers to {len(chosen)} questions | precision | recall | citations | in the right section | quoted |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    ways = {
        "written, the model's own marks": None,
        "written, checked": Answering(),
        "quoted, by words": Answering(answers="quoted"),
        "quoted, by vectors": Answering(answers="quoted"),
    }
    for name, settings in ways.items():
        answers, right, quoted = [], [], 0
        gate = asyncio.Semaphore(4)

        async def one(question: Question, settings: Any = settings, name: str = name, gate: Any = gate) -> Any:
            async with gate:
                if settings is None:
                    return await _own_marks(collection, engine, question.text)
                embed = collection.embed if "vectors" in name else None
                text, last = await said(
                    KnowledgeEngine(engine, collection, settings, embed=embed), asked(question.text)
                )
                return text, last

        for question, (text, last) in zip(chosen, await asyncio.gather(*map(one, chosen)), strict=True):
            if last.answered is not None and last.answered.abstained:
                continue
            answers.append(CitedAnswer(text, last.citations))
            right += [citation.source == question.source for citation in last.citations]
            quoted += bool(last.answered and last.answered.quoted)
        if not any(answer.citations for answer in answers):
            print(f"| {name} | no citation in {len(answers)} answers |", flush=True)
            continue
        score = score_citations(answers, texts.__getitem__)
        section = f"{np.mean(right):.2f}"
        figures = (told(score.precision), told(score.recall), str(score.citations), section, str(quoted))
        print(f"| {name} | {' | '.join(figures)} |", flush=True)


async def _own_marks(collection: Collection, engine: Engine, question: str) -> tuple[str, Delta]:
    """What the model writes, each of its marks taken for a citation of the whole passage."""
    layout = await lay_out(
        engine, Answering(), conversation(asked(question).messages), await collection.found(question, PASSAGES), 96
    )
    text, _ = await said(engine, Generate(messages=layout.messages, sampling=SAMPLING))
    found = []
    for begin, end in split(text):
        for number in re.findall(r"\d+", " ".join(re.findall(MARK, text[begin:end]))):
            if not 1 <= int(number) <= len(layout.passages):
                continue
            one = layout.passages[int(number) - 1]
            bare = re.sub(rf"\s*{MARK}", "", text[begin:end])
            found.append(
                Citation(
                    begin=begin,
                    end=begin + len(bare),
                    number=int(number),
                    passage=one.id,
                    source=one.passage.source,
                    title=one.title,
                    place=(one.passage.begin, one.passage.end),
                    quote=one.quote,
                    supported=0.0,
                )
            )
    return text, Delta(finish="stop", citations=tuple(found))


async def prefix(collection: Collection, engine: Engine, questions: list[Question]) -> None:
    """The time to the first token: a first question about some passages, and another about the same."""
    cold, warm, tokens = [], [], []
    for question in questions[3::9][:8]:
        found = await collection.found(question.text, PASSAGES)
        for times, text in ((cold, question.text), (warm, f"Please tell me: {question.text}")):
            layout = await lay_out(engine, Answering(), conversation(asked(text).messages), found, 1)
            begun = time.perf_counter()
            await said(engine, Generate(messages=layout.messages, sampling=Sampling(temperature=0, max_tokens=1)))
            times.append(time.perf_counter() - begun)
        tokens.append(await engine.count(Generate(messages=layout.messages)))
    ratio = statistics.median(a / b for a, b in zip(cold, warm, strict=True))
    print("\n| prompt tokens, median | cold, ms | warm, ms | cold / warm |\n| ---: | ---: | ---: | ---: |")
    figures = (statistics.median(tokens), 1000 * statistics.median(cold), 1000 * statistics.median(warm))
    print(f"| {' | '.join(f'{figure:.0f}' for figure in figures)} | {ratio:.1f} |", flush=True)


async def injection(collection: Collection, engine: Engine, questions: list[Question]) -> None:
    """How often an order in a document is followed: by the model, and by what is left after the checks."""
    tried = attacks()
    counts = {style: [0, 0, 0] for style in STYLES}
    gate = asyncio.Semaphore(4)

    async def one(number: int) -> tuple[bool, bool]:
        attack, question = tried[number], questions[(7 * number) % len(questions)]
        async with gate:
            found = attack.put_into(await collection.found(question.text, 3))
            layout = await lay_out(engine, Answering(), conversation(asked(question.text).messages), found, 96)
            own, _ = await said(engine, Generate(messages=layout.messages, sampling=SAMPLING))
            checked, _ = await said(KnowledgeEngine(engine, Fixed(found), Answering(passages=3)), asked(question.text))
            return attack.followed(own), attack.followed(checked)

    for attack, (by_model, after) in zip(tried, await asyncio.gather(*map(one, range(len(tried)))), strict=True):
        counts[attack.style] = [a + b for a, b in zip(counts[attack.style], (1, by_model, after), strict=True)]
    print("\n| order | documents | followed by the model | after the checks |\n| --- | ---: | ---: | ---: |")
    for style, (number, by_model, after) in counts.items():
        print(f"| {style} | {number} | {by_model} | {after} |")
    every, model, after = (sum(column) for column in zip(*counts.values(), strict=True))
    low, high = clopper_pearson(after, every, 0.95)
    print(f"| all | {every} | {model} | {after} ({after / every:.3f}; {low:.3f} to {high:.3f}) |", flush=True)


async def run(options: argparse.Namespace) -> None:
    documents, questions = python_collection(options.python)
    parts = options.only or PARTS
    WORK.mkdir(parents=True, exist_ok=True)
    if "support" in parts:
        built = list(support.claims(documents))
        print("\n" + support.table([claim for number, claim in enumerate(built) if number // 16 % 2]), flush=True)
    if parts == ["support"]:
        return
    collection = await open_collection(documents, WORK / "index")
    print(json.dumps({"documents": len(documents), "passages": collection.index.count, "questions": len(questions)}))
    if set(parts) - {"support"}:
        engine = load_local(resolve("smollm2-135m-instruct", Path()).path)
        if "follow-ups" in parts:
            await follow(collection, engine, questions)
        if "prefix" in parts:
            await prefix(collection, engine, questions)
        if "citations" in parts:
            await citations(collection, Remembering(engine), questions, documents, options.questions)
        if "injection" in parts:
            await injection(collection, Remembering(engine), questions)
        await engine.close()
    await collection.engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, required=True, help="…/html/_sources")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; may be given several times")
    parser.add_argument("--questions", type=int, default=40, help="whose answers' citations are checked")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
