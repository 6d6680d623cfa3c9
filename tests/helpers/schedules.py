"""Short schedules for the toy runner."""

from __future__ import annotations

from mbo_search.study.spec.schedule import LrShape, Schedule, Stage


def stage(name: str, share: float, **settings: object) -> Stage:
    values: dict[str, object] = {"optimizer": "adamw", "lr": 0.1, "name": name, "share": share}
    return Stage.model_validate(values | settings)


def constant_then_linear(first_share: float, **last: object) -> Schedule:
    return Schedule(
        stages=(
            stage("trunk", first_share),
            stage(
                "cool",
                round(1 - first_share, 6),
                **({"optimizer": "lion", "lr_shape": LrShape(kind="linear"), "hand_over": "reset"} | last),
            ),
        )
    )
