"""Puts the fitted pipeline into BentoML's model store: python bentoml_save.py PIPELINE.joblib"""

import sys

import bentoml
import joblib

if __name__ == "__main__":
    bentoml.sklearn.save_model("flights", joblib.load(sys.argv[1]), signatures={"predict_proba": {"batchable": True}})
