"""Two Parquet files alike, of 30 numbers, 15 categories of 3 to 50 levels and 5 booleans, some with holes.

python speed_tables.py ROWS FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

NUMBERS = tuple(f"number {place:02}" for place in range(30))
CATEGORIES = {f"category {place:02}": int(levels) for place, levels in enumerate(np.linspace(3, 50, 15))}
BOOLEANS = tuple(f"boolean {place}" for place in range(5))
COLUMNS = (*NUMBERS, *CATEGORIES, *BOOLEANS)
ROWS_A_GROUP = 100_000


def table(rows: int, random: np.random.Generator) -> pa.Table:
    """Numbers are normal, log-normal or half zeros, in turn. Every fifth column has 5 % of holes."""
    columns: dict[str, pa.Array] = {}
    for place, name in enumerate(NUMBERS):
        normal = random.normal(size=rows)
        values = (normal, np.exp(normal), np.maximum(normal, 0.0))[place % 3]
        columns[name] = pa.array(values, mask=holes(place, rows, random))
    for place, (name, levels) in enumerate(CATEGORIES.items()):
        shares = np.arange(levels, 0, -1.0)
        codes = random.choice(levels, rows, p=shares / shares.sum()).astype(np.int32)
        names = pa.array([f"level {level}" for level in range(levels)])
        columns[name] = pa.DictionaryArray.from_arrays(pa.array(codes, mask=holes(place, rows, random)), names)
        columns[name] = columns[name].cast(pa.string())
    for place, name in enumerate(BOOLEANS):
        columns[name] = pa.array(random.random(rows) < 0.1 + 0.2 * place)
    return pa.table(columns)


def holes(place: int, rows: int, random: np.random.Generator) -> np.ndarray | None:
    return random.random(rows) < 0.05 if place % 5 == 0 else None


if __name__ == "__main__":
    for seed, name in enumerate(("reference", "live")):
        made = table(int(sys.argv[1]), np.random.default_rng(seed))
        pq.write_table(made, Path(sys.argv[2]) / f"{name}.parquet", row_group_size=ROWS_A_GROUP)
