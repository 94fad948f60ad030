import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import publish

from mainspring.errors import RegistryError
from mainspring.monitoring import profiles
from mainspring.monitoring.profiles import ColumnProfile, Profile, build, describe, output_columns, truth_column
from mainspring.registry import versions
from mainspring.registry.versions import Lineage, Manifest
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import MISSING_TEXT, MISSING_TIME, Column, Schema, Target

SCHEMA = Schema(
    (
        Column("size", "number", nullable=True),
        Column("member", "boolean", nullable=True),
        Column("plan", "category", nullable=True),
        Column("seen", "time", nullable=True),
        Column("said", "text", nullable=True),
    ),
    Target("y", (False, True)),
)
HOUR = 3_600_000_000
COLUMNS = {
    "size": np.array([1.0, 2.0, 3.0, np.nan]),
    "member": np.array([1.0, 1.0, 0.0, np.nan]),
    "plan": np.array(["a", "a", "b", MISSING_TEXT], object),
    "seen": np.array([HOUR, 2 * HOUR + 24 * HOUR, 3 * HOUR - 48 * HOUR, MISSING_TIME]),
    "said": np.array(["a", "bb", "ccc", MISSING_TEXT], object),
}
TRUE = np.array([0.9, 0.8, 0.7, 0.1])
OUTPUTS = Outputs(labels=np.array(["true"] * 3 + ["false"], object), probabilities=np.column_stack([1 - TRUE, TRUE]))
TRUTH = np.array([1, 1, 0, 0])


def made(columns=COLUMNS, schema=SCHEMA, outputs=OUTPUTS, truth=TRUTH, metric="roc_auc", importance=None, fit=True):
    fitted = columns if fit else {name: values[:0] for name, values in columns.items()}
    return build(
        schema,
        metric,
        fit=fitted,
        fit_truth=truth if fit else truth[:0],
        held_out=columns,
        outputs=outputs,
        truth=truth,
        importance=importance or {},
    )


def test_each_kind_in_its_own_way():
    found = made().profile
    assert found.rows == 4
    assert list(found.inputs) == list(COLUMNS)
    assert {(column.rows, column.missing) for column in found.inputs.values()} == {(3, 0.25)}
    size, seen, said = (found.inputs[name] for name in ("size", "seen", "said"))
    assert size.quantiles == pytest.approx(np.linspace(1, 3, 201), abs=1e-12)
    assert (size.mean, size.deviation) == pytest.approx((2.0, np.sqrt(2 / 3)))
    assert sum(size.cells) == 3
    assert said.quantiles == pytest.approx(size.quantiles, abs=1e-12)  # the lengths of the texts
    assert seen.quantiles == pytest.approx(size.quantiles, abs=1e-12)  # the hours of the day, whatever the day
    assert found.inputs["member"].shares == pytest.approx({"true": 2 / 3, "false": 1 / 3})
    assert found.inputs["plan"].shares == pytest.approx({"a": 2 / 3, "b": 1 / 3})
    assert found.outputs["label"].shares == {"true": 0.75, "false": 0.25}
    assert list(found.outputs) == ["label", "probability:true"]
    assert found.outputs["probability:true"].quantiles[0] == 0.1
    assert found.target.shares == {"true": 0.5, "false": 0.5}
    assert found.skill.measured.value == 1
    assert found.skill.trivial == 0.5


def test_another_table_has_another_profile():
    other = {**COLUMNS, "size": COLUMNS["size"] + 1, "plan": np.array(["a", "b", "b", ""], object)}
    one, two = made().profile, made(other).profile
    assert {name for name in COLUMNS if one.inputs[name] != two.inputs[name]} == {"size", "plan"}


def test_held_out_rows_stand_in_where_nothing_was_fitted_on():
    assert made(fit=False).profile == made().profile


def test_importance_is_kept_as_shares():
    def shares(importance):
        return [column.importance for column in made(importance=importance).profile.inputs.values()]

    assert shares({"size": 3.0, "plan": 1.0, "gone": 9.0}) == [0.75, 0, 0.25, 0, 0]
    assert shares({"size": 0.0}) == [0.2] * 5  # nothing is known of it


def test_a_regression_has_a_value():
    schema = Schema(SCHEMA.features, Target("y"))
    truth = np.array([1.0, 2.0, 3.0, 5.0])
    found = made(schema=schema, outputs=Outputs(values=truth + 1), truth=truth, metric="mae").profile
    assert list(found.outputs) == ["value"]
    assert found.target.mean == 2.75
    assert (found.skill.measured.value, found.skill.trivial) == pytest.approx((1.0, 1.25))  # the median's own error
    assert found.skill.estimated is None


def test_no_skill_where_the_held_out_rows_have_one_class():
    assert made(truth=np.zeros(4, np.int64)).profile.skill is None


def test_outputs_whose_last_bits_differ_are_the_same():
    near = Outputs(labels=OUTPUTS.labels, probabilities=np.float32(OUTPUTS.probabilities).astype(np.float64))
    assert (near.probabilities != OUTPUTS.probabilities).any()
    one, two = output_columns(near, SCHEMA), output_columns(OUTPUTS, SCHEMA)
    assert (one["probability:true"] == two["probability:true"]).all()
    schema = Schema((), Target("y"))
    values = np.array([0.0, 1234.5678, -1e-9, 3e200])
    one, two = (output_columns(Outputs(values=each), schema)["value"] for each in (values, values * (1 + 1e-9)))
    assert (one == two).all()
    assert one == pytest.approx(values, rel=1e-5)


def test_each_of_three_labels_has_its_probability():
    schema = Schema((), Target("y", ("a", "b", "c")))
    outputs = Outputs(labels=np.array(["a"], object), probabilities=np.array([[0.5, 0.25, 0.25]]))
    assert list(output_columns(outputs, schema)) == ["label", "probability:a", "probability:b", "probability:c"]


def test_unknown_labels_are_missing():
    assert truth_column(np.array([0.0, np.nan, 1.0]), SCHEMA).tolist() == ["false", "", "true"]


def test_it_travels_with_the_version(tmp_path):
    reference = made()
    with versions.staging(tmp_path, "y") as staged:
        profiles.save(reference, staged)
        lineage = Lineage("d", "s", "c", 4, 4, 0, {}, 0, "3.11", {})
        version = versions.publish(staged, manifest(lineage))
    found = profiles.load(version)
    assert found.profile == reference.profile
    for name, values in reference.sample.items():
        assert found.sample[name].dtype == values.dtype
        np.testing.assert_array_equal(found.sample[name], values)


def manifest(lineage):
    return Manifest(
        project="p", model="y", version="1", task="classification", created="", schema=SCHEMA, lineage=lineage,
        candidate="", parameters={}, metric="roc_auc", metrics={}, parity={}, verdict={},
    )  # fmt: skip


def test_a_version_without_a_profile_says_what_to_do(tmp_path):
    with pytest.raises(RegistryError, match=r"no profile that drift can be measured against .* --force"):
        profiles.load(publish(tmp_path))


def test_the_sample_is_some_of_the_rows():
    n = 2 * profiles.SAMPLE_ROWS + 500
    schema = Schema((Column("size", "number"),), Target("y", (False, True)))
    outputs = Outputs(labels=np.full(n, "true", object), probabilities=np.tile([0.4, 0.6], (n, 1)))
    sample = made({"size": np.arange(float(n))}, schema, outputs, np.arange(n) % 2).sample["size"]
    assert len(sample) == len(np.unique(sample)) == profiles.SAMPLE_ROWS


@given(st.lists(st.floats(allow_infinity=False), min_size=1, max_size=50))
@settings(max_examples=100, deadline=None)
def test_numbers_of_any_size(values):
    values = np.array(values)
    known = values[~np.isnan(values)]
    found = describe(values)
    assert found.missing == pytest.approx(1 - len(known) / len(values), abs=1e-12)
    assert found.rows == len(known)
    assert found.shares == {}
    assert msgspec.json.decode(msgspec.json.encode(found), type=ColumnProfile) == found
    if not len(known):
        assert found.quantiles == []
        return
    assert len(found.quantiles) == 201
    assert np.isfinite([*found.quantiles, found.mean, found.deviation]).all()
    assert found.quantiles == sorted(found.quantiles)
    assert (found.quantiles[0], found.quantiles[-1]) == (known.min(), known.max())
    assert len(found.cells) == 2 * len(found.cuts) + 1
    assert sum(found.cells) == len(known)
    assert found.cells[0] == found.cells[-1] == 0


def test_quantiles_are_those_of_numpy():
    values = np.random.default_rng(0).lognormal(3, 2, size=1000)
    assert describe(values).quantiles == pytest.approx(np.quantile(values, np.linspace(0, 1, 201)), rel=1e-13)


@given(st.lists(st.sampled_from(["", "a", "b", "Ü ✈", " "]), min_size=1, max_size=50))
@settings(max_examples=50, deadline=None)
def test_shares_of_text_add_up(values):
    found = describe(np.array(values, object))
    known = [value for value in values if value]
    assert found.missing == pytest.approx(values.count("") / len(values))
    assert found.shares == {value: pytest.approx(known.count(value) / len(known)) for value in set(known)}
    assert found.other == 0
    assert found.quantiles == []


def test_rare_values_past_the_200_most_frequent_are_other():
    values = np.array([f"v{number}" for number in range(300) for _ in range(2 if number < 200 else 1)], object)
    found = describe(values)
    assert set(found.shares) == {f"v{number}" for number in range(200)}
    assert found.other == pytest.approx(100 / 500, abs=1e-12)
    assert sum(found.shares.values()) + found.other == pytest.approx(1, abs=1e-12)
    assert found.outside == found.other
    assert describe(values[:400]).other == 0


def test_what_chance_leaves_outside():
    assert describe(np.array(["a", "a", "b"], object)).outside == pytest.approx(1 / 3)  # b, had it not come
    assert describe(np.array([1.0, 2.0, 3.0, 4.0])).outside == 0.5  # the least and the greatest
    assert describe(np.array([1.0, 1.0, 3.0, 3.0])).outside == 0


@pytest.mark.parametrize("values", [np.array([np.nan] * 3), np.array([MISSING_TEXT] * 3, object)])
def test_a_column_without_a_value(values):
    assert describe(values) == ColumnProfile(0, missing=1.0)


def test_it_is_json():
    found = made().profile
    assert msgspec.json.decode(msgspec.json.encode(found), type=Profile) == found
