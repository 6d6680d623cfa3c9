"""Rules for the limits of schedules: some schedule keeps them, and every stage is trained in some."""

from __future__ import annotations

from collections.abc import Iterator

from mbo_search.errors import Problem
from mbo_search.study.checks.written import shown
from mbo_search.study.space.route_parameters import has_routes, routes_of
from mbo_search.study.space.routes import Routes
from mbo_search.study.space.space import resolved_stages
from mbo_search.study.spec.study import StudySpec


def check_limits(study: StudySpec) -> Iterator[Problem]:
    """Some schedule keeps the limits, and every stage is trained in some schedule that does."""
    stages = resolved_stages(study)
    if not has_routes(stages, study.at_most):
        return
    always = [axes.name for axes in stages if not axes.is_optional]
    if study.at_most.stages is not None and study.at_most.stages < len(always):
        rule = f"is too low for the stages that are always trained, {', '.join(always)}"
        hint = "raise it, or let their shares be 0 as well, as in `share: [0, 0.2]`"
        yield Problem(key="at_most.stages", value=str(study.at_most.stages), rule=rule, hint=hint)
        return
    routes = routes_of(stages, study.at_most)
    if not routes.exist:
        rule = f"are kept by no schedule of the stages that are always trained, {', '.join(always)}"
        yield Problem(key="at_most", value=shown(study.at_most.model_dump()), rule=rule, hint="raise one of them")
        return
    yield from _never_trained(study, routes)


def _never_trained(study: StudySpec, routes: Routes) -> Iterator[Problem]:
    """A stage that the limits forbid in every schedule is a mistake in one of the two."""
    limits = shown(study.at_most.model_dump())
    for index in range(len(study.stages)):
        if not any(routes.optimizers(index, before) for before in routes.before(index)):
            rule = f"is above 0 in no schedule that keeps `at_most: {limits}`"
            hint = "take the stage out, or raise the limit"
            yield Problem(key=f"stages.{index}.share", value=shown(study.stages[index].share), rule=rule, hint=hint)
