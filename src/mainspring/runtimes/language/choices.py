"""From the tokens of one answer to the pieces that a client gets: text, logprobs, tool calls, and how it ended."""

from __future__ import annotations

from collections import deque

from mainspring.runtimes.language.backend import Event
from mainspring.runtimes.language.call_reader import CallReader
from mainspring.runtimes.language.protocol import Chosen, Delta, Finish, Likely, ToolCall
from mainspring.runtimes.language.stops import StopFinder
from mainspring.runtimes.language.tokens import Detokenizer, Tokenizer


class Choice:
    """One answer in the making.

    Logprobs go out with the text that their token begins; those of tokens that a stop string took, and of the end
    token, do not go out at all.

    Args:
        index: which of the `n` answers it is.
        stops: strings that end it.
        calls: what reads tool calls out of the text, if there are tools.
        end_ids: tokens that end it, and are no text.
        before: the token before it, if it goes on with a text. Then a space that it begins with belongs to it.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        index: int,
        stops: tuple[str, ...],
        calls: CallReader | None,
        end_ids: frozenset[int],
        before: int | None,
    ) -> None:
        self.index = index
        self.tokens = 0
        self.finish: Finish | None = None
        self._tokenizer = tokenizer
        self._detokenizer = Detokenizer(tokenizer)
        if before is not None:
            self._detokenizer.feed(before)
        self._stops = StopFinder(stops)
        self._calls = calls
        self._called = False
        self._end_ids = end_ids
        self._chosen: deque[tuple[int, Chosen]] = deque()  # where in the text each begins
        self._read = self._sent = 0  # characters
        self._told = 0  # tokens

    def feed(self, event: Event) -> Delta | None:
        """What of the answer is certain after these tokens; None if nothing new is."""
        text = ""
        for place, token in enumerate(event.tokens):
            self.tokens += 1
            if event.finish == "stop" and place == len(event.tokens) - 1 and token in self._end_ids:
                break
            if event.logprobs:
                top = event.top[place] if event.top else []
                self._chosen.append((self._read, self._describe(token, event.logprobs[place], top)))
            if event.text is None:
                text += self._certain(self._detokenizer.feed(token))
            if self._stops.found:
                break
        if event.text is not None:
            text += self._certain(event.text)
        self.tokens = self.tokens if event.total is None else event.total
        if event.finish and not self._stops.found:
            text += self._certain(self._detokenizer.end())
            text += self._stops.end()
        self.finish = "stop" if self._stops.found else event.finish
        return self._delta(text)

    def _certain(self, piece: str) -> str:
        self._read += len(piece)
        return self._stops.feed(piece)

    def _delta(self, text: str) -> Delta | None:
        self._sent += len(text)
        logprobs = []
        while self._chosen and (self._chosen[0][0] < self._sent or (self.finish and not self._stops.found)):
            logprobs.append(self._chosen.popleft()[1])
        calls: list[ToolCall] = []
        if self._calls:
            text, calls = self._calls.feed(text)
            if self.finish:
                text += self._calls.end()
            self._called = self._called or bool(calls)
            if self._called and self.finish == "stop":
                self.finish = "tool_calls"
        if not (text or calls or logprobs or self.finish):
            return None
        tokens, self._told = self.tokens - self._told, self.tokens
        return Delta(
            index=self.index,
            text=text,
            tokens=tokens,
            logprobs=tuple(logprobs),
            tool_calls=tuple(calls),
            finish=self.finish,
        )

    def _describe(self, token: int, logprob: float, top: list[tuple[int, float]]) -> Chosen:
        return Chosen(
            token=self._text(token),
            logprob=logprob,
            bytes_=self._tokenizer.token_bytes(token),
            top=tuple(
                Likely(token=self._text(rival), logprob=value, bytes_=self._tokenizer.token_bytes(rival))
                for rival, value in top
            ),
        )

    def _text(self, token: int) -> str:
        return self._tokenizer.token_bytes(token).decode("utf-8", errors="replace")
