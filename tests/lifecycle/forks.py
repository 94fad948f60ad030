"""Runs the command line in processes that begin with most libraries loaded, by forking one that has loaded them.

Loading takes seconds in which a kill finds nothing to destroy; so a test can kill many fits where it matters.
Run as a program: reads a list of arguments as JSON, a line at a time; answers with the process id, then with its end.
"""

import importlib
import json
import os
import sys

LIBRARIES = (
    "matplotlib.figure",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.tracking.client",
    "onnxmltools",
    "optuna",
    "scipy.stats",
    "skl2onnx",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "xgboost",
)


def fork_on_request() -> None:
    for module in LIBRARIES:
        importlib.import_module(module)
    assert "onnxruntime" not in sys.modules, "it starts threads, which a fork does not take along"
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            from mainspring.cli import main

            sys.argv = ["mainspring", *json.loads(line)]
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            main()
            os._exit(0)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    fork_on_request()
