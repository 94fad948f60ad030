import msgspec
import numpy as np
import pytest
from scipy.stats import false_discovery_control

from mainspring.monitoring.examine import LABELLED, Examination, benjamini_hochberg, examine, judge
from mainspring.monitoring.observations import Finding, Rows, WindowReport
from mainspring.runtimes.onnx import Outputs
from mainspring.spec import MonitorSpec

SETTINGS = MonitorSpec()


@pytest.fixture
def report(reference, schema, make_rows):
    def of(settings=SETTINGS, reference=reference, **rows):
        return examine(reference, schema, make_rows(**rows), settings, "7")

    return of


def part(rows, first, last):
    some = slice(first, last)
    columns = {name: values[some] for name, values in rows.columns.items()}
    outputs = Outputs(labels=rows.outputs.labels[some], probabilities=rows.outputs.probabilities[some])
    return Rows(rows.time[some], columns, outputs, rows.truth[some])


def deviating(report):
    return {(finding.subject, finding.name) for finding in report.findings if finding.deviates}


def finding(p_value=1e-9, effect=0.5, rows=2000, name="heat"):
    return Finding(subject="feature", name=name, test="t", effect=effect, p_value=p_value, rows=rows, matters=1.0)


def test_where_nothing_moved_nothing_deviates(report):
    for seed in (10, 20, 30):
        assert deviating(report(seed=seed, labelled=True)) == set()


def test_every_thing_is_looked_at(report):
    found = report(n=1000, start=500)
    assert {(one.subject, one.name) for one in found.findings} == {
        *(("feature", name) for name in ("heat", "rain", "size", "member", "city")),
        *(("range", name) for name in ("heat", "rain", "size")),
        ("missing", "size"),
        ("unseen", "city"),
        ("multivariate", "inputs"),
        ("prediction", "label"),
        ("prediction", "probability:true"),
        ("estimated", "roc_auc"),
    }
    assert (found.version, found.start, found.end, found.rows, found.labelled) == ("7", 500, 1499, 1000, 0)
    assert found.enough
    matters = {one.name: one.matters for one in found.findings}
    assert (matters["heat"], matters["member"], matters["rain"], matters["label"]) == (0.75, 0.25, 0.0, 1.0)


def test_what_moved_is_what_deviates(report, make_rows, reference, schema):
    assert deviating(report(shift=0.8)) >= {
        ("feature", "heat"),
        ("multivariate", "inputs"),
        ("prediction", "probability:true"),
        ("prediction", "label"),
    }
    assert ("feature", "rain") not in deviating(report(shift=0.8))
    assert deviating(report(missing=0.4)) == {("missing", "size"), ("multivariate", "inputs")}
    rows = make_rows()
    rows.columns["city"][::4] = "Atlantis"
    rows.columns["rain"][::4] = 1e6
    found = deviating(examine(reference, schema, rows, SETTINGS, "7"))
    assert found >= {("unseen", "city"), ("feature", "city"), ("range", "rain"), ("feature", "rain")}


def test_labels_are_measured_where_there_are_enough(report, make_rows, reference, schema):
    found = report(labelled=True)
    subjects = {one.subject for one in found.findings}
    assert {"performance", "label"} <= subjects
    assert "estimated" not in subjects
    assert found.labelled == found.rows
    rows = make_rows(labelled=True)
    rows.truth[SETTINGS.rows - 1 :] = np.nan
    few = examine(reference, schema, rows, SETTINGS, "7")
    assert few.labelled == SETTINGS.rows - 1
    assert {"performance", "label"}.isdisjoint(one.subject for one in few.findings)
    assert "estimated" in {one.subject for one in few.findings}


def test_the_meaning_of_the_inputs_has_changed(make_rows, reference, schema):
    rows = make_rows(labelled=True)
    rows.truth[:] = 1 - rows.truth
    found = deviating(examine(reference, schema, rows, SETTINGS, "7"))
    assert found == {("performance", "roc_auc"), ("label", "late")}


def test_a_metric_that_the_held_out_rows_could_not_give(reference, schema, make_rows):
    profile = msgspec.structs.replace(reference.profile, skill=None)
    blind = type(reference)(profile, reference.sample)
    for labelled in (True, False):
        found = examine(blind, schema, make_rows(labelled=labelled), SETTINGS, "7")
        assert {"performance", "estimated"}.isdisjoint(one.subject for one in found.findings)


def test_too_few_rows_are_not_judged(report):
    assert report(n=SETTINGS.rows).enough
    few = report(n=SETTINGS.rows - 1, shift=5.0)
    assert not few.enough
    assert few.findings == []


def test_no_rows_at_all(reference, schema, make_rows):
    rows = make_rows(n=1)
    found = examine(reference, schema, part(rows, 0, 0), SETTINGS, "7")
    assert (found.rows, found.enough, found.findings) == (0, False, [])


def test_labels_that_came_later_are_looked_at_alone(make_rows, reference, schema):
    rows = make_rows(shift=0.8, labelled=True)
    found = examine(reference, schema, rows, SETTINGS, "7", LABELLED)
    assert [one.subject for one in found.findings] == ["label", "performance"]
    alike = [one for one in examine(reference, schema, rows, SETTINGS, "7").findings if one.subject == "performance"]
    assert found.findings[1].effect == alike[0].effect


@pytest.mark.parametrize("labelled", [True, False])
def test_batches_are_as_the_whole(make_rows, reference, schema, labelled):
    rows = make_rows(n=5000, shift=0.3, missing=0.1, labelled=labelled)
    rows.truth[1::2] = np.nan
    whole = examine(reference, schema, rows, SETTINGS, "7")
    examination = Examination(reference, schema, SETTINGS, "7")
    for first, last in ((0, 1), (1, 1), (1, 3000), (3000, 3100), (3100, 5000)):
        examination.add(part(rows, first, last))
    parted = examination.report()
    assert len(parted.findings) == len(whole.findings)
    for one, other in zip(parted.findings, whole.findings, strict=True):
        assert (one.subject, one.name, one.rows, one.was, one.now) == (
            other.subject, other.name, other.rows, other.was, other.now
        )  # fmt: skip
        assert (one.effect, one.p_value) == (other.effect, other.p_value)
        assert one.detail == pytest.approx(other.detail, rel=1e-9)
        assert one.deviates is other.deviates
    for name in ("start", "end", "rows", "labelled", "enough"):
        assert getattr(parted, name) == getattr(whole, name)


def test_what_is_enough_is_decided_over_all_batches(make_rows, reference, schema):
    rows = make_rows(n=SETTINGS.rows)
    examination = Examination(reference, schema, SETTINGS, "7")
    examination.add(part(rows, 0, 100))
    assert not examination.report().enough
    examination.add(part(rows, 100, None))
    assert examination.report().findings


def test_a_report_is_json(report):
    found = report(shift=0.5, labelled=True)
    assert msgspec.json.decode(msgspec.json.encode(found), type=WindowReport).findings[0] == found.findings[0]


def test_what_is_ignored_does_not_deviate(report):
    settings = MonitorSpec(ignore=("heat", "label", "probability:true"))
    assert deviating(report(settings, shift=0.8)) == set()
    ignored = next(one for one in report(settings, shift=0.8).findings if one.name == "heat")
    assert ignored.significant  # it is still told


def test_all_of_it_is_needed_to_deviate():
    cases = [
        (finding(), True),
        (finding(effect=0.9 * SETTINGS.effect), False),
        (finding(p_value=0.2), False),
        (finding(rows=199), False),
        (finding(name="ignored"), False),
    ]
    for one, expected in cases:
        [judged] = judge([one], MonitorSpec(ignore=("ignored",)))
        assert judged.deviates is expected


def test_one_small_p_value_of_many_is_not_significant():
    many = [finding(p_value) for p_value in [0.002, *np.linspace(0.05, 1, 50)]]
    assert judge(many[:1], SETTINGS)[0].significant
    assert not judge(many, SETTINGS)[0].significant


def test_false_discovery_control_is_that_of_scipy():
    random = np.random.default_rng(0)
    for _ in range(50):
        p_values = random.random(40) ** 4
        expected = false_discovery_control(p_values) <= 0.05
        assert (benjamini_hochberg(p_values.tolist(), 0.05) == expected).all()
    assert len(benjamini_hochberg([], 0.05)) == 0
