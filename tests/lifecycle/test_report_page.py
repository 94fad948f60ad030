from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest

from mainspring.evaluation import curves
from mainspring.evaluation.comparison import Comparison
from mainspring.evaluation.gate import decide
from mainspring.lifecycle.report import (
    CrossValidation,
    DataSection,
    Importance,
    LearningLine,
    Report,
    TrialLine,
)
from mainspring.lifecycle.report_page import render

HOSTILE = """</svg><script>alert("1")</script>&'$x_1$\x00\n<img src=x onerror=alert(1)>"""
SECTIONS = ["data", "search", "cross-validation", "held-out", "importance", "parity", "verdict"]


def estimate(value: float, half: float, method: str = "bootstrap (BCa, 2000 resamples)") -> dict:
    return {"value": value, "low": value - half, "high": value + half, "method": method}


def verdict(against: str, **found: Any) -> dict:
    comparison = Comparison(**{"test": "paired bootstrap", "clusters": None, "significance": 0.05, **found})
    return {**decide(comparison).as_dict(), "against": against}


@cache
def binary_report() -> Report:
    random = np.random.default_rng(0)
    scores = random.beta(1.6, 5.5, 9214)
    truth = (random.random(9214) < np.clip(scores * 1.05 - 0.01, 0, 1)).astype(int)
    confusion = curves.confusion_matrix(truth, (scores >= 0.242).astype(int), 2)
    boosting = {"rate": 0.0472, "depth": 6, "child": 12.4, "rows": 0.83, "columns": 0.61, "shrink": 3.2, "rounds": 412}
    trials = [
        TrialLine("boosting", boosting, 0.7421, 0.0061, 0.7893, 41.3, 0.667),
        TrialLine("boosting", boosting | {"depth": 8, "rounds": 268}, 0.7414, 0.0058, 0.8011, 52.9, 0.0),
        TrialLine("forest", {"leaf": 8, "share": 0.41}, 0.7362, 0.0064, 0.8321, 63.0, 0.333),
        TrialLine("boosting", boosting | {"depth": 3, "rounds": 988}, 0.7391, 0.0059, 0.7618, 30.2, 0.0),
        TrialLine("forest", {"leaf": 31, "share": 0.77}, 0.7318, 0.0066, 0.7795, 71.4, 0.0),
        TrialLine("tree", {"depth": 8, "leaf": 60}, 0.7043, 0.0071, 0.7211, 2.4, 0.0),
        TrialLine("tree", {"depth": 14, "leaf": 3}, 0.6512, 0.0102, 0.8904, 3.1, 0.0),
        TrialLine("linear", {"strength": 1.0}, 0.6931, 0.0055, 0.6948, 4.7, 0.0),
        TrialLine("linear", {"strength": 812.4}, 0.6925, 0.0055, 0.6939, 4.2, 0.0),
        TrialLine("tree", {"depth": 5, "leaf": 20}, 0.6907, 0.0068, 0.6958, 1.6, 0.0),
    ]
    features = {
        "departs_at": "time",
        "carrier": "category",
        "origin": "category",
        "destination": "category",
        "aircraft": "category",
        "distance": "number",
        "scheduled_minutes": "number",
        "wind_speed": "number",
        "visibility": "number",
        "pressure": "number",
        "seats": "number",
        "wet": "boolean",
    }
    importance = [
        Importance(name, 0.06 * 0.68**place - 0.0006, 0.06 * 0.6**place - 0.002, 0.06 * 0.72**place + 0.001)
        for place, name in enumerate(features)
    ]
    return Report(
        project="airdesk",
        model="delay",
        version="4",
        task="classification",
        created="2026-03-02T08:41:17+00:00",
        target="late",
        labels=["on time", "late"],
        metric="roc_auc",
        greater_is_better=True,
        candidate="blend",
        threshold=0.242,
        data=DataSection(
            rows=46071,
            fit_rows=36857,
            holdout_rows=9214,
            split="time",
            features=features,
            notes=[
                "1,204 rows without a value of late were left out.",
                "arrives_at was dropped: it is known only after the flight (its own ROC AUC is 0.999).",
                "tail_number was dropped: an identifier, with 3,816 different values.",
            ],
        ),
        trials=trials,
        pruned=6,
        seconds=438.2,
        cross_validation=CrossValidation(
            5, "expanding window in time", [0.7312, 0.7398, 0.7421, 0.7442, 0.7436], 0.7402, 0.0053, 0.8036, 0.0634
        ),
        learning_curve=[
            LearningLine(3600, 0.914, 0.6931, 0.6893, 0.6969),
            LearningLine(7200, 0.883, 0.7102, 0.7071, 0.7133),
            LearningLine(14400, 0.851, 0.7254, 0.7229, 0.7279),
            LearningLine(29000, 0.809, 0.7402, 0.7386, 0.7418),
        ],
        holdout={
            "accuracy": estimate(0.7031, 0.0093),
            "roc_auc": estimate(0.7437, 0.0118, "DeLong, in clusters (cluster bootstrap, 2000 resamples)"),
            "average_precision": estimate(0.4312, 0.0181),
            "log_loss": estimate(0.4721, 0.0104),
            "brier": estimate(0.1512, 0.0041),
            "f1": estimate(0.4633, 0.0132),
        },
        baseline={
            "roc_auc": estimate(0.5, 0.0),
            "accuracy": estimate(0.7763, 0.0085),
            "average_precision": estimate(0.2237, 0.0084),
            "log_loss": estimate(0.5318, 0.0117),
            "brier": estimate(0.1737, 0.0049),
            "f1": {"value": 0.0, "low": 0.0, "high": 0.0, "method": "none"},
        },
        curves={
            "roc": curves.roc_curve(truth, scores).as_dict(),
            "precision_recall": curves.precision_recall_curve(truth, scores).as_dict(),
            "calibration": curves.calibration_curve(truth, scores).as_dict(),
            "expected_calibration_error": 0.0087,
            "confusion": confusion.tolist(),
        },
        importance=importance,
        parity={"rows": 256, "max_difference": 2.9e-7, "tolerance": 1e-5, "disagreements": 0},
        verdict=verdict(
            "version 3",
            metric="roc_auc",
            champion=0.7311,
            challenger=0.7437,
            difference=0.0126,
            low=0.0081,
            high=0.0172,
            margin=0.002,
            p_better=0.00021,
            p_not_better=0.9998,
            rows=9214,
            clusters=100,
        ),
    )


def classes_report(labels: tuple[str, ...] = ("setosa", "versicolor", "virginica")) -> Report:
    random = np.random.default_rng(1)
    size = len(labels)
    confusion = random.integers(0, 9, (size, size)) + np.diag(random.integers(60, 140, size))
    return msgspec.structs.replace(
        binary_report(),
        project="garden",
        model="species",
        version="1",
        target="species",
        labels=list(labels),
        metric="log_loss",
        greater_is_better=False,
        candidate="linear",
        threshold=None,
        data=DataSection(1500, 1200, 300, "hash", {"sepal_length": "number", "petal_length": "number"}, []),
        trials=[
            TrialLine("linear", {"strength": 0.81}, 0.3124, 0.0212, 0.2981, 0.6, 1.0),
            TrialLine("tree", {"depth": 4, "leaf": 12}, 0.4417, 0.0504, 0.3705, 0.2, 0.0),
        ],
        pruned=0,
        seconds=3.4,
        cross_validation=CrossValidation(
            5, "stratified by content", [0.302, 0.331, 0.29, 0.341, 0.298], 0.3124, 0.0221, 0.2981, 0.0143
        ),
        learning_curve=[
            LearningLine(192, 0.214, 0.402, 0.381, 0.431),
            LearningLine(480, 0.271, 0.335, 0.311, 0.352),
            LearningLine(960, 0.298, 0.3124, 0.294, 0.33),
        ],
        holdout={"log_loss": estimate(0.3211, 0.0391), "accuracy": estimate(0.893, 0.035)},
        baseline={"log_loss": estimate(0.3402, 0.031), "accuracy": estimate(0.34, 0.053)},
        curves={"confusion": confusion.tolist(), "expected_calibration_error": 0.021},
        importance=[Importance("petal_length", 0.61, 0.52, 0.7), Importance("sepal_length", -0.004, -0.02, 0.01)],
        verdict=verdict(
            "baseline",
            metric="log_loss",
            champion=0.3402,
            challenger=0.3211,
            difference=0.0191,
            low=-0.0083,
            high=0.0468,
            margin=0.0,
            p_better=0.12,
            p_not_better=0.88,
            rows=300,
        ),
    )


def regression_report() -> Report:
    random = np.random.default_rng(2)
    truth = np.exp(random.normal(12.4, 0.45, 4000))
    predicted = truth * np.exp(random.normal(-0.01, 0.14, 4000))
    residuals = predicted - truth
    low, high = np.quantile(residuals, [0.005, 0.995])
    counts, edges = np.histogram(np.clip(residuals, low, high), bins=40)
    return msgspec.structs.replace(
        binary_report(),
        project="homes",
        model="price",
        version="12",
        task="regression",
        target="price",
        labels=[],
        metric="rmse",
        greater_is_better=False,
        candidate="boosting",
        threshold=None,
        trials=[
            TrialLine("boosting", {"rate": 0.05, "depth": 6}, 47112.0, 1311.0, 38120.0, 12.9, 1.0),
            TrialLine("linear", {"strength": 1.0}, 61870.0, 1602.0, 61544.0, 0.8, 0.0),
        ],
        cross_validation=CrossValidation(
            5, "grouped", [46012.0, 48911.0, 45803.0, 47230.0, 47604.0], 47112.0, 1274.0, 38120.0, 8992.0
        ),
        learning_curve=[
            LearningLine(1600, 29000.0, 58200.0, 55900.0, 60500.0),
            LearningLine(6400, 34800.0, 49100.0, 47700.0, 50500.0),
            LearningLine(12800, 38120.0, 48212.0, 46912.0, 49512.0),
        ],
        holdout={
            "rmse": estimate(46890.0, 2113.0),
            "mae": estimate(31240.0, 901.0),
            "r2": estimate(0.874, 0.013),
            "mape": estimate(0.112, 0.003),
        },
        baseline={"rmse": estimate(131900.0, 4020.0), "mae": estimate(92110.0, 2400.0), "r2": estimate(-0.0012, 0.001)},
        curves={
            "residuals": {
                "edges": edges.tolist(),
                "counts": counts.tolist(),
                "mean": float(residuals.mean()),
                "spread": float(residuals.std()),
                "quantiles": {str(level): float(np.quantile(residuals, level)) for level in (0.05, 0.5, 0.95)},
            },
            "predicted": {"truth": truth[:500].tolist(), "predicted": predicted[:500].tolist()},
        },
        verdict=verdict(
            "version 11",
            metric="rmse",
            champion=46310.0,
            challenger=46890.0,
            difference=-580.0,
            low=-1090.0,
            high=-72.0,
            margin=0.0,
            p_better=0.97,
            p_not_better=0.031,
            rows=4000,
        ),
    )


REPORTS = {"binary": binary_report, "classes": classes_report, "regression": regression_report}


@cache
def page_of(name: str) -> str:
    return render(REPORTS[name]())


def without_plots(report: Report, **changes: Any) -> Report:
    """The same report with next to nothing to draw: quick to render."""
    verdict = {**report.verdict, "comparison": None}
    bare = {"curves": {}, "importance": [], "learning_curve": [], "holdout": {}, "verdict": verdict}
    return msgspec.structs.replace(report, **(bare | changes))


class Page(HTMLParser):
    """A page taken apart: it fails on an element that is not closed, and on an id that is used twice."""

    VOID = frozenset({"meta", "link", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag not in self.VOID:
            self.open.append(tag)
        if "id" in attributes:
            assert attributes["id"] not in self.ids
            self.ids.add(attributes["id"])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}


def drawings(html: str) -> dict[str, ElementTree.Element]:
    """The plots by their name: each is well-formed XML of its own."""
    found = {}
    for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        root = ElementTree.fromstring(svg)
        if root.get("role") == "img":
            found[root.find("g").get("id").removesuffix("-figure_1")] = root
    return found


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", Page(html).text)


@pytest.fixture(scope="module", params=sorted(REPORTS))
def page(request: pytest.FixtureRequest) -> str:
    return page_of(request.param)


def test_every_section_stands_on_a_well_formed_page(page: str) -> None:
    assert {*SECTIONS, "plots"} <= Page(page).ids
    assert drawings(page)


def test_the_page_asks_for_nothing_and_runs_nothing(page: str) -> None:
    found = Page(page)
    assert not found.tags & {"script", "img", "iframe", "object", "embed", "form"}
    for _, attributes in found.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("href", "src", "xlink:href"):
                assert value.startswith(("#", "data:,"))
            assert "url(" not in (value or "") or re.fullmatch(r"url\(#[\w-]+\)", value)
    style = page.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_every_reference_inside_the_page_leads_somewhere(page: str) -> None:
    found = Page(page)
    wanted = {attributes["href"] for _, attributes in found.elements if (attributes.get("href") or "").startswith("#")}
    wanted |= {attributes["clip-path"][4:-1] for _, attributes in found.elements if "clip-path" in attributes}
    assert {reference[1:] for reference in wanted} <= found.ids


def test_plots_take_their_colours_from_the_page(page: str) -> None:
    assert not re.search(r"(fill|stroke): #", page)
    assert "currentColor" in page
    assert "font-family: 'DejaVu" not in page


@pytest.mark.parametrize(
    ("name", "plots"),
    [
        ("binary", {"roc", "precision-recall", "calibration", "confusion"}),
        ("classes", {"confusion"}),
        ("regression", {"residuals", "predicted"}),
    ],
)
def test_each_task_has_its_plots(name: str, plots: set[str]) -> None:
    always = {"intervals", "learning", "importance", "difference"}
    assert set(drawings(page_of(name))) == always | plots


def test_the_same_report_gives_the_same_bytes_and_leaves_matplotlib_as_it_was() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    first = page_of("binary")
    matplotlib.rcParams["font.size"] = 30
    try:
        assert render(binary_report()) == first
        assert matplotlib.rcParams["font.size"] == 30
    finally:
        matplotlib.rcParams["font.size"] = before["font.size"]
    assert dict(matplotlib.rcParams) == before
    assert render(without_plots(binary_report(), seconds=1.0)) != render(without_plots(binary_report()))


def test_the_report_survives_json() -> None:
    report = binary_report()
    assert render(msgspec.json.decode(msgspec.json.encode(report), type=Report)) == page_of("binary")


def test_the_headline_says_version_verdict_and_metric() -> None:
    text = plain(page_of("binary"))
    assert "delay version 4" in text
    assert "2 March 2026, 08:41 UTC" in text
    assert "ROC AUC 0.7437 against 0.7311" in text
    assert "95\u00a0% interval" in Page(page_of("binary")).text
    assert "0.732 to 0.756" in text


@pytest.mark.parametrize(
    ("name", "badge"), [("binary", "promote"), ("classes", "insufficient-evidence"), ("regression", "reject")]
)
def test_the_badge_shows_the_decision(name: str, badge: str) -> None:
    badges = [a["class"] for _, a in Page(page_of(name)).elements if "badge" in (a.get("class") or "")]
    assert badges == [f"badge {badge}"] * 2


def test_chosen_trials_stand_out_and_the_best_stands_first() -> None:
    html = page_of("binary")
    rows = re.findall(r'<tr( class="chosen")?>\s*<td>(\w+)</td>\s*<td class="n right">([\d.]+)', html)
    assert [kind for chosen, kind, _ in rows if chosen] == ["boosting", "forest"]
    assert [float(score) for *_, score in rows] == sorted((float(score) for *_, score in rows), reverse=True)
    lower = re.findall(r'<td class="n right">([\d.]+) ±', page_of("classes"))
    assert lower == ["0.312", "0.442"]


@pytest.mark.parametrize(
    ("gap", "gains", "expected"),
    [
        (0.06, 0.02, "variance, which more rows would probably reduce"),
        (0.06, 0.0, "variance that more rows of the same kind may not reduce"),
        (0.002, 0.02, "more rows probably helping"),
        (0.002, 0.0, "bias or noise: new features"),
        (0.002, -0.02, "rows that are not all alike"),
        (0.06, None, "variance: part of what it learnt does not carry over"),
        (-0.001, None, "bias or noise rather than variance"),
    ],
)
@pytest.mark.parametrize("greater", [True, False])
def test_the_gap_and_the_curve_are_put_into_words(
    gap: float, gains: float | None, expected: str, greater: bool
) -> None:
    sign = 1 if greater else -1
    report = without_plots(
        binary_report(),
        greater_is_better=greater,
        cross_validation=CrossValidation(5, "grouped", [0.7] * 5, 0.7, 0.005, 0.7 + sign * gap, gap),
        learning_curve=[]
        if gains is None
        else [
            LearningLine(100, 0.8, 0.7 - sign * gains, 0.69, 0.71),
            LearningLine(200, 0.8, 0.7, 0.695, 0.705),
        ],
    )
    assert expected in plain(render(report))


def test_hostile_text_is_only_text() -> None:
    report = binary_report()
    report = msgspec.structs.replace(
        report,
        project=HOSTILE,
        model=HOSTILE,
        version=HOSTILE,
        target=HOSTILE,
        created=HOSTILE,
        candidate=HOSTILE,
        labels=["fine", HOSTILE],
        data=msgspec.structs.replace(report.data, features={HOSTILE: HOSTILE}, notes=[HOSTILE], split=HOSTILE),
        trials=[TrialLine(HOSTILE, {HOSTILE: HOSTILE}, 0.7, 0.01, 0.8, 3.0, 1.0)],
        importance=[Importance(HOSTILE, 0.1, 0.05, 0.2)],
        verdict={**report.verdict, "reason": HOSTILE, "against": HOSTILE},
    )
    html = render(report)
    assert not Page(html).tags & {"script", "img"}
    assert '</svg><script>alert("' in Page(html).text
    drawn = " ".join("".join(drawings(html)["importance"].itertext()).split())
    assert '</svg><script>alert("' in drawn


def test_labels_in_any_writing_are_drawn() -> None:
    names = ("猫", "собака", "$x^{", "a" * 80)
    drawn = drawings(render(classes_report(names)))["confusion"]
    texts = {element.text for element in drawn.iter("text")}
    assert {"猫", "собака", "$x^{", "a" * 13 + "…"} <= texts


@pytest.mark.parametrize(
    "absent", ["roc", "precision_recall", "calibration", "expected_calibration_error", "confusion"]
)
def test_a_curve_may_be_absent(absent: str) -> None:
    report = binary_report()
    curves_left = {name: curve for name, curve in report.curves.items() if name != absent}
    html = render(without_plots(report, curves=curves_left))
    assert set(SECTIONS) <= Page(html).ids
    assert absent.replace("_", "-") not in drawings(html)


def test_a_bare_report_still_makes_a_page() -> None:
    bare = msgspec.structs.replace(
        binary_report(),
        trials=[],
        learning_curve=[],
        holdout={},
        baseline={},
        curves={},
        importance=[],
        parity={},
        verdict={"decision": "insufficient evidence", "reason": "no rows", "comparison": None, "against": "baseline"},
    )
    html = render(bare)
    assert set(SECTIONS) <= Page(html).ids
    assert drawings(html) == {}
    assert "Parity was not checked" in html
    assert "No rows." in html


def test_a_recipe_fitted_anew_is_told_and_one_fold_claims_no_spread() -> None:
    found = binary_report()
    [trial, *_] = found.trials
    report = msgspec.structs.replace(
        found,
        kept_from="3",
        trials=[msgspec.structs.replace(trial, spread=None, weight=1.0)],
        pruned=0,
        cross_validation=CrossValidation(1, "expanding window in time", [0.7421], 0.7421, None, 0.7893, 0.0472),
        learning_curve=[],
    )
    html = render(report)
    told = plain(html)
    assert "No search was made: the recipe of version 3 was fitted anew" in told
    assert "found on the last fold of cross-validation" in told
    assert "One fold alone does not show how much of that is chance." in told
    assert "1 fold, expanding window in time" in told
    assert "No learning curve was made." in told
    assert "±" not in told
    assert "nan" not in told
    assert "1 trial was finished" not in told
    assert "No search was made" not in plain(page_of("binary"))


def test_an_interval_that_there_is_not_is_a_dash() -> None:
    unknown = {"value": 0.75, "low": None, "high": None, "method": "none"}
    html = render(without_plots(binary_report(), holdout={"roc_auc": unknown}, baseline={}))
    assert '<td class="n" data-label="95 %">–</td>' in html


def test_of_many_labels_the_most_frequent_are_shown() -> None:
    labels = tuple(f"label {number}" for number in range(15))
    report = classes_report(labels)
    counts = np.full((15, 15), 1)
    counts[np.diag_indices(15)] = np.arange(100, 115)
    html = render(without_plots(report, curves={"confusion": counts.tolist()}))
    texts = {element.text for element in drawings(html)["confusion"].iter("text")}
    assert "Shown are the 12 most frequent of 15 labels" in html
    assert "label 14" in texts
    assert "label 2" not in texts


def test_shares_of_a_confusion_matrix_are_of_its_row() -> None:
    counts = [[8, 2, 0], [0, 0, 0], [1, 0, 3]]
    html = render(without_plots(classes_report(), curves={"confusion": counts}))
    texts = [element.text for element in drawings(html)["confusion"].iter("text")]
    assert "80.0%" in texts
    assert "75.0%" in texts
    assert "setosa called versicolor, 2 rows (20.0\u00a0% of setosa)" in html


def test_parity_beyond_the_tolerance_is_said() -> None:
    parity = {"rows": 64, "max_difference": 0.02, "tolerance": 1e-5, "disagreements": 3}
    text = plain(render(without_plots(binary_report(), parity=parity)))
    assert "differs from the fitted one by up to 0.02" in text
    assert "3 of them" in text
