"""`mainspring init`."""

from __future__ import annotations

import csv
import math
import random
from pathlib import Path

import click

from mainspring.errors import MainspringError
from mainspring.spec import FILE_NAME

_SPEC = """\
# A Mainspring project. An unknown or wrong key is answered with what is allowed.

[project]
name = "{name}"

[models.returns]
task = "classification"       # or "regression"
data = "data/orders.csv"      # CSV, TSV, Parquet, Arrow, JSON lines, a glob, a SQL URL with a query, module:function
target = "returned"           # the column to predict
time = "ordered_at"           # orders the rows: the newest are held out to judge by
metric = "roc_auc"            # what "better" means
budget = 12                   # trials; or a duration such as "60s"
"""
_IGNORED = ".mainspring/\n"
_ORDERS = 1500
_COLUMNS = ["order_id", "ordered_at", "category", "price", "items", "new_customer", "delivery_days", "returned"]


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
def init(directory: Path) -> None:
    """Write a small working project into DIRECTORY: made-up orders of a shop, and a model of which come back."""
    if (directory / FILE_NAME).exists():
        raise MainspringError(f"{directory / FILE_NAME} is there already: choose another folder")
    (directory / "data").mkdir(parents=True, exist_ok=True)
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in directory.resolve().name.lower()).strip("-")
    name = (name if name[:1].isalpha() else f"project-{name}".rstrip("-"))[:63]
    _write_orders(directory / "data" / "orders.csv")
    if not (directory / ".gitignore").exists():
        (directory / ".gitignore").write_text(_IGNORED, encoding="utf-8")
    (directory / FILE_NAME).write_text(_SPEC.format(name=name), encoding="utf-8")
    click.echo(
        f"wrote {directory / FILE_NAME} and {directory / 'data' / 'orders.csv'}\n\n"
        f"next:  cd {directory}\n"
        "       mainspring fit        # try candidates, judge the best, promote it\n"
        "       mainspring serve      # answer at http://127.0.0.1:8000"
    )


def _write_orders(path: Path) -> None:
    """Orders over a year; large ones of clothes by new customers come back most often."""
    draw = random.Random(7)
    goods = {"shoes": 0.5, "clothes": 0.9, "books": -1.4, "toys": -0.4, "kitchen": -0.7}
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(_COLUMNS)
        for order in range(_ORDERS):
            minute = int(order * 525_600 / _ORDERS)
            day, in_day = divmod(minute, 1440)
            month, of_month = divmod(day, 31)
            category = draw.choice(list(goods))
            price = round(math.exp(draw.gauss(3.4, 0.7)), 2)
            items = 1 + min(7, int(draw.expovariate(0.7)))
            new = draw.random() < 0.35
            days = None if draw.random() < 0.05 else 1 + int(draw.expovariate(0.4))
            late = 0.12 * (days or 3)
            score = 1.5 * goods[category] + 1.2 * (math.log(price) - 3.4) + 0.4 * items + 1.4 * new + late - 2.6
            returned = draw.random() < 1 / (1 + math.exp(-score))
            at = f"2025-{month + 1:02d}-{min(28, of_month + 1):02d}T{in_day // 60:02d}:{in_day % 60:02d}:00"
            row = [100_000 + order, at, category, price, items, str(new).lower(), days, str(returned).lower()]
            rows.writerow(row)
