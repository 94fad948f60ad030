"""NannyML's monitors at their defaults, in chunks of a window.

The drift and the missing values of each column (inputs, probability and label), the performance estimated without
labels (CBPE), and the realised performance; both performances as ROC AUC. Their thresholds come from the reference, cut
into chunks alike.
"""

import logging
import warnings

import nannyml as nml
import pandas as pd
from cells import Alerts, main
from streams import CATEGORIES, NUMBERS, WINDOW_ROWS, Rows, Stream

COLUMNS = [*NUMBERS, *CATEGORIES, "probability", "label"]


def frame(rows: Rows) -> pd.DataFrame:
    answers = {"probability": rows.probability, "prediction": (rows.probability > 0.5).astype(int), "label": rows.label}
    return pd.DataFrame(rows.columns).assign(**answers)


def watch(stream: Stream) -> Alerts:
    reference, live = frame(stream.reference), pd.concat(map(frame, stream.windows), ignore_index=True)
    drift = nml.UnivariateDriftCalculator(COLUMNS, treat_as_categorical=["active", "label"], chunk_size=WINDOW_ROWS)
    missing = nml.MissingValuesCalculator(COLUMNS, chunk_size=WINDOW_ROWS)
    classifier = {"y_pred_proba": "probability", "y_pred": "prediction", "y_true": "label"}
    classifier |= {"problem_type": "classification_binary", "metrics": ["roc_auc"], "chunk_size": WINDOW_ROWS}
    estimated, realised = nml.CBPE(**classifier), nml.PerformanceCalculator(**classifier)
    for monitor in (drift, missing, estimated, realised):
        monitor.fit(reference)
    return {
        "NannyML, any column": alerts(drift.calculate(live)),
        "NannyML, missing values": alerts(missing.calculate(live)),
        "NannyML, estimated performance": alerts(estimated.estimate(live)),
        "NannyML, realised performance": alerts(realised.calculate(live)),
    }


def alerts(result: object) -> list[list[str]]:
    """The names with an alert, for each chunk of what was watched."""
    table = result.filter(period="analysis").to_df()
    flags = table.loc[:, [column for column in table.columns if column[-1] == "alert"]]
    return [[column[0] for column in flags.columns if row[column]] for _, row in flags.iterrows()]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    main(watch)
