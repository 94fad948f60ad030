"""What a sentence says, as far as words show it: content words, numbers with their units, names, and what is negated.

Words are compared by a light stem (endings of English plurals and verbs come off), numbers by value, units in one
spelling. The scope of a negation are the content words that follow it in its clause, three at most (Chapman et al.,
2001, "A Simple Algorithm for Identifying Negated Findings", has five words; content words alone are counted here).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"(?P<number>(?<![\w)])[-−]?\d+(?:[.,:]\d+)*|\d+(?:[.,:]\d+)*)"
    r"|(?P<ideograph>[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])"
    r"|(?P<word>[^\W\d_]+(?:['’][^\W\d_]+)*)"
    r"|(?P<sign>[%‰°€$£¥])"
    r"|(?P<pause>[,;:.!?()\[\]–—|])"
)
_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_TWO_TO_TWELVE = "two three four five six seven eight nine ten eleven twelve"
_NUMBER_WORDS = {word: str(number) for number, word in enumerate(_TWO_TO_TWELVE.split(), 2)}
_STOPS = """
    a about above after again all also am an and any are as at be because been before being below between both but by
    can could did do does doing done down during each either else ever every few for from further get gets got had has
    have having he her here hers him his how however i if in into is it its itself just let like made make makes may me
    might more most much must my of off on once one or other our out over own per please rather s same say says shall
    she should since so some such t than that the their them then there these they this those through thus to too under
    until up upon us use used uses using very via want was way we well were what when where whether which while who whom
    whose why will with within would yes yet you your yours d ll re ve m according based passage passages document
    documents documentation text texts state states stated mention mentions mentioned explain explains explained note
    noting worth short answer answers question following follows
"""
_STOP = frozenset(_STOPS.split())
_NEGATING = """
    not no never none nothing nobody nowhere neither nor without cannot unless except hardly unable refuse refused
    forbidden prohibited nicht kein keine keinen keiner nie ohne pas jamais sans
"""
_NEGATIONS = frozenset(_NEGATING.split())
_MEASURED = """
    %: percent pct | ‰: | °: degree degrees | €: eur euro euros | $: usd dollar dollars | £: gbp | ¥: yen jpy
    kg: kilo kilos kilogram kilograms | g: gram grams | lb: lbs pound pounds | mile: mi miles | inch: inches
    km: kilometre kilometres kilometer kilometers | m: metre metres meter meters
    cm: centimetre centimetres centimeter centimeters
    mm: millimetre millimetres millimeter millimeters | foot: ft feet | l: litre litres liter liters
    wh: | w: watt watts
    ml: millilitre millilitres milliliter milliliters | ms: millisecond milliseconds | s: sec second seconds
    min: minute minutes | h: hr hrs hour hours | day: days | week: weeks | month: months | year: years | bit: bits
    byte: bytes | kb: kib kilobyte kilobytes | mb: mib megabyte megabytes | gb: gib gigabyte gigabytes | am: | pm:
"""
_UNITS = {
    form: unit
    for line in re.split(r"[|\n]", _MEASURED.strip())
    for unit, forms in [map(str.strip, line.split(":"))]
    for form in (unit, *forms.split())
}
_CURRENCIES = frozenset("€$£¥")
_BETWEEN = frozenset({"to", "and", "or", "until", "–", "—", "x", "×"})  # two numbers that have one unit
_SCOPE = 3


@dataclass(frozen=True)
class Token:
    """A token: where it stands, what it is compared by, and of which kind it is."""

    begin: int
    end: int
    form: str
    kind: str  # word, stop, number, unit (the word after a number), negation, sign, pause


@dataclass(frozen=True)
class Wording:
    """A sentence by its words.

    `words`: all stems and numbers in order, to find it verbatim. `content`: those of content words. `numbers`: values.
    `measures`: (value, unit). `names`: stems of what is written in capitals within it. `negated`: the content in the
    scope of each negation, which is empty where nothing follows it.
    """

    words: tuple[str, ...]
    content: tuple[str, ...]
    numbers: frozenset[str]
    measures: frozenset[tuple[str, str]]
    names: frozenset[str]
    negated: tuple[tuple[str, ...], ...]


def tokens(text: str) -> list[Token]:
    """The tokens of `text`, in order."""
    said: list[Token] = []
    for found in _TOKEN.finditer(text):
        form, kind = _form(found)
        written = found[0].casefold()
        if said and said[-1].kind == "number" and kind in ("word", "stop") and written in _UNITS:
            form, kind = _UNITS[written], "unit"
        said.append(Token(found.start(), found.end(), form, kind))
    return said


def read(text: str, read_tokens: list[Token] | None = None) -> Wording:
    """What `text` says, of which `read_tokens` are the tokens.

    >>> read("Bags may not weigh more than 8 kg.").measures
    frozenset({('8', 'kg')})
    """
    found = tokens(text) if read_tokens is None else read_tokens
    return Wording(
        words=tuple(token.form for token in found if token.kind not in ("pause", "sign")),
        content=tuple(token.form for token in found if token.kind == "word"),
        numbers=frozenset(token.form for token in found if token.kind == "number"),
        measures=frozenset(_measures(text, found)),
        names=frozenset(_names(text, found)),
        negated=tuple(_negated(found)),
    )


def content(text: str) -> list[str]:
    """The stems of the content words of `text`, and its numbers, in order."""
    return [token.form for token in tokens(text) if token.kind in ("word", "number")]


def stem(word: str) -> str:
    """`word` without its ending.

    >>> [stem(word) for word in ("bags", "carried", "carries", "boarding", "class")]
    ['bag', 'carri', 'carri', 'board', 'class']
    """
    bare = word.casefold().replace("’", "'").removesuffix("'s").removesuffix("'")
    if len(bare) > 4:
        for ending, instead in (("ies", "i"), ("ied", "i"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("ly", "")):
            if bare.endswith(ending) and len(bare) - len(ending) >= 3:
                bare = bare[: -len(ending)] + instead
                break
        else:
            bare = bare[:-2] if bare.endswith(("xes", "ches", "shes", "oes")) else _singular(bare)
        if bare[-1] == bare[-2] and bare[-1] in "bdfgmnprt":
            bare = bare[:-1]
        return bare[:-1] if bare.endswith("e") else bare[:-1] + "i" if bare.endswith("y") else bare
    return _singular(bare)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _form(found: re.Match[str]) -> tuple[str, str]:
    written, kind = found[0], str(found.lastgroup)
    if kind == "number":
        value = written.replace("−", "-")
        return value.replace(",", "") if _THOUSANDS.fullmatch(value) else value, "number"
    if kind == "ideograph":
        return written, "word"
    if kind != "word":
        return written, kind
    low = written.casefold().replace("’", "'")
    if low in _NUMBER_WORDS:
        return _NUMBER_WORDS[low], "number"
    if low in _NEGATIONS or low.endswith("n't"):
        return low, "negation"
    if low in _STOP or low.split("'")[0] in _STOP:
        return low, "stop"
    return stem(low), "word"


def _measures(text: str, found: list[Token]) -> list[tuple[str, str]]:
    measures = []
    waiting: list[str] = []  # numbers that have no unit yet, and may share the next one's
    before = ""
    for token in found:
        written = text[token.begin : token.end].casefold()
        if token.kind == "number":
            if before in _CURRENCIES:
                measures.append((token.form, _UNITS[before]))
            else:
                waiting.append(token.form)
        elif waiting and written in _UNITS:
            measures += [(number, _UNITS[written]) for number in waiting]
            waiting = []
        elif written not in _BETWEEN:
            waiting = []
        before = written
    return measures


def _names(text: str, found: list[Token]) -> list[str]:
    names, first = [], True
    for token in found:
        if token.kind == "word" and text[token.begin].isupper():
            written = text[token.begin : token.end]
            if not first or (len(written) > 1 and written.isupper()):
                names.append(token.form)
        first = token.kind == "pause" and token.form not in ",()" if token.kind == "pause" else False
    return names


def _negated(found: list[Token]) -> list[tuple[str, ...]]:
    scopes = []
    for at, token in enumerate(found):
        if token.kind != "negation":
            continue
        scope: list[str] = []
        for later in found[at + 1 :]:
            if later.kind == "pause" or later.form == "but" or len(scope) == _SCOPE:
                break
            if later.kind in ("word", "number"):
                scope.append(later.form)
        scopes.append(tuple(scope))
    return scopes
