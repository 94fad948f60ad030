import time

import numpy as np
import pyarrow as pa
import pytest

from mainspring.data.conform import conform, truth
from mainspring.monitoring import log, rotation, segments
from mainspring.monitoring.log import Joined
from mainspring.monitoring.segments import Load, SegmentWriter, TrafficFrame
from mainspring.schema import Column, Schema, Target
from mainspring.serving.ids import new_id

from .logged import SCHEMA, make_entry, make_project, write, write_feedback

SECOND = 1_000_000


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


def read(project, schema=SCHEMA, **choice):
    return log.read(project, "delay", schema, **choice)


def test_rows_come_as_they_went(project):
    entry = make_entry(9, keys=[f"k{n}" for n in range(9)])
    write(project, entry)
    found = read(project)
    assert found.ids.tolist() == [f"{entry.prediction}-{n}" for n in range(9)]
    assert found.keys.tolist() == [f"k{n}" for n in range(9)]
    assert found.versions.tolist() == ["1"] * 9
    assert len(found) == len(found.rows) == 9
    assert (abs(found.rows.time - entry.seen * SECOND) < 2).all()
    for name, values in entry.columns.items():
        np.testing.assert_array_equal(found.rows.columns[name], values)
        assert found.rows.columns[name].dtype == values.dtype
    np.testing.assert_array_equal(found.rows.outputs.probabilities, entry.outputs.probabilities)
    assert found.rows.outputs.labels.tolist() == ["true"] * 9
    assert np.isnan(found.rows.truth).all()
    assert found.joined == Joined(0, 0, 0, 0)


def test_nothing_logged_is_no_rows(project):
    found = read(project)
    assert len(found) == 0
    assert found.rows.outputs.probabilities.shape == (0, 2)
    assert found.rows.columns["carrier"].dtype == object


def test_rows_are_in_the_order_of_time_whoever_wrote_them(project):
    write(project, make_entry(seen=103, start=3), make_entry(seen=101, start=1))
    write(project, make_entry(seen=102, start=2))
    assert read(project).rows.columns["distance"].tolist() == [1, 2, 3]


def test_stretches_meet_without_gap_or_overlap(project):
    for n in range(6):
        write(project, make_entry(seen=100 + n, start=n))
        if n == 2:
            rotation.rotate(project)
    middle = 103 * SECOND
    assert len(read(project, until=middle)) == 3
    assert len(read(project, since=middle)) == 3
    assert len(read(project, since=middle, until=middle)) == 0


def test_a_limit_ends_between_two_moments(project):
    write(project, make_entry(3, seen=100), make_entry(4, seen=101), make_entry(2, seen=102))
    first = read(project, limit=4)
    assert len(first) == 7
    rest = read(project, since=int(first.rows.time[-1]) + 1, limit=100)
    assert len(rest) == 2
    assert len(read(project, limit=3)) == 3


def test_what_came_since_is_seen_at_once(project):
    writer = SegmentWriter(segments.folder(project.state, "delay"))
    for n in range(5):
        write(project, make_entry(seen=100 + n), writer=writer)
        assert len(read(project)) == n + 1
    writer.close()
    rotation.rotate(project)
    assert len(read(project)) == 5
    write(project, make_entry(seen=200))
    rotation.rotate(project)
    assert len(read(project)) == 6


def test_versions_and_roles_are_kept_apart(project):
    one, two = make_entry(2), make_entry(version="2")
    shadow = make_entry(2, version="2", role="shadow", prediction=one.prediction)
    for entry in (one, two, shadow):
        write(project, entry)
    for _ in range(2):
        assert read(project, version="1").versions.tolist() == ["1", "1"]
        assert len(read(project, version="2")) == 1
        assert len(read(project)) == 3
        assert len(read(project, version="2", role="shadow")) == 2
        rotation.rotate(project)


def test_feedback_by_id_and_by_key(project):
    now = time.time()
    many, keyed = make_entry(3, seen=now - 10), make_entry(seen=now - 9, keys=["order-1"])
    write(project, many, keyed)
    write_feedback(project, (f"{many.prediction}-1", "", True), ("", "order-1", False), received=now)
    found = read(project)
    np.testing.assert_array_equal(found.rows.truth, [np.nan, 1.0, np.nan, 0.0])
    assert found.joined == Joined(labelled=2, late=0, duplicates=0, unknown=0)


def test_the_newest_feedback_holds(project):
    entry = make_entry()
    write(project, entry)
    now = time.time()
    write_feedback(project, (entry.prediction, "", False), received=now + 2)
    write_feedback(project, (entry.prediction, "", True), received=now + 1)
    found = read(project)
    assert found.rows.truth.tolist() == [0.0]
    assert found.joined.duplicates == 1


def test_a_key_belongs_to_the_newest_row_that_is_not_newer(project):
    now = time.time()
    for n, version in enumerate(("1", "2", "1")):
        write(project, make_entry(seen=now + n, keys=["k"], version=version))
    write_feedback(project, ("", "k", True), received=now + 1.5)
    assert np.isnan(read(project, version="1").rows.truth).all()
    assert read(project, version="1").joined.unknown == 0
    assert read(project, version="2").rows.truth.tolist() == [1.0]
    # Asked for a stretch that ends before, the label still goes where it belongs.
    assert np.isnan(read(project, until=int((now + 0.5) * SECOND)).rows.truth).all()


def test_feedback_reaches_the_shadow_by_the_same_id(project):
    entry = make_entry(keys=["k"])
    shadow = make_entry(version="2", role="shadow", prediction=entry.prediction)
    write(project, entry)
    write(project, shadow)
    write_feedback(project, ("", "k", True))
    assert read(project, role="shadow").rows.truth.tolist() == [1.0]


def test_late_labels_are_joined_and_counted(project):
    now = time.time()
    entry = make_entry(seen=now)
    write(project, entry)
    rotation.rotate(project)
    write_feedback(project, (entry.prediction, "", True), received=now + 5 * 86_400)
    found = read(project, until=int((now + 60) * SECOND))
    assert found.rows.truth.tolist() == [1.0]
    assert found.joined == Joined(labelled=1, late=1, duplicates=0, unknown=0)


def test_labels_without_a_row_are_unknown(project):
    entry = make_entry(2)
    write(project, entry)
    write_feedback(project, (new_id(), "", True), (entry.prediction, "", True), ("", "nobody", True))
    assert read(project).joined == Joined(labelled=0, late=0, duplicates=0, unknown=3)
    # Those of another time are none of this stretch's business.
    assert read(project, since=int((time.time() + 60) * SECOND)).joined.unknown == 0


def test_labels_of_another_type_are_not_taken(project):
    first, second = make_entry(), make_entry()
    write(project, first, second)
    write_feedback(project, (first.prediction, "", 1), (second.prediction, "", "true"))
    assert np.isnan(read(project).rows.truth).all()


def test_numbers_are_the_truth_of_a_regression(project):
    schema = Schema(SCHEMA.features, Target("minutes"))
    entry = make_entry()
    write(project, entry)
    write_feedback(project, (entry.prediction, "", 3))
    found = read(project, schema)
    assert found.rows.truth.tolist() == [3.0]
    assert np.isnan(found.rows.outputs.values).all()  # a classifier's answers are no values


def test_a_column_that_the_log_has_not_is_missing(project):
    schema = Schema((Column("gate", "category"), Column("carrier", "number"), Column("when", "time")), SCHEMA.target)
    write(project, make_entry())
    found = read(project, schema).rows.columns
    assert found["gate"].tolist() == [""]
    assert np.isnan(found["carrier"]).all()
    assert found["when"].tolist() == [-(2**63)]


def test_private_columns_are_read_concealed(tmp_path):
    columns = '[models.delay.columns]\ncarrier = { private = "drop" }\ndistance = { private = "hash" }'
    project = make_project(tmp_path, columns=columns)
    write(project, make_entry(2))
    found = read(project).rows.columns
    assert "carrier" not in found
    assert len(found["distance"][0]) == 16
    [path] = segments.segments(segments.folder(project.state, "delay"))
    assert b"\xa2UA" not in path.read_bytes()


def test_traffic_is_what_ended_in_the_stretch(project):
    loads = [Load("1", n * 10, n * 10 + 10, 1, 0, 0.1, -2.3, 5.3, 1) for n in range(4)]
    writer = SegmentWriter(segments.folder(project.state, "delay"))
    writer.append(TrafficFrame([*loads, Load("2", 0, 10, 1, 1, 0.1, -2.3, 5.3, 1)]))
    writer.close()
    assert log.traffic(project, "delay", "1", 20, 40) == loads[1:3]
    rotation.rotate(project)
    assert log.traffic(project, "delay", "1", 20, 40) == loads[1:3]


def test_labelled_rows_are_a_table_to_learn_from(project):
    entry = make_entry(9)
    write(project, entry)
    write_feedback(project, *((f"{entry.prediction}-{n}", "", n % 2 == 0) for n in range(1, 9)))
    logged = read(project)
    table = log.as_table(logged, SCHEMA, "asked_at")
    assert table.num_rows == 8
    assert table.column_names == ["distance", "night", "carrier", "departs_at", "late", "asked_at"]
    assert table["late"].type == table["night"].type == pa.bool_()
    again = conform(table, SCHEMA.features)
    for name, values in again.items():
        np.testing.assert_array_equal(values, logged.rows.columns[name][1:])
    np.testing.assert_array_equal(truth(table, SCHEMA.target), logged.rows.truth[1:])
    assert log.as_table(logged, SCHEMA, "departs_at").column_names[-1] == "late"


def test_no_labels_are_an_empty_table(project):
    write(project, make_entry())
    table = log.as_table(read(project), SCHEMA)
    assert table.num_rows == 0
    assert table["late"].type == pa.bool_()
