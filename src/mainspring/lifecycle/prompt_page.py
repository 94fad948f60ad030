"""The report of a prompt program as one page of HTML: the verdict, who answered how well at what cost, the trials.

Dressed by the style sheet of the report of a table's version (see `report_page`).
"""

from __future__ import annotations

from importlib.resources import files

from mainspring.lifecycle.prompt_report import PromptReport
from mainspring.lifecycle.replay_page import style
from mainspring.lifecycle.wording import count, date, duration, measured, metric_name, number, sentence

_SPLITS = {
    "hash": "by a hash of each question: equal ones are on one side",
    "group": "by group: no group is on both sides",
    "time": "by time: the newest are held out",
}


def render(report: PromptReport) -> str:
    """The page, as the text of a UTF-8 HTML file."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"count": count, "duration": duration, "number": number, "sentence": sentence}
    template = environment.from_string((files("mainspring.lifecycle") / "prompt.html.jinja").read_text("utf-8"))
    return template.render(
        report=report,
        style=Markup(style()),
        date=date(report.created),
        metric=metric_name(report.metric),
        split=_SPLITS[report.split],
        measured=lambda one, name: measured(one["metrics"][name])[:2],
    )
