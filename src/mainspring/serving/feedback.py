"""`POST /models/{name}/feedback`: the true label of an earlier prediction, by its id or by the client's own key.

    {"id": "0197…", "label": true}
    {"key": "order-17", "label": 3.5}
    {"feedback": [{"id": "0197…-0", "label": true}, …]}

The answer `{"model", "accepted", "late", "unknown"}` comes when the labels are on the disk. Late are those whose
prediction is no longer kept; unknown those whose id is of a time yet to come. Whether there was such a prediction at
all is found when labels and predictions are joined: see `monitoring/log.py`.

Of a collection of documents the label is the place that holds the answer, as `fares.md#refunds`; of a chat model that
answers from one, whether its answer was right.

Of a prompt program whose answers are private no label is taken: it would stand in the log as plain text, and the answer
that it would be compared with does not.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from prometheus_client import Counter

from mainspring.errors import RequestError
from mainspring.monitoring import segments
from mainspring.monitoring.privacy import Private
from mainspring.monitoring.segments import FeedbackFrame, SegmentWriter
from mainspring.prompts.knowledge import Knowledge
from mainspring.registry.versions import Manifest
from mainspring.runtimes.strict_json import broken_json, refuse_duplicate_keys, shown, structural_colons
from mainspring.schema import Label, Target
from mainspring.serving.messages import Reply, Request
from mainspring.serving.predict import require_json
from mainspring.serving.problems import Problem
from mainspring.serving.slots import Slots
from mainspring.spec import Project

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}(-(0|[1-9]\d{0,8}))?")
_KEY = re.compile(r"[ -~]{1,128}")
_CLOCKS = 60.0  # seconds by which the clocks of two gateways may differ


class Item(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One label, by an id or by a key."""

    label: Any
    id: str | UnsetType = UNSET
    key: str | UnsetType = UNSET


class _Items(msgspec.Struct, forbid_unknown_fields=True):
    feedback: list[Item]


_one = msgspec.json.Decoder(Item)
_many = msgspec.json.Decoder(_Items)
_wrapped = re.compile(rb'\s*\{\s*"feedback"\s*:')


class Feedback:
    """The endpoint.

    Args:
        slots: the models; a label is checked against the schema of the version that is live.
        project: where feedback is kept, and for how long.
        counted: counts labels by model and outcome: `accepted`, `late`, `unknown`, or `failed` to be written.
        max_rows: the most labels that one request may hold.
    """

    def __init__(self, slots: Slots, project: Project, counted: Counter, max_rows: int) -> None:
        self._slots, self._project, self._counted, self._max_rows = slots, project, counted, max_rows
        self._store = _Store(project)
        self._private = {name for name in project.prompts if "answer" in Private.of(project, name).rules}

    async def __call__(self, request: Request, name: str) -> Reply:
        """Take in the labels of one request.

        Raises:
            Problem: one of them is wrong, and then none is taken; or they could not be written.
        """
        slot = self._slots.find(name)
        request.model = name
        require_json(request)
        if not self._project.log.enabled or name not in self._project.models:
            raise Problem(409, f"predictions of {name} are not logged, so there is nothing for a label to belong to")
        if name in self._private:
            column = self._project.prompt(name).target
            raise Problem(
                409, f"answers of {name} are private (columns.{column}), and so is what they should have been"
            )
        target = target_of(slot.current().manifest)
        try:
            items, place = _decode(request.body)
            if len(items) > self._max_rows:
                raise Problem(413, f"{len(items)} labels are too many: send at most {self._max_rows} at a time", "$")
            check = _LabelCheck(target)
            for row, item in enumerate(items):
                _check(item, check, place.format(row))
        except RequestError as error:
            raise Problem.of(error) from None
        now = time.time()
        kept, late, unknown = _sort_out(items, now, self._project.log.keep)
        if kept:
            found = FeedbackFrame(
                int(now * 1e6),
                [item.id or "" for item in kept],
                [item.key or "" for item in kept],
                [item.label for item in kept],
            )
            try:
                await self._store.write(name, found)
            except OSError as error:
                self._counted.labels(name, "failed").inc(len(kept))
                raise Problem(503, f"the feedback could not be stored ({error.strerror}): send it again") from None
        outcomes = {"accepted": len(kept), "late": late, "unknown": unknown}
        for outcome, count in outcomes.items():
            if count:
                self._counted.labels(name, outcome).inc(count)
        return Reply(200, msgspec.json.encode({"model": name, **outcomes}))

    async def close(self) -> None:
        """Wait for what is being written, and end the segments."""
        await self._store.close()


def target_of(manifest: Manifest) -> Target:
    """What a label tells of a version."""
    if manifest.task == "retrieval":
        return Target("document", text=True)
    if Knowledge.of(manifest.parameters) is not None:
        return Target("right", (False, True))
    return manifest.schema.target


def _decode(body: bytes) -> tuple[list[Item], str]:
    """The items, and the path of one of them, to be filled with its number."""
    try:
        if _wrapped.match(body):
            items, place = _many.decode(body).feedback, "$.feedback[{}]"
        else:
            items, place = [_one.decode(body)], "$"
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at ")
        raise RequestError(f"{problem}: expected a label with an id or a key", where.strip("`") or "$") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise broken_json(body, error) from None
    if not items:
        raise RequestError("the list is empty: expected at least one label", "$.feedback")
    if structural_colons(body) != 2 * len(items) + (place != "$"):
        refuse_duplicate_keys(body)
    return items, place


def _check(item: Item, check: _LabelCheck, place: str) -> None:
    if (item.id is UNSET) == (item.key is UNSET):
        raise RequestError(
            "expected either an id or a key; found " + ("neither" if item.id is UNSET else "both"), place
        )
    if item.id is UNSET:
        item.id = ""
    elif not _ID.fullmatch(item.id):
        problem = (
            f"{shown(item.id)!r} is no prediction id: send the one of the answer, with -0, -1, … for one of several"
        )
        raise RequestError(problem, f"{place}.id")
    if item.key is UNSET:
        item.key = ""
    elif not _KEY.fullmatch(item.key):
        raise RequestError("expected a key of 1 to 128 printable ASCII characters", f"{place}.key")
    check(item.label, f"{place}.label")


class _LabelCheck:
    """Whether a label is one that the target can have."""

    def __init__(self, target: Target) -> None:
        self._target = target
        # Python holds 1, 1.0 and True for equal, and JSON does not.
        self._allowed = {(type(label), label) for label in target.labels}

    def __call__(self, label: Label | float, place: str) -> None:
        if self._target.labels:
            if isinstance(label, str | bool | int) and (type(label), label) in self._allowed:
                return
            allowed = ", ".join(msgspec.json.encode(label).decode() for label in self._target.labels[:20])
            raise RequestError(f"expected one of the labels {allowed}; found {_said(label)}", place)
        if self._target.text:
            if isinstance(label, str):
                return
            raise RequestError(f"expected the right answer as text; found {_said(label)}", place)
        if isinstance(label, bool) or not isinstance(label, int | float) or not _finite(label):
            raise RequestError(f"expected a finite number; found {_said(label)}", place)


def _finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number that no float can hold
        return False


def _said(label: object) -> str:
    return shown(msgspec.json.encode(label).decode())


def _sort_out(items: list[Item], now: float, keep: float) -> tuple[list[Item], int, int]:
    """Those to keep, and how many are late and unknown. An id says itself when it was made: see `serving/ids.py`."""
    kept, late, unknown = [], 0, 0
    for item in items:
        made = int(item.id[:8] + item.id[9:13], 16) / 1000 if item.id else now
        if made < now - keep:
            late += 1
        elif made > now + _CLOCKS:
            unknown += 1
        else:
            kept.append(item)
    return kept, late, unknown


class _Store:
    """Writes frames durably, those that came during one write together in the next (group commit)."""

    def __init__(self, project: Project) -> None:
        self._writers = {model: SegmentWriter(segments.folder(project.state, model)) for model in project.models}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feedback")
        self._waiting: list[tuple[str, FeedbackFrame, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def write(self, model: str, found: FeedbackFrame) -> None:
        """Return when `found` is on the disk; OSError if it is not."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((model, found, done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        await done

    async def close(self) -> None:
        if self._task is not None:
            await self._task
        if self._timer is not None:
            self._timer.cancel()
        self._thread.shutdown()
        for writer in self._writers.values():
            writer.close()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            by_model: dict[str, list[tuple[FeedbackFrame, asyncio.Future[None]]]] = {}
            for model, found, done in batch:
                by_model.setdefault(model, []).append((found, done))
            for model, some in by_model.items():
                frames = [found for found, _ in some]
                error = await loop.run_in_executor(self._thread, self._append, model, frames)
                for _, done in some:
                    if done.done():  # its client has hung up
                        continue
                    if error is None:
                        done.set_result(None)
                    else:
                        done.set_exception(error)
        if self._timer is not None:
            self._timer.cancel()
        # The last segment must end too, when nothing more comes.
        self._timer = loop.call_later(segments.AGE + 1, loop.run_in_executor, self._thread, self._roll)

    def _roll(self) -> None:
        for writer in self._writers.values():
            writer.roll()

    def _append(self, model: str, frames: list[FeedbackFrame]) -> OSError | None:
        """One sync for all of them. Where it fails none is claimed, though some may be there: labels may come twice."""
        try:
            self._writers[model].append(*frames, durable=True)
        except OSError as error:
            return error
        return None
