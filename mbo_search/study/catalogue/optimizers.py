"""The catalogue's optimizers: what each is, its settings, and learning rates that work untuned.

Learning rates are peaks at width 256 for small models; for other widths they scale with (256 / width) to the power
width_exponent. Adam-like optimizers and Lion follow 1 / width, as hidden matrices do in maximal-update
parametrization (Yang et al. 2022, arXiv:2203.03466): AdamW's best of a factor-two grid was at or above 0.016 at
width 48, 0.0065 at 96 and 0.0023 at 192 (200 steps of 1024 tokens of Python documentation, linear decay, one
seed). An orthogonalized step has the same spectrum whatever the width, so Muon follows 1 / sqrt(width) (Yang,
Simon & Bernstein 2023, arXiv:2310.17813). At width 96 no rate on the grids around the references was better than
them by more than 0.06 nats. The ranges lie around the optima published for 130 M parameters (Wen et al. 2025,
arXiv:2509.02046; Semenov et al. 2025, arXiv:2509.01440).

Weight decay is decoupled everywhere: weights shrink by lr * weight_decay at each step. Two have none: `adam`,
whose decay is the regularizer `l2`, and `muonh`, whose matrices keep their norms. A step of `muonh` is an angle
and one of `adafactor` a share of the weights' size, which do not depend on the width; but that of `muonh` also
sets the rate of its AdamW part, so it follows 1 / sqrt(width). At width 96 (120 steps of 512 tokens, linear decay,
one seed) `muonh` was best at or above 0.04, with `aux_lr_ratio` from 0.3 to 0.6, and `adafactor` at 0.15.
"""

from __future__ import annotations

from types import MappingProxyType

from mbo_search.extensions import OPTIMIZER_GROUP, Registry, by_name
from mbo_search.study.catalogue.entries import Hparam, OptimizerDefinition, WithinStage


def _beta1(
    default: float, summary: str = "decay of the mean of gradients", *, within_stage: WithinStage = "distance"
) -> Hparam:
    return Hparam(default=default, low=0.0, high=0.999, within_stage=within_stage, summary=summary)


def _beta2(
    default: float,
    summary: str = "decay of the mean of squared gradients",
    *,
    within_stage: WithinStage = "distance",
) -> Hparam:
    return Hparam(default=default, low=0.5, high=0.99999, within_stage=within_stage, summary=summary)


_AUX_LR_RATIO = Hparam(
    default=1.0,
    low=0.01,
    high=10.0,
    summary="lr of the AdamW part (embeddings, head, norms) over that of the matrices",
)

OPTIMIZERS = Registry(
    OPTIMIZER_GROUP,
    OptimizerDefinition,
    by_name(
        OptimizerDefinition(
            name="adafactor",
            implementation="mbo_search.optim.constructors:ADAFACTOR",
            summary="second moments by rows and columns; steps relative to a weight's size, at most step ** -0.5",
            paper="Shazeer & Stern 2018, arXiv:1804.04235",
            library="torch.optim.Adafactor",
            reference_lr=1.0e-1,
            lr_low=1.0e-2,
            lr_high=5.0e-1,
            width_exponent=0.0,
            hparams=MappingProxyType(
                {
                    "decay_power": Hparam(
                        default=0.8,
                        low=0.1,
                        high=1.0,
                        summary="second moments forget by step ** -this; 1 is their plain mean",
                    )
                }
            ),
            state_floats=0.1,
            second_moments=True,
            family="adafactor",
        ),
        OptimizerDefinition(
            name="adam",
            implementation="mbo_search.optim.constructors:ADAM",
            summary="Adam without decoupled decay",
            paper="Kingma & Ba 2015, arXiv:1412.6980",
            library="torch.optim.Adam",
            reference_lr=2.0e-3,
            lr_low=3.0e-4,
            lr_high=1.0e-2,
            width_exponent=1.0,
            hparams=MappingProxyType({"beta1": _beta1(0.9), "beta2": _beta2(0.95)}),
            state_floats=2.0,
            second_moments=True,
            family="adam",
            decoupled_decay=False,
        ),
        OptimizerDefinition(
            name="adamw",
            implementation="mbo_search.optim.constructors:ADAMW",
            summary="Adam with decoupled decay, the usual choice",
            paper="Loshchilov & Hutter 2019, arXiv:1711.05101",
            library="torch.optim.AdamW",
            reference_lr=2.0e-3,
            lr_low=3.0e-4,
            lr_high=1.0e-2,
            width_exponent=1.0,
            hparams=MappingProxyType({"beta1": _beta1(0.9), "beta2": _beta2(0.95)}),
            state_floats=2.0,
            second_moments=True,
            family="adam",
        ),
        OptimizerDefinition(
            name="ademamix",
            implementation="mbo_search.optim.constructors:ADEMAMIX",
            summary="AdamW with a second, much slower mean of gradients",
            paper="Pagliardini, Ablin & Grangier 2024, arXiv:2409.03137",
            library="pytorch_optimizer.AdEMAMix",
            reference_lr=2.0e-3,
            lr_low=3.0e-4,
            lr_high=5.0e-3,
            width_exponent=1.0,
            hparams=MappingProxyType(
                {
                    "alpha": Hparam(default=2.0, low=0.0, high=20.0, summary="weight of the slow mean at the end"),
                    "beta1": Hparam(
                        default=0.9, low=0.1, high=0.999, summary="decay of the fast mean of gradients"
                    ),
                    "beta2": _beta2(0.99, within_stage="fixed"),
                    "beta3": Hparam(
                        default=0.999, low=0.9, high=0.99999, summary="decay of the slow mean at the end"
                    ),
                }
            ),
            state_floats=3.0,
            second_moments=True,
            family="ademamix",
            clocked_by_budget=True,
        ),
        OptimizerDefinition(
            name="lion",
            implementation="mbo_search.optim.constructors:LION",
            summary="steps of equal size along the sign of a mean of gradients",
            paper="Chen et al. 2023, arXiv:2302.06675",
            library="pytorch_optimizer.Lion",
            reference_lr=6.0e-4,
            lr_low=1.0e-4,
            lr_high=2.0e-3,
            width_exponent=1.0,
            hparams=MappingProxyType(
                {
                    "beta1": _beta1(0.9, "share of the mean in the direction of the step"),
                    "beta2": _beta2(0.95, "decay of the mean of gradients"),
                }
            ),
            state_floats=1.0,
            second_moments=False,
            family="sign",
        ),
        OptimizerDefinition(
            name="muon",
            implementation="mbo_search.optim.constructors:MUON",
            auxiliary="adamw",
            summary="orthogonalized momentum for hidden matrices, at AdamW's step size; AdamW for the rest",
            paper="Jordan et al. 2024, kellerjordan.github.io/posts/muon; Liu et al. 2025, arXiv:2502.16982",
            library="torch.optim.Muon",
            reference_lr=4.0e-3,
            lr_low=3.0e-4,
            lr_high=1.0e-2,
            width_exponent=0.5,
            hparams=MappingProxyType(
                {
                    "aux_lr_ratio": _AUX_LR_RATIO,
                    "beta1": _beta1(0.9, "decay of the mean of gradients, AdamW part"),
                    "beta2": _beta2(0.95, "decay of the mean of squared gradients, AdamW part"),
                    "momentum": Hparam(
                        default=0.95,
                        low=0.0,
                        high=0.999,
                        within_stage="distance",
                        summary="decay of the momentum, matrices",
                    ),
                }
            ),
            state_floats=1.2,
            second_moments=True,
            family="muon",
            pretrained_warning=(
                "is reported to lose to AdamW in full training of models that AdamW has pretrained, and by less "
                "with adapters (Qu, Huang & Horvath 2026, arXiv:2605.10468)"
            ),
        ),
        OptimizerDefinition(
            name="muonh",
            implementation="mbo_search.optim.constructors:MUONH",
            auxiliary="adamw",
            summary="Muon that turns hidden matrices and keeps their norms; AdamW for the rest; nothing decays",
            paper="Wen et al. 2026, Hyperball, arXiv:2606.16899",
            library="mbo_search.optim.library.MuonH",
            reference_lr=2.5e-2,
            lr_low=3.0e-3,
            lr_high=1.0e-1,
            width_exponent=0.5,
            hparams=MappingProxyType(
                {
                    "aux_lr_ratio": Hparam(
                        default=0.3,
                        low=0.01,
                        high=10.0,
                        summary="lr of the AdamW part (embeddings, head, norms) over the angle of a step",
                    ),
                    "beta1": _beta1(0.9, "decay of the mean of gradients, AdamW part"),
                    "beta2": _beta2(0.95, "decay of the mean of squared gradients, AdamW part"),
                    "momentum": Hparam(
                        default=0.95,
                        low=0.0,
                        high=0.999,
                        within_stage="distance",
                        summary="decay of the momentum, matrices",
                    ),
                }
            ),
            state_floats=1.2,
            second_moments=True,
            family="muon",
            decoupled_decay=False,
        ),
        OptimizerDefinition(
            name="nadamw",
            implementation="mbo_search.optim.constructors:NADAMW",
            summary="AdamW with Nesterov's look ahead",
            paper="Dozat 2016, openreview OM0jvwB8jIp57ZJjtNEZ",
            library="torch.optim.NAdam",
            reference_lr=2.5e-3,
            lr_low=1.0e-3,
            lr_high=1.2e-2,
            width_exponent=1.0,
            hparams=MappingProxyType(
                {
                    "beta1": _beta1(0.95),
                    "beta2": _beta2(0.98),
                    "momentum_decay": Hparam(
                        default=0.004, low=0.0, high=10.0, summary="how fast the look-ahead rises to beta1"
                    ),
                }
            ),
            state_floats=2.0,
            second_moments=True,
            family="adam",
        ),
        OptimizerDefinition(
            name="sf_adamw",
            implementation="mbo_search.optim.schedule_free:SCHEDULE_FREE",
            summary="AdamW whose averaged weights replace the decay of the learning rate",
            paper="Defazio et al. 2024, The Road Less Scheduled, arXiv:2405.15682",
            library="pytorch_optimizer.ScheduleFreeAdamW",
            reference_lr=3.0e-3,
            lr_low=5.0e-4,
            lr_high=1.0e-2,
            width_exponent=1.0,
            hparams=MappingProxyType(
                {
                    "beta1": Hparam(
                        default=0.9, low=0.1, high=0.999, summary="share of the average in the weights that learn"
                    ),
                    "beta2": _beta2(0.99, within_stage="fixed"),
                }
            ),
            state_floats=2.0,
            second_moments=True,
            family="schedule_free",
            constant_lr_only=True,
        ),
        OptimizerDefinition(
            name="sgd_nesterov",
            implementation="mbo_search.optim.constructors:SGD_NESTEROV",
            summary="gradient descent with Nesterov momentum",
            paper="Sutskever et al. 2013, ICML 28",
            library="torch.optim.SGD",
            reference_lr=0.2,
            lr_low=1.0e-2,
            lr_high=1.0,
            width_exponent=0.0,
            hparams=MappingProxyType(
                {
                    "momentum": Hparam(
                        default=0.9,
                        low=0.1,
                        high=0.999,
                        within_stage="distance",
                        summary="decay of the sum of gradients",
                    )
                }
            ),
            state_floats=1.0,
            second_moments=False,
            family="sgd",
        ),
        OptimizerDefinition(
            name="soap",
            implementation="mbo_search.optim.constructors:SOAP",
            auxiliary="adamw",
            summary="Adam in the eigenbasis of Shampoo's statistics for hidden matrices; AdamW for the rest",
            paper="Vyas et al. 2024, arXiv:2409.11321",
            library="pytorch_optimizer.SOAP",
            reference_lr=2.5e-3,
            lr_low=1.0e-3,
            lr_high=1.6e-2,
            width_exponent=1.0,
            hparams=MappingProxyType(
                {
                    "aux_lr_ratio": _AUX_LR_RATIO,
                    "beta1": _beta1(0.95, within_stage="fixed"),
                    "beta2": _beta2(0.95, within_stage="fixed"),
                    "precondition_frequency": Hparam(
                        default=10.0, low=1.0, high=1000.0, whole=True, summary="steps between updates of the basis"
                    ),
                    "shampoo_beta": Hparam(
                        default=0.95, low=0.0, high=0.9999, summary="decay of the statistics of the basis"
                    ),
                }
            ),
            state_floats=7.0,
            second_moments=True,
            family="soap",
        ),
    ),
)
"""Optimizers by name."""
