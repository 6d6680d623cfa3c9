"""Numbers as the pages write them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mbo_search.results.evidence.ranking_values import Estimate
from mbo_search.results.records.describe import custom_settings
from mbo_search.study.spec.dimensions.table import dimension_words
from mbo_search.study.spec.schedule import Stage
from mbo_search.units import format_count


def format_perplexity(loss_nats: float | None) -> str:
    """Perplexity of a loss with four significant digits; `-` where there is none.

    >>> format_perplexity(3.0), format_perplexity(None), format_perplexity(900.0)
    ('20.09', '-', '> 1e9')
    """
    if loss_nats is None:
        return "-"
    if loss_nats > math.log(1e9):
        return "> 1e9"
    value = math.exp(loss_nats)
    return f"{value:.2f}" if value < 100 else f"{value:.1f}" if value < 10_000 else format_count(value)


def format_loss(loss_nats: float | None) -> str:
    """A loss in nats with four decimals; `-` where there is none."""
    return "-" if loss_nats is None else f"{loss_nats:.4f}"


def format_lr(value: float) -> str:
    """A learning rate with three significant digits.

    >>> format_lr(0.00123), format_lr(0.02), format_lr(4.5e-05)
    ('1.23e-3', '2e-2', '4.5e-5')
    """
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def format_percent(share: float) -> str:
    """A share in whole percent, with a space that does not break.

    >>> format_percent(0.174).replace(chr(160), " ")
    '17 %'
    """
    return f"{share * 100:.0f}\u00a0%"


def format_number(value: float | int | str) -> str:
    """A setting: names as they are, numbers with three significant digits.

    >>> format_number("cosine"), format_number(0.1), format_number(0.000123)
    ('cosine', '0.1', '1.23e-4')
    """
    if isinstance(value, str):
        return value
    if value == 0:
        return "0"
    return f"{value:.3g}" if 0.001 <= abs(value) < 100_000 else format_lr(value)


def format_duration(seconds: float, names: Mapping[str, str]) -> str:
    """A duration with its two leading units, in the words of a page.

    >>> words = {"seconds": "{seconds} s", "minutes": "{minutes} min {seconds} s"}
    >>> [format_duration(value, words) for value in (4.25, 75)]
    ['4.2 s', '1 min 15 s']
    """
    if seconds < 60:
        return names["seconds"].format(seconds=f"{seconds:.1f}")
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return names["minutes"].format(minutes=minutes, seconds=rest)
    return names["hours"].format(hours=minutes // 60, minutes=minutes % 60)


def change_percent(loss_nats: float, reference_nats: float) -> float:
    """By how many percent the perplexity of a loss differs from that of another; negative is better.

    >>> round(change_percent(3.0, 3.1), 2)
    -9.52
    """
    return (math.exp(min(loss_nats - reference_nats, 700.0)) - 1.0) * 100.0


def signed_percent(percent: float) -> str:
    """A gain with its sign, a real minus and a space that does not break: positive is better.

    >>> signed_percent(1.234).replace(chr(160), " "), signed_percent(-0.5).replace(chr(160), " ")
    ('+1.23 %', '\u22120.50 %')
    """
    return f"{_signed(percent)}\u00a0%"


def gain_interval(gain: Estimate) -> str:
    """A gain with both ends of its interval, all with the same sign convention: positive is better.

    >>> gain_interval(Estimate(mean=1.2, low=0.4, high=2.0, level=0.95)).replace(chr(160), " ")
    '+1.20 % [+0.40, +2.00]'
    """
    interval = "" if gain.low is None or gain.high is None else f" [{_signed(gain.low)}, {_signed(gain.high)}]"
    return f"{signed_percent(gain.mean)}{interval}"


def signed_number(value: float, digits: int) -> str:
    """A number with its sign, and with so many decimals; what is written as zero has none.

    >>> signed_number(1.25, 1), signed_number(-0.04, 1)
    ('+1.2', '0.0')
    """
    text = f"{abs(value):.{digits}f}"
    sign = "" if float(text) == 0 else "\u2212" if value < 0 else "+"
    return f"{sign}{text}"


def _signed(value: float) -> str:
    digits = 2 if abs(value) < 100 else 0
    text = f"{abs(value):.{digits}f}"
    if abs(value) > 1e6 or not math.isfinite(value):
        text = f"{abs(value):.1e}"
    sign = "" if float(text) == 0 else "\u2212" if value < 0 else "+"
    return f"{sign}{text}"


def stage_facts(stage: Stage, names: Mapping[str, str]) -> dict[str, str]:
    """All that a stage uses, by setting, in the order in which people ask for it; empty where nothing is set.

    Further settings and those of the user's own are there only where a stage has some.

    Choices are said in the words of a page where it has some; names of the catalogue stay.

    >>> facts = stage_facts(Stage(name="cool", share=0.3, optimizer="adamw", lr=0.001), {})
    >>> facts["optimizer"], facts["share"], facts["clip_norm"], facts["regularizers"]
    ('adamw', '30 %', '1', '')
    """
    return {
        "optimizer": stage.optimizer,
        "lr": ", ".join([format_lr(stage.lr), *_lr_parts(stage)]),
        "lr_shape": _named(stage.lr_shape.kind, stage.lr_shape.hparams),
        "share": f"{stage.share * 100:g} %",
        "warmup": f"{stage.warmup * 100:g} %" if stage.warmup else "",
        "weight_decay": ", ".join([format_number(stage.weight_decay), *_parts(stage.weight_decays)]),
        "clip_norm": names.get("choice_off", "off") if stage.clip_norm is None else format_number(stage.clip_norm),
        "regularizers": ", ".join(f"{r.kind} {format_number(r.strength)}" for r in stage.regularizers),
        "trainable": _trainable(stage),
        "hand_over": names.get(f"choice_{stage.hand_over}", stage.hand_over or ""),
        "hparams": ", ".join(f"{name} {format_number(value)}" for name, value in sorted(stage.hparams.items())),
        **dimension_words(stage),
        **({"custom": _custom(stage)} if stage.custom else {}),
    }


def _custom(stage: Stage) -> str:
    return ", ".join(f"{name} {value}" for name, value in custom_settings(stage).items())


def _trainable(stage: Stage) -> str:
    """The blocks that learn, and the adapters that are put beside them."""
    adapter = stage.adapter
    if adapter is None:
        return "" if stage.trainable == "all" else stage.trainable
    settings = [f"rank {adapter.rank}", f"alpha {format_number(adapter.alpha)}"]
    settings += [f"dropout {format_number(adapter.dropout)}"] if adapter.dropout else []
    settings += [] if adapter.targets == "auto" else [adapter.targets]
    return f"{stage.trainable} ({', '.join(settings)})"


def _lr_parts(stage: Stage) -> list[str]:
    """Learning rates of parts of the model, as far as they are not the stage's."""
    layers = [] if stage.layer_decay is None else [f"layer_decay {format_number(stage.layer_decay)}"]
    ratios = (f"{kind} x {format_number(ratio)}" for kind, ratio in stage.lr_ratios.items())
    return [*layers, *ratios]


def _parts(numbers: Mapping[str, float]) -> list[str]:
    return [f"{kind} {format_number(number)}" for kind, number in numbers.items()]


def _named(kind: str, hparams: dict[str, float | str]) -> str:
    inner = ", ".join(f"{name} {format_number(value)}" for name, value in sorted(hparams.items()) if value != 0)
    return f"{kind} ({inner})" if inner else kind
