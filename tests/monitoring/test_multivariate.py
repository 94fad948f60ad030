import numpy as np
import pytest

from mainspring.monitoring.drift import counter, examine_column
from mainspring.monitoring.multivariate import ROWS, domain_finding
from mainspring.monitoring.profiles import build
from mainspring.monitoring.sampling import Sample
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import MISSING_TEXT, Column, Schema, Target

SCHEMA = Schema((Column("one", "number"), Column("two", "number"), Column("word", "category")), Target("y"))


def draw(n, seed, correlation=0.0, swapped=False):
    """Numbers that correlate, and a word that says the sign of the first, or, swapped, its opposite."""
    random = np.random.default_rng(seed)
    one, noise = random.normal(size=(2, n))
    word = np.where((one > 0) != swapped, "plus", "minus").astype(object)
    word[random.random(n) < 0.1] = MISSING_TEXT
    return {"one": one, "two": correlation * one + np.sqrt(1 - correlation**2) * noise, "word": word}


def reference_of(columns):
    values = np.arange(len(columns["one"]), dtype=np.float64)
    return build(
        SCHEMA, "rmse", fit=columns, fit_truth=values, held_out=columns, outputs=Outputs(values=values), truth=values,
        importance={},
    )  # fmt: skip


REFERENCE = reference_of(draw(3000, 0))


def sample_of(columns):
    sample = Sample(ROWS)
    sample.add(columns)
    return sample


def told_apart(columns, schema=SCHEMA, **settings):
    return domain_finding(REFERENCE.sample, sample_of(columns), schema, REFERENCE.profile, **settings)


@pytest.mark.parametrize("changes", [{"correlation": 0.7}, {"swapped": True}])
def test_only_what_belongs_together_has_changed(changes):
    moved = draw(2000, 1, **changes)
    finding = told_apart(moved)
    assert finding.effect > 0.1
    assert finding.p_value < 1e-6
    assert finding.detail["low"] < finding.detail["area"] < finding.detail["high"]
    assert finding.detail["area"] == pytest.approx((finding.effect + 1) / 2)
    assert finding.rows == 2000
    for name, values in moved.items():  # which no look at single columns can tell
        profile, kind = REFERENCE.profile.inputs[name], "category" if name == "word" else "number"
        count = counter(profile, kind)
        count.add(values)
        [alone] = examine_column(name, count.tally, profile, kind, "prediction", matters=1.0)
        assert alone.p_value > 0.001


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_same_again_is_not_told_apart(seed):
    finding = told_apart(draw(2000, seed), seed=seed)
    assert finding.effect < 0.1
    assert finding.p_value > 0.001


def test_missing_and_unseen_categories_are_seen():
    same = draw(2000, 1)
    more = {**same, "word": np.where(np.arange(2000) % 3 == 0, MISSING_TEXT, same["word"])}
    new = {**same, "word": np.where(np.arange(2000) % 3 == 0, "new", same["word"])}
    assert told_apart(more).effect > 0.2
    assert told_apart(new).effect > 0.2


def test_ignored_columns_are_not_looked_at():
    moved = draw(2000, 1)
    moved["two"] = moved["two"] + 1
    assert told_apart(moved).effect > 0.3
    assert told_apart(moved, ignore=("two",)).effect < 0.1
    assert told_apart(moved, ignore=("one", "two", "word")) is None


def test_a_few_rows_tell_nothing():
    assert told_apart(draw(29, 1)) is None
    assert told_apart({}, Schema((), Target("y"))) is None


def test_a_category_may_have_very_many_values():
    def words(seed):
        return np.array([f"word {number}" for number in np.random.default_rng(seed).integers(0, 400, 3000)], object)

    many = reference_of({**draw(3000, 0), "word": words(0)})
    assert len(many.profile.inputs["word"].shares) == 200
    finding = domain_finding(many.sample, sample_of({**draw(3000, 1), "word": words(1)}), SCHEMA, many.profile)
    assert finding.effect < 0.1
    assert finding.rows == 3000
