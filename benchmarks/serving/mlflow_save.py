"""Saves the fitted pipeline as an MLflow model: python mlflow_save.py PIPELINE.joblib FLIGHTS.parquet FOLDER"""

import sys

import joblib
import mlflow.sklearn
import pandas as pd
import pipeline

if __name__ == "__main__":
    fitted = joblib.load(sys.argv[1])
    example = pd.read_parquet(sys.argv[2])[pipeline.COLUMNS].head(1000)
    mlflow.sklearn.save_model(
        fitted,
        sys.argv[3],
        signature=mlflow.models.infer_signature(example, fitted.predict_proba(example)),
        pyfunc_predict_fn="predict_proba",
        serialization_format="cloudpickle",
        code_paths=[pipeline.__file__],
        pip_requirements=[],
    )
