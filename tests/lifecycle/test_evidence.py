from __future__ import annotations

import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from monitoring.logged import SCHEMA, make_entry, make_project, write, write_feedback
from serving.graphs import graph, publish

from mainspring.errors import RegistryError
from mainspring.evaluation.losses import losses
from mainspring.lifecycle.evidence import collect
from mainspring.monitoring import segments
from mainspring.monitoring.segments import Load, SegmentWriter, TrafficFrame
from mainspring.registry import versions
from mainspring.runtimes.onnx import FILE_NAME, OnnxRuntime
from mainspring.schema import Column, Schema
from mainspring.spec import Project

RECORD = {"distance": 1.0, "night": True, "carrier": "UA", "departs_at": None}
ROWS = 4
REQUESTS = 60


def logged(folder: Path, kind: str, columns: str = "") -> tuple[Project, int]:
    """A project in whose log version 1 and version 2, which says yes more often, answered; every other row is labelled.

    The other version's answers are those of its graph, so that being asked again gives the same.
    """
    project = make_project(folder, columns=columns)
    for bias in (-1.0, 1.0):
        publish(project.state, "delay", SCHEMA, RECORD, bias=bias)
    graphs = [OnnxRuntime(versions.load(project.state, "delay", v).file(FILE_NAME), SCHEMA) for v in ("1", "2")]
    since = time.time() - 600
    for request in range(REQUESTS):
        made = make_entry(ROWS, seen=since + request, start=request * ROWS)
        answers = [graph.predict(made.columns) for graph in graphs]
        both = [
            msgspec.structs.replace(made, version=v, outputs=outputs) for v, outputs in zip("12", answers, strict=True)
        ]
        if kind == "canary":
            entries = [both[request % 2]]
        elif kind == "shadow":
            entries = [both[0], msgspec.structs.replace(both[1], role="shadow")]
        else:
            entries = [both[1]]
        for entry in entries:
            write(project, entry)
        write_feedback(project, (f"{made.prediction}-0", "", True), (f"{made.prediction}-2", "", False))
    own = SegmentWriter(segments.folder(project.state, "delay"))
    moments = [int((since + second) * 1e6) for second in (-5, 5)]  # before and after the rollout began
    loads = [Load("1", at, at, 10, 1, 0.1, -46.0, 212.0, 10) for at in moments]
    loads += [Load("2", moments[1], moments[1], 20, 3, 0.6, -70.0, 246.0, 20)]
    own.append(TrafficFrame(loads))
    own.close()
    return project, int(since * 1e6)


@pytest.mark.parametrize("kind", ["shadow", "probation"])
def test_rows_that_both_answered_are_paired(tmp_path, kind):
    project, since = logged(tmp_path, kind)
    found = collect(project, "delay", since, "1", "2", kind)
    assert found.kind == kind
    assert found.elapsed == pytest.approx(600, abs=60)
    assert found.paired_loss is not None
    assert found.paired_loss.count == REQUESTS  # one value a request, of its two labelled rows
    # Their log-odds are 1 lower and 1 higher than the same sum: the losses can be told from the graphs.
    entry = make_entry(REQUESTS * ROWS)
    outputs = [OnnxRuntime(graph(SCHEMA, bias), SCHEMA).predict(entry.columns) for bias in (-1.0, 1.0)]
    truth = np.tile([1.0, np.nan, 0.0, np.nan], REQUESTS)
    champion, challenger = (losses("roc_auc", SCHEMA, each, truth) for each in outputs)
    assert found.paired_loss.mean == pytest.approx(np.nanmean(challenger - champion), abs=1e-12)
    assert found.agreement is not None
    assert 0 <= found.agreement < 1
    assert found.champion.loss is None


def test_a_canary_has_rows_of_its_own(tmp_path):
    project, since = logged(tmp_path, "canary")
    found = collect(project, "delay", since, "1", "2", "canary")
    assert found.paired_loss is None
    assert found.champion.loss is not None
    assert found.challenger.loss is not None
    assert (found.champion.loss.count, found.challenger.loss.count) == (REQUESTS // 2, REQUESTS // 2)
    assert found.champion.loss.mean != found.challenger.loss.mean


def test_traffic_is_that_of_the_rollout_and_in_a_probation_the_champions_before(tmp_path):
    project, since = logged(tmp_path, "probation")
    during = collect(project, "delay", since, "1", "2", "canary")
    assert (during.champion.requests, during.champion.errors) == (10, 1)
    assert (during.challenger.requests, during.challenger.errors) == (20, 3)
    assert during.challenger.log_seconds.mean == pytest.approx(-3.5)
    probation = collect(project, "delay", since, "1", "2", "probation")
    assert probation.champion.requests == 10
    nothing_before = collect(project, "delay", since - 100_000_000, "1", "2", "probation")
    assert nothing_before.champion.requests == 0


def test_of_a_prompt_only_the_errors_count(tmp_path):
    toml = '[models.desk]\ntask = "chat"\nbase = "smollm2-135m-instruct"\n[models.asks]\ntask = "prompt"\n'
    project = make_project(tmp_path, columns=toml + 'prompt = "a.md"\nmodel = "desk"\ndata = "a.jsonl"\ntarget = "b"')
    own = SegmentWriter(segments.folder(project.state, "asks"))
    own.append(TrafficFrame([Load("1", 9, 9, 10, 1, 1.0, -23.0, 53.0, 10), Load("2", 11, 11, 9, 2, 9.0, 0.0, 1.0, 9)]))
    own.close()
    found = collect(project, "asks", 10, "1", "2", "probation")
    assert (found.champion.requests, found.champion.errors) == (10, 1)
    assert (found.challenger.requests, found.challenger.errors) == (9, 2)
    assert found.champion.log_seconds.count == found.challenger.log_seconds.count == 0


def test_what_is_private_or_unknown_cannot_be_asked_again(tmp_path):
    project, since = logged(tmp_path, "probation", columns='columns.carrier = {private = "hash"}')
    found = collect(project, "delay", since, "1", "2", "probation")
    assert found.paired_loss is None
    assert found.agreement is None
    other = Schema((*SCHEMA.features, Column("gate", "category", nullable=True)), SCHEMA.target)
    publish(project.state, "delay", other, {**RECORD, "gate": None})
    assert collect(project, "delay", since, "3", "2", "probation").paired_loss is None


def test_a_lost_version_is_an_error_unless_it_was_only_to_be_asked_again(tmp_path):
    project, since = logged(tmp_path, "probation")
    for champion, challenger in (("7", "2"), ("1", "7")):
        with pytest.raises(RegistryError, match="no version '7'"):
            collect(project, "delay", since, champion, challenger, "canary")
    assert collect(project, "delay", since, "7", "2", "probation").paired_loss is None
    (versions.load(project.state, "delay", "1").folder / FILE_NAME).write_bytes(b"damaged")
    found = collect(project, "delay", since, "1", "2", "probation")
    assert found.paired_loss is None
    assert found.challenger.requests == 20


def test_rows_without_labels_say_nothing_of_scores(tmp_path):
    project, since = logged(tmp_path, "probation")
    later = since + 1_000_000 * REQUESTS
    found = collect(project, "delay", later, "1", "2", "probation")
    assert found.paired_loss is None
    assert found.agreement is None
