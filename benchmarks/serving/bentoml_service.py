"""The pipeline behind BentoML: bentoml serve bentoml_service:Flights (or BatchingFlights, with adaptive batching)."""

from typing import Any

import bentoml
import pandas as pd

_SETTINGS: dict[str, Any] = {"workers": 1, "logging": {"access": {"enabled": False}}}


@bentoml.service(**_SETTINGS)
class Flights:
    model = bentoml.models.BentoModel("flights:latest")

    def __init__(self) -> None:
        self.pipeline = bentoml.sklearn.load_model(self.model)

    @bentoml.api
    def predict(self, records: list[dict[str, Any]], /) -> list[list[float]]:
        return self.pipeline.predict_proba(pd.DataFrame(records)).tolist()


@bentoml.service(**_SETTINGS)
class BatchingFlights:
    model = bentoml.models.BentoModel("flights:latest")

    def __init__(self) -> None:
        self.pipeline = bentoml.sklearn.load_model(self.model)

    @bentoml.api(batchable=True, max_batch_size=3200)
    def predict(self, records: list[dict[str, Any]], /) -> list[list[float]]:
        return self.pipeline.predict_proba(pd.DataFrame(records)).tolist()
