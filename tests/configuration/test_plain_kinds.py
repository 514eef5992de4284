"""What layers without parameters and losses are told is proved by computing, in both frameworks.

Two layers whose settings are equal give equal numbers, and each setting that is told otherwise changes them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from ts_core.contract.layers import KINDS
from ts_core.frameworks import registry, settings

torch = pytest.importorskip("torch")
mindspore = pytest.importorskip("mindspore")
from mindspore import mint  # noqa: E402 - only after it is known to be there

tn, mn = torch.nn, mindspore.nn
RNG = np.random.default_rng(7)
X = RNG.standard_normal((2, 4, 6, 6)).astype(np.float32) * 3
Y = RNG.standard_normal((2, 4, 6, 6)).astype(np.float32) * 3
ROWS, OTHER, THIRD = (RNG.standard_normal((5, 4)).astype(np.float32) for _ in range(3))
SHARES = RNG.uniform(0.05, 0.95, (5, 4)).astype(np.float32)
MORE_SHARES = RNG.uniform(0.05, 0.95, (5, 4)).astype(np.float32)
SIGNS = np.sign(RNG.standard_normal((5, 4))).astype(np.float32)
ROW_SIGNS = np.array([1, -1, 1, -1, 1], np.float32)
CLASSES = np.array([0, 3, 2, 1, 3], np.int32)
ONES_AND_ZEROS = (SIGNS > 0).astype(np.float32)
WEIGHTS = (0.5, 2.0, 1.5, 3.0)
COUNTS = RNG.integers(0, 5, (5, 4)).astype(np.float32)


@dataclass
class Case:
    """A kind of layer, made of canonical settings in both frameworks; see the columns of `CASES`."""

    kind: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    base: dict[str, Any]
    others: dict[str, Any]
    inputs: tuple[np.ndarray, ...] = (X,)
    fixed: tuple[str, ...] = ()  # settings that MindSpore's layer does not let anybody choose
    runs: bool = True  # MindSpore 2.10 has no kernel of some for a CPU

    def __str__(self) -> str:
        return f"{self.kind}-{getattr(self.theirs, '__name__', '')}"


def named(ours: type, theirs: type, **renamed: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Makers from canonical settings: torch has their names, MindSpore those of `renamed`."""
    return (
        lambda s: ours(**told(s, torch.tensor)),
        lambda s: theirs(**{renamed.get(name, name): value for name, value in told(s, mindspore.Tensor).items()}),
    )


def told(given: dict[str, Any], tensor: Callable[[Any], Any]) -> dict[str, Any]:
    """Weights of classes are tensors; so they are tuples of numbers here."""
    return {k: tensor(np.array(v, np.float32)) if k.endswith("weight") and v else v for k, v in given.items()}


def plain(kind: str, *classes: tuple[type, type], runs: bool = True) -> list[Case]:
    return [Case(kind, lambda s, a=a: a(), lambda s, b=b: b(), {}, {}, runs=runs) for a, b in classes]


def loss(kind, ours, theirs, base, others, inputs, fixed=(), runs=True, **renamed):
    reduced = {"reduction": "mean"}
    return Case(
        kind, *named(ours, theirs, **renamed), {**base, **reduced}, {**others, "reduction": "sum"}, inputs, fixed, runs
    )


CASES = [
    *plain("relu", (tn.ReLU, mn.ReLU)),
    *plain("relu6", (tn.ReLU6, mn.ReLU6)),
    *plain("sigmoid", (tn.Sigmoid, mn.Sigmoid), (tn.Sigmoid, mint.nn.Sigmoid)),
    *plain("log_sigmoid", (tn.LogSigmoid, mn.LogSigmoid)),
    *plain("tanh", (tn.Tanh, mn.Tanh), (tn.Tanh, mint.nn.Tanh)),
    *plain("tanhshrink", (tn.Tanhshrink, mn.Tanhshrink)),
    *plain("silu", (tn.SiLU, mn.SiLU), (tn.SiLU, mint.nn.SiLU)),
    *plain("mish", (tn.Mish, mn.Mish)),
    *plain("mish", (tn.Mish, mint.nn.Mish), runs=False),
    *plain("selu", (tn.SELU, mn.SeLU)),
    *plain("softsign", (tn.Softsign, mn.Softsign)),
    *plain("hardswish", (tn.Hardswish, mn.HSwish)),
    *plain("hardsigmoid", (tn.Hardsigmoid, mn.HSigmoid)),
    *plain("identity", (tn.Identity, mn.Identity), (tn.Sequential, mn.SequentialCell)),
    *plain("softmax2d", (tn.Softmax2d, mn.Softmax2d)),
    Case("softmax", *named(tn.Softmax, mn.Softmax, dim="axis"), {"dim": 1}, {"dim": -1}),
    Case("log_softmax", *named(tn.LogSoftmax, mn.LogSoftmax, dim="axis"), {"dim": 1}, {"dim": -1}),
    Case("softmin", *named(tn.Softmin, mn.Softmin, dim="axis"), {"dim": 1}, {"dim": -1}),
    Case("softshrink", *named(tn.Softshrink, mn.SoftShrink), {"lambd": 0.5}, {"lambd": 1.0}),
    Case("hardshrink", *named(tn.Hardshrink, mn.HShrink), {"lambd": 0.5}, {"lambd": 1.0}),
    Case("elu", *named(tn.ELU, mn.ELU), {"alpha": 1.0}, {}),  # MindSpore's operator has no other
    Case("celu", *named(tn.CELU, mn.CELU), {"alpha": 1.0}, {"alpha": 0.5}),
    Case(
        "leaky_relu",
        *named(tn.LeakyReLU, mn.LeakyReLU, negative_slope="alpha"),
        {"negative_slope": 0.01},
        {"negative_slope": 0.2},
    ),
    Case(
        "gelu",
        *(lambda s: tn.GELU(s["approximate"]), lambda s: mn.GELU(s["approximate"] == "tanh")),
        {"approximate": "none"},
        {"approximate": "tanh"},
    ),
    Case("gelu", *named(tn.GELU, mint.nn.GELU), {"approximate": "none"}, {"approximate": "tanh"}, runs=False),
    Case("glu", *named(tn.GLU, mn.GLU, dim="axis"), {"dim": 1}, {"dim": -1}),
    Case(
        "hardtanh",
        *named(tn.Hardtanh, mn.Hardtanh),
        {"min_val": -1.0, "max_val": 1.0},
        {"min_val": -2.0, "max_val": 2.0},
    ),
    Case(
        "threshold",
        *named(tn.Threshold, mn.Threshold),
        {"threshold": 0.1, "value": 0.0},
        {"threshold": 1.0, "value": 3.0},
    ),
    Case("flatten", *named(tn.Flatten, mn.Flatten), {"start_dim": 1, "end_dim": -1}, {"start_dim": 2, "end_dim": 2}),
    Case(
        "unflatten",
        *named(tn.Unflatten, mn.Unflatten, dim="axis"),
        {"dim": 2, "unflattened_size": (2, 3)},
        {"dim": 3, "unflattened_size": (3, 2)},
    ),
    Case("pixel_shuffle", *named(tn.PixelShuffle, mn.PixelShuffle), {"upscale_factor": 2}, {"upscale_factor": 1}),
    Case(
        "pixel_unshuffle",
        *named(tn.PixelUnshuffle, mn.PixelUnshuffle),
        {"downscale_factor": 2},
        {"downscale_factor": 3},
    ),
    Case("channel_shuffle", *named(tn.ChannelShuffle, mn.ChannelShuffle), {"groups": 2}, {"groups": 4}),
    Case(
        "local_response_norm",
        lambda s: tn.LocalResponseNorm(**s),
        lambda s: mn.LRN((s["size"] - 1) // 2, s["k"], s["alpha"] / s["size"], s["beta"]),
        {"size": 3, "alpha": 0.3, "beta": 0.5, "k": 1.0},
        {"size": 5, "alpha": 0.9, "beta": 0.75, "k": 2.0},
    ),
    Case(
        "upsample",
        lambda s: tn.Upsample(**{**s, "align_corners": s["align_corners"] if s["mode"] == "bilinear" else None}),
        lambda s: mn.Upsample(**{**s, "align_corners": s["align_corners"] if s["mode"] == "bilinear" else None}),
        {"size": 9, "mode": "bilinear", "align_corners": False},
        {"size": 7, "mode": "nearest", "align_corners": True},
        fixed=("scale_factor", "recompute_scale_factor"),
    ),
    *(
        Case(
            f"constant_pad{n}d",
            *(
                lambda s, n=n, m=m: getattr(m, f"ConstantPad{n}d")(
                    tuple(size for pair in reversed(s["pads"]) for size in pair), s["value"]
                )
                for m in (tn, mn)
            ),
            {"pads": ((1, 2),) * n, "value": 0.5},
            {"pads": ((2, 1), (0, 1), (1, 0))[:n], "value": 2.0},
            (np.ones((2, 3, 4, 5, 6)[: n + 2], np.float32),),
        )
        for n in (1, 2, 3)
    ),
    *(
        Case(
            f"{kind}{n}d",
            *(
                lambda s, n=n, m=m, cls=cls: getattr(m, f"{cls}{n}d")(
                    tuple(size for pair in reversed(s["pads"]) for size in pair)
                )
                for m in (tn, mn)
            ),
            {"pads": ((1, 2), (0, 1), (1, 1))[:n]},
            {"pads": ((2, 1), (1, 0), (1, 1))[:n]},
            (RNG.standard_normal((2, 3, 4, 5, 6)[: n + 2]).astype(np.float32),),
        )
        for kind, cls, dimensions in (
            ("reflection_pad", "ReflectionPad", (1, 2, 3)),
            ("replication_pad", "ReplicationPad", (1, 2)),
            ("zero_pad", "ZeroPad", (2,)),
        )
        for n in dimensions
    ),
    Case(
        "zero_pad2d",
        lambda s: tn.ZeroPad2d(tuple(size for pair in reversed(s["pads"]) for size in pair)),
        lambda s: mn.Pad(((0, 0), (0, 0), *s["pads"])),
        {"pads": ((1, 2), (0, 1))},
        {"pads": ((2, 1), (1, 0))},
    ),
    loss("l1_loss", tn.L1Loss, mn.L1Loss, {}, {}, (ROWS, OTHER)),
    loss("l1_loss", tn.L1Loss, mn.MAELoss, {}, {}, (ROWS, OTHER)),
    loss("mse_loss", tn.MSELoss, mn.MSELoss, {}, {}, (ROWS, OTHER)),
    loss("smooth_l1_loss", tn.SmoothL1Loss, mn.SmoothL1Loss, {"beta": 1.0}, {"beta": 0.3}, (ROWS, OTHER)),
    loss("huber_loss", tn.HuberLoss, mn.HuberLoss, {"delta": 1.0}, {"delta": 0.3}, (ROWS, OTHER)),
    loss("soft_margin_loss", tn.SoftMarginLoss, mn.SoftMarginLoss, {}, {}, (ROWS, SIGNS), runs=False),
    loss("kl_div_loss", tn.KLDivLoss, mn.KLDivLoss, {}, {}, (ROWS, SHARES), ("log_target",)),
    loss("bce_loss", tn.BCELoss, mn.BCELoss, {"weight": None}, {"weight": (WEIGHTS,) * 5}, (SHARES, ONES_AND_ZEROS)),
    loss(
        "bce_with_logits_loss",
        *(tn.BCEWithLogitsLoss, mn.BCEWithLogitsLoss),
        {"weight": None, "pos_weight": None},
        {"weight": WEIGHTS, "pos_weight": WEIGHTS},
        (ROWS, ONES_AND_ZEROS),
    ),
    loss(
        "nll_loss",
        *(tn.NLLLoss, mn.NLLLoss),
        {"weight": None, "ignore_index": -100},
        {"weight": WEIGHTS, "ignore_index": 3},
        (ROWS, CLASSES),
    ),
    loss(
        "cross_entropy_loss",
        *(tn.CrossEntropyLoss, mn.CrossEntropyLoss),
        {"weight": None, "ignore_index": -100, "label_smoothing": 0.0},
        {"weight": WEIGHTS, "ignore_index": 3, "label_smoothing": 0.2},
        (ROWS, CLASSES),
    ),
    loss(
        "margin_ranking_loss",
        *(tn.MarginRankingLoss, mn.MarginRankingLoss),
        {"margin": 0.0},
        {"margin": 0.7},
        (ROWS[:, 0], OTHER[:, 0], ROW_SIGNS),
    ),
    loss(
        "hinge_embedding_loss",
        tn.HingeEmbeddingLoss,
        mn.HingeEmbeddingLoss,
        {"margin": 1.0},
        {"margin": 0.4},
        (ROWS, SIGNS),
    ),
    loss(
        "cosine_embedding_loss",
        *(tn.CosineEmbeddingLoss, mn.CosineEmbeddingLoss),
        {"margin": 0.0},
        {"margin": -0.9},
        (ROWS, OTHER, ROW_SIGNS),
    ),
    loss(
        "triplet_margin_loss",
        *(tn.TripletMarginLoss, mn.TripletMarginLoss),
        {"margin": 2.0, "p": 2, "swap": False, "eps": 1e-6},
        {"margin": 3.0, "p": 1, "swap": True, "eps": 0.5},
        (ROWS, OTHER, OTHER + 0.3 * THIRD),
        runs=False,
    ),
    loss(
        "poisson_nll_loss",
        *(tn.PoissonNLLLoss, mn.PoissonNLLLoss),
        {"log_input": False, "full": False, "eps": 1e-8},
        {"log_input": True, "full": True, "eps": 0.1},
        (SHARES, COUNTS),
    ),
    loss(
        "gaussian_nll_loss",
        *(tn.GaussianNLLLoss, mn.GaussianNLLLoss),
        {"full": False, "eps": 1e-6},
        {"full": True, "eps": 0.5},
        (ROWS, OTHER, SHARES),
    ),
    loss(
        "multilabel_soft_margin_loss",
        tn.MultiLabelSoftMarginLoss,
        mn.MultiLabelSoftMarginLoss,
        {"weight": None},
        {"weight": WEIGHTS},
        (ROWS, ONES_AND_ZEROS),
    ),
]
# Settings that torch and this table call otherwise than KINDS.
CANONICAL = {"triplet_margin_loss": {"p": "norm_type"}}
# Kinds of this sort that stand in no case, and why.
OTHERWISE = {
    "softplus": "MindSpore has no such layer",
    "circular_pad1d": "MindSpore has no such layer",
    "circular_pad2d": "MindSpore has no such layer",
    "circular_pad3d": "MindSpore has no such layer",
    "zero_pad1d": "MindSpore's own needs an accelerator",
    "zero_pad3d": "MindSpore's own needs an accelerator",
    "replication_pad3d": "MindSpore has no kernel for it on a CPU",
    "cosine_similarity": "MindSpore has no such layer",
    "pairwise_distance": "MindSpore has no such layer",
    "alpha_dropout": "MindSpore has no such layer",
    "feature_alpha_dropout": "MindSpore has no such layer",
    "fold": "MindSpore's own needs an accelerator",
    "unfold": "MindSpore's own needs an accelerator",
    "rrelu": "MindSpore's is random in evaluation as well: test_a_random_slope",
    "multi_margin_loss": "proved by its settings: MindSpore has no kernel for it on a CPU",
    "multilabel_margin_loss": "proved by its settings: its target is another one",
    "ctc_loss": "proved by its settings: it takes four inputs",
    "triplet_margin_with_distance_loss": "proved by its settings: MindSpore's default distance adds no epsilon",
}


def canonical(case: Case, given: dict[str, Any]) -> dict[str, Any]:
    renamed = CANONICAL.get(case.kind, {})
    return {renamed.get(name, name): value for name, value in given.items()}


def values(layer) -> dict[str, object]:
    found = settings(layer)
    assert found is not None
    return {name: one.value for name, one in found.items()}


def in_torch(case: Case, given: dict[str, Any]) -> np.ndarray:
    with torch.no_grad():
        inputs = [torch.tensor(x, dtype=torch.int64 if x.dtype.kind == "i" else None) for x in case.inputs]
        return case.ours(given).eval()(*inputs).numpy()


def in_mindspore(case: Case, given: dict[str, Any]) -> np.ndarray:
    return case.theirs(given).set_train(False)(*map(mindspore.Tensor, case.inputs)).asnumpy()


CHANGES = [(case, name) for case in CASES for name in case.others]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_layers_told_the_same_have_equal_settings_and_give_equal_numbers(case):
    ours, theirs = case.ours(case.base), case.theirs(case.base)
    assert values(ours) == values(theirs)
    assert set(values(ours)) == set(KINDS[case.kind].settings)
    told_as = canonical(case, case.base)
    assert {name: values(ours)[name] for name in told_as} == told_as
    if case.runs:
        np.testing.assert_allclose(in_mindspore(case, case.base), in_torch(case, case.base), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("case", "name"), CHANGES, ids=lambda value: str(value))
def test_a_setting_changed_by_itself_changes_the_settings_and_the_numbers_of_both(case, name):
    changed = {**case.base, name: case.others[name]}
    before, after = values(case.ours(case.base)), values(case.theirs(changed))
    renamed = CANONICAL.get(case.kind, {}).get(name, name)
    assert {key for key in before if before[key] != after[key]} == {renamed}
    assert values(case.ours(changed)) == after
    one, other = in_torch(case, case.base), in_torch(case, changed)
    assert one.shape != other.shape or not np.allclose(one, other, rtol=1e-5, atol=1e-6)
    if case.runs:
        np.testing.assert_allclose(in_mindspore(case, changed), other, rtol=1e-3, atol=1e-4)


def test_every_kind_without_parameters_has_a_case_that_changes_each_of_its_settings():
    elsewhere = ("pool", "dropout")  # tests/frameworks has these
    lacking = {}
    for kind in KINDS.values():
        if kind.roles or any(word in kind.family for word in elsewhere) or kind.name in OTHERWISE:
            continue
        cases = [case for case in CASES if case.kind == kind.name]
        tried = {one for case in cases for one in (*canonical(case, case.others), *case.fixed)}
        if not cases or set(kind.settings) - tried - ({"alpha"} if kind.name == "elu" else set()):
            lacking[kind.name] = set(kind.settings) - tried
    assert not lacking


@pytest.mark.parametrize("p", [0.2, 0.6])
@pytest.mark.parametrize(("ours", "theirs"), [(tn.Dropout, mn.Dropout), (tn.Dropout2d, mn.Dropout2d)])
def test_p_is_the_share_that_is_dropped_in_training(ours, theirs, p):
    shape = (200, 200, 2, 2) if ours is tn.Dropout2d else (400, 400)
    one, other = ours(p), theirs(p=p)
    assert values(one) == values(other) == {"p": p}
    share = float((one.train()(torch.ones(shape)) == 0).float().mean())
    assert share == pytest.approx(p, abs=0.02)
    theirs_share = (other.set_train(True)(mindspore.ops.ones(shape, mindspore.float32)).asnumpy() == 0).mean()
    assert theirs_share == pytest.approx(p, abs=0.02)


def test_a_random_slope():
    ours, theirs = tn.RReLU().eval(), mn.RReLU().set_train(False)
    apart = {name for name in values(ours) if values(ours)[name] != pytest.approx(values(theirs)[name])}
    assert apart == {"random_in_evaluation"}
    x = -np.ones((50, 50), np.float32)
    assert len(np.unique(ours(torch.tensor(x)).numpy())) == 1
    assert len(np.unique(theirs(mindspore.Tensor(x)).asnumpy())) > 1


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda: tn.MultiMarginLoss(), lambda: mn.MultiMarginLoss()),
        (lambda: tn.MultiLabelMarginLoss(), lambda: mn.MultilabelMarginLoss()),
        (lambda: tn.CTCLoss(), lambda: mn.CTCLoss()),
        (lambda: tn.TripletMarginWithDistanceLoss(), lambda: mn.TripletMarginWithDistanceLoss()),
        (lambda: tn.Unfold(3, 2, 1, 2), lambda: mint.nn.Unfold(3, 2, 1, 2)),
        (lambda: tn.Fold(4, 2), lambda: mint.nn.Fold(4, 2)),
        (lambda: tn.ZeroPad1d((1, 2)), lambda: mint.nn.ZeroPad1d((1, 2))),
        (lambda: tn.ZeroPad3d(1), lambda: mint.nn.ZeroPad3d(1)),
        (lambda: tn.ReplicationPad3d(2), lambda: mn.ReplicationPad3d(2)),
        (lambda: tn.ReflectionPad2d((1, 2, 0, 1)), lambda: mint.nn.ReflectionPad2d((1, 2, 0, 1))),
        (lambda: tn.UpsamplingBilinear2d(scale_factor=2), lambda: mint.nn.UpsamplingBilinear2d(scale_factor=2)),
        (lambda: tn.UpsamplingNearest2d(size=4), lambda: mint.nn.UpsamplingNearest2d(size=(4, 4))),
        (lambda: tn.Upsample(scale_factor=2), lambda: mint.nn.Upsample(scale_factor=2)),
        (lambda: tn.BCEWithLogitsLoss(), lambda: mint.nn.BCEWithLogitsLoss()),
        (lambda: tn.BCELoss(reduction="sum"), lambda: mint.nn.BCELoss(reduction="sum")),
        (lambda: tn.CrossEntropyLoss(), lambda: mint.nn.CrossEntropyLoss()),
        (lambda: tn.KLDivLoss(), lambda: mint.nn.KLDivLoss()),
        (lambda: tn.SmoothL1Loss(), lambda: mint.nn.SmoothL1Loss()),
        (lambda: tn.Hardtanh(), lambda: mint.nn.Hardtanh()),
        (lambda: tn.Softmax(1), lambda: mint.nn.Softmax(1)),
        (lambda: tn.GELU(), lambda: mint.nn.GELU()),
    ],
)
def test_defaults_count_like_given_values(ours, theirs):
    one, other = values(ours()), values(theirs())
    assert one == other
    assert set(one) == set(KINDS[next(iter(settings(ours()).values())).kind].settings)


def test_every_rule_of_a_loss_or_a_plain_layer_declares_every_setting_of_its_kind():
    lacking = {
        rule.cls: set(KINDS[rule.kind].settings) - set(rule.settings)
        for name in ("torch", "mindspore")
        for rule in registry().each("layer_rules")[name]
        if not rule.roles and set(KINDS[rule.kind].settings) - set(rule.settings)
    }
    assert not lacking
