import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mainspring.errors import RuntimeLoadError
from mainspring.runtimes.onnx import OnnxRuntime, Stop
from mainspring.schema import Column, Schema

from . import graphs


def test_numbers():
    outputs = OnnxRuntime(graphs.double(), graphs.DOUBLE).predict(graphs.rows(1.5, -2.0, plan="plus"))
    assert outputs.values.tolist() == [103.0, 96.0]
    assert outputs.values.dtype == np.float64
    assert outputs.labels is outputs.probabilities is None
    assert len(outputs) == 2


def test_classes():
    outputs = OnnxRuntime(graphs.sign(), graphs.SIGN).predict(graphs.rows(0.25, 0.5))
    assert outputs.labels.tolist() == ["false", "true"]
    assert outputs.probabilities.tolist() == [[0.75, 0.25], [0.5, 0.5]]
    assert outputs.values is None
    assert len(outputs) == 2


@pytest.mark.parametrize(("graph", "schema"), [(graphs.double(), graphs.DOUBLE), (graphs.sign(), graphs.SIGN)])
@pytest.mark.parametrize("rows", [1, 7, 8, 20])
def test_chunks_are_put_together(graph, schema, rows):
    runtime, asked = OnnxRuntime(graph, schema), graphs.rows(*np.linspace(0, 1, rows))
    whole, parts = runtime.predict(asked), runtime.predict_in_chunks(asked, rows=7)
    for one, other in zip(vars(whole).values(), vars(parts).values(), strict=True):
        assert np.array_equal(one, other) if one is not None else other is None


def test_no_rows_are_no_answers():
    assert len(OnnxRuntime(graphs.double(), graphs.DOUBLE).predict_in_chunks(graphs.rows())) == 0


def test_the_order_of_columns_does_not_matter():
    turned = Schema(graphs.DOUBLE.features[::-1], graphs.DOUBLE.target)
    asked = graphs.rows(1.0)
    runtime = OnnxRuntime(graphs.double(), turned)
    assert runtime.predict(dict(reversed(asked.items()))).values.tolist() == [2.0]


@pytest.mark.parametrize(
    "features",
    [(graphs.SIZE,), (graphs.SIZE, graphs.PLAN, Column("more", "number")), (graphs.SIZE, Column("Plan", "category"))],
    ids=["one too few", "one too many", "another"],
)
def test_inputs_that_are_not_the_schemas_are_refused(features):
    with pytest.raises(RuntimeLoadError, match=r"the graph takes \{'plan': .*, but the schema says"):
        OnnxRuntime(graphs.double(), Schema(features, graphs.DOUBLE.target))


@pytest.mark.parametrize("content", [b"", b"not a graph", graphs.double()[:-20], b"\x00" * 100])
def test_what_is_no_graph_is_refused(content, tmp_path):
    with pytest.raises(RuntimeLoadError, match="the graph cannot be loaded"):
        OnnxRuntime(content, graphs.DOUBLE)
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(RuntimeLoadError, match=r"model\.onnx cannot be loaded"):
        OnnxRuntime(tmp_path / "model.onnx", graphs.DOUBLE)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(RuntimeLoadError, match=r"model\.onnx cannot be loaded"):
        OnnxRuntime(tmp_path / "model.onnx", graphs.DOUBLE)


@pytest.mark.parametrize(
    ("graph", "schema"),
    [
        (graphs.double(), Schema((Column("size", "category"), graphs.PLAN), graphs.DOUBLE.target)),
        (graphs.double(), graphs.SIGN),
        (graphs.double(output="price"), graphs.DOUBLE),
    ],
    ids=["another type", "a number for labels", "another output"],
)
def test_types_and_outputs_that_are_not_the_schemas_are_refused(graph, schema):
    with pytest.raises(RuntimeLoadError):
        OnnxRuntime(graph, schema)


def test_threads_may_ask_at_once():
    runtime = OnnxRuntime(graphs.double(), graphs.DOUBLE)

    def ask(size: int) -> list[float]:
        return runtime.predict(graphs.rows(*[float(size)] * 50)).values.tolist()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(200))) == [[2.0 * size] * 50 for size in range(200)]


def test_a_run_can_be_stopped():
    runtime, stop = OnnxRuntime(graphs.double(), graphs.DOUBLE), Stop()
    assert runtime.predict(graphs.rows(1.0), stop).values.tolist() == [2.0]
    stop()
    with pytest.raises(Exception, match="terminate"):
        runtime.predict(graphs.rows(1.0), stop)
    assert runtime.predict(graphs.rows(1.0)).values.tolist() == [2.0]


def test_no_training_library_is_imported():
    program = (
        "import sys, mainspring.runtimes.onnx, mainspring.runtimes.golden, mainspring.runtimes.records\n"
        "print({'sklearn', 'xgboost', 'optuna', 'mlflow', 'onnx', 'scipy', 'pyarrow'} & set(sys.modules) or 'light')"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "light"
