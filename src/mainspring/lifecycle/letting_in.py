"""How a challenger is let in: by its verdict and by what `[models.NAME.renew]` says of the rollout."""

from __future__ import annotations

from mainspring.lifecycle import promote
from mainspring.lifecycle.progress import Result
from mainspring.registry import desired, history, tracking
from mainspring.registry.versions import Version
from mainspring.spec import Project


def let_in(project: Project, version: Version, store: tracking.Tracking | None, seconds: float) -> Result:
    """By the verdict and the policy: promoted, tried in live traffic first, or kept. There is a champion."""
    model = version.manifest.model
    policy = project.models[model].renew
    rollout = policy.rollout
    verdict, metrics = version.manifest.verdict, version.manifest.metrics
    passed = verdict["decision"] == "promote"
    if passed and rollout == "full":
        promote.promote(project, model, version.name, reason=verdict["reason"], watched=True)
        return Result(model, "promoted", version.name, verdict["reason"], seconds, verdict, metrics)
    if store:
        store.set_alias(model, tracking.CHALLENGER, version.name)
    if not passed:
        return Result(model, "kept", version.name, verdict["reason"], seconds, verdict, metrics)
    if rollout == "shadow":
        desired.set_shadow(project.state, model, version.name)
        what = "answers beside the champion, unheard"
    else:
        desired.set_canary(project.state, model, version.name, policy.share)
        what = f"takes {policy.share:.0%} of the traffic"
    message = f"{verdict['reason']}; it {what} for {policy.trial:,.0f} s before it is promoted"
    history.append(project.state, model, "rollout", version.name, message, phase="begin", rollout=rollout)
    return Result(model, "trial", version.name, message, seconds, verdict, metrics)
