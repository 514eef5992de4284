"""Settings mean the same in torch and MindSpore: told the same they are equal, told otherwise in one that one differs.

Each case makes the layer of both frameworks from canonical settings. Equal settings also have to give equal numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pytest

import ts_core as ts
from ts_core.contract.layers import KINDS
from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import Always, Spelled
from ts_core.errors import PluginError
from ts_core.frameworks import _settings, registry, settings

torch = pytest.importorskip("torch")
mindspore = pytest.importorskip("mindspore")

tn, mn = torch.nn, mindspore.nn
SIZES = {1: (13,), 2: (9, 11), 3: (7, 8, 9)}


@dataclass
class Case:
    """A kind of layer, made of canonical settings in both frameworks.

    Attributes:
        ours: settings → torch's layer.
        theirs: settings → MindSpore's.
        base: the settings of both.
        others: setting → another value.
        inputs: shapes of the inputs; None where it is not run.
        run: the layer and its inputs → what is compared.
        fixed: settings that one of the two cannot be told.
    """

    ours: Callable[[dict[str, Any]], Any]
    theirs: Callable[[dict[str, Any]], Any]
    base: dict[str, Any]
    others: dict[str, Any]
    inputs: tuple[tuple[int, ...], ...] | None = None
    run: Callable[..., Any] = lambda layer, *inputs: layer(*inputs)
    fixed: tuple[str, ...] = ()
    integers: bool = False


def flat(pads):
    """MindSpore's padding: begin and end of each axis in one row."""
    return tuple(size for pair in pads for size in pair)


def begins(pads):
    return tuple(begin for begin, _ in pads)


CASES: dict[str, Case] = {}

for n, spatial in SIZES.items():
    one = (1,) * n
    window = {"kernel_size": (3, 2, 3)[:n], "stride": (2,) * n, "dilation": one, "pads": ((1, 1),) * n, "groups": 1}
    channels = {"in_channels": 4, "out_channels": 6, "bias": True}
    others = {
        "in_channels": 2,
        "out_channels": 4,
        "kernel_size": (2, 3, 2)[:n],
        "stride": (1, 2, 2)[:n],
        "dilation": (2,) * n,
        "pads": ((0, 0),) * n,
        "groups": 2,
        "bias": False,
    }
    if n == 3:
        others["kernel_size"] = (2, 2, 3)

    def torch_conv(s, n=n, cls="Conv", **more):
        return getattr(tn, f"{cls}{n}d")(
            *(s[name] for name in ("in_channels", "out_channels", "kernel_size", "stride")),
            padding=begins(s["pads"]),
            **{name: s[name] for name in ("dilation", "groups", "bias")},
            **more,
        )

    def mindspore_conv(s, n=n, cls="Conv{}d", **more):
        def plain(value):
            return value[0] if n == 1 else value

        return getattr(mn, cls.format(n))(
            s["in_channels"],
            s["out_channels"],
            plain(s["kernel_size"]),
            plain(s["stride"]),
            pad_mode="pad",
            padding=s["pads"][0][0] if n == 1 else flat(s["pads"]),
            dilation=plain(s["dilation"]),
            group=s["groups"],
            has_bias=s["bias"],
            **more,
        )

    CASES[f"conv{n}d"] = Case(
        torch_conv, mindspore_conv, {**window, **channels}, others, ((2, 4, *spatial),), fixed=("padding_mode",)
    )

    def torch_deconv(s, n=n, make=torch_conv):
        more = {"output_padding": s["output_padding"]} if any(s["output_padding"]) else {}
        return make(s, cls="ConvTranspose", **more)

    def mindspore_deconv(s, n=n, make=mindspore_conv):
        if n == 3:
            return make(s, cls="Conv{}dTranspose", output_padding=s["output_padding"])
        # less is cut off at the end
        ends = tuple((begin, end - more) for (begin, end), more in zip(s["pads"], s["output_padding"], strict=True))
        return make({**s, "pads": ends}, cls="Conv{}dTranspose")

    CASES[f"conv_transpose{n}d"] = Case(
        torch_deconv,
        mindspore_deconv,
        {**window, **channels, "output_padding": (0,) * n},
        {**others, **({} if n == 1 else {"output_padding": one})},
        ((2, 4, *spatial),),
        fixed=("output_padding",) if n == 1 else (),
    )

    def torch_max(s, n=n):
        return getattr(tn, f"MaxPool{n}d")(
            s["kernel_size"], s["stride"], begins(s["pads"]), s["dilation"], ceil_mode=s["ceil_mode"]
        )

    def mindspore_max(s, n=n):
        plain = (lambda value: value[0]) if n == 1 else tuple
        return getattr(mn, f"MaxPool{n}d")(
            plain(s["kernel_size"]),
            plain(s["stride"]),
            pad_mode="pad",
            padding=plain(begins(s["pads"])),
            dilation=plain(s["dilation"]),
            ceil_mode=s["ceil_mode"],
        )

    pooling = {"kernel_size": (3,) * n, "stride": (2,) * n, "pads": ((1, 1),) * n, "ceil_mode": False}
    pooling_others = {"kernel_size": (2,) * n, "stride": (3,) * n, "pads": ((0, 0),) * n, "ceil_mode": True}
    CASES[f"max_pool{n}d"] = Case(
        torch_max,
        mindspore_max,
        {**pooling, "dilation": one},
        {**pooling_others, "dilation": (2,) * n},
        ((2, 4, *spatial),),
    )

    def torch_average(s, n=n):
        more = {} if n == 1 else {"divisor_override": s["divisor_override"]}
        return getattr(tn, f"AvgPool{n}d")(
            s["kernel_size"], s["stride"], begins(s["pads"]), s["ceil_mode"], s["count_include_pad"], **more
        )

    def mindspore_average(s, n=n):
        plain = (lambda value: value[0]) if n == 1 else tuple
        more = {} if n == 1 else {"divisor_override": s["divisor_override"]}
        return getattr(mn, f"AvgPool{n}d")(
            plain(s["kernel_size"]),
            plain(s["stride"]),
            pad_mode="pad",
            padding=plain(begins(s["pads"])),
            ceil_mode=s["ceil_mode"],
            count_include_pad=s["count_include_pad"],
            **more,
        )

    CASES[f"avg_pool{n}d"] = Case(
        torch_average,
        mindspore_average,
        {**pooling, "count_include_pad": True, "divisor_override": None},
        {**pooling_others, "count_include_pad": False, **({} if n == 1 else {"divisor_override": 5})},
        ((2, 4, *spatial),),
        fixed=("divisor_override",) if n == 1 else (),
    )
    for name in ("Avg", "Max"):

        def adaptive(s, n=n, name=name, module=tn):
            size = s["output_size"]
            return getattr(module, f"Adaptive{name}Pool{n}d")(size[0] if n == 1 else size)

        CASES[f"adaptive_{name.lower()}_pool{n}d"] = Case(
            adaptive,
            lambda s, make=adaptive: make(s, module=mn),
            {"output_size": (3, 2, 3)[:n]},
            {"output_size": (4, 4, 4)[:n]},
            ((2, 4, *(12 for _ in range(n))),),
        )
    norm = {"num_features": 4, "eps": 1e-5, "momentum": 0.1, "affine": True, "track_running_stats": True}
    CASES[f"batch_norm{n}d"] = Case(
        lambda s, n=n: getattr(tn, f"BatchNorm{n}d")(
            s["num_features"], s["eps"], s["momentum"], s["affine"], s["track_running_stats"]
        ),
        lambda s, n=n: getattr(mn, f"BatchNorm{n}d")(
            s["num_features"],
            s["eps"],
            1 - s["momentum"],
            s["affine"],
            use_batch_statistics=None if s["track_running_stats"] else True,
        ),
        norm,
        {"num_features": 2, "eps": 0.1, "momentum": 0.3, "affine": False, "track_running_stats": False},
        ((2, 4, *spatial),),
    )
    CASES[f"instance_norm{n}d"] = Case(
        lambda s, n=n: getattr(tn, f"InstanceNorm{n}d")(s["num_features"], s["eps"], s["momentum"], s["affine"]),
        lambda s, n=n: getattr(mn, f"InstanceNorm{n}d")(s["num_features"], s["eps"], s["momentum"], s["affine"]),
        {name: norm[name] for name in ("num_features", "eps", "momentum", "affine")},
        {"num_features": 2, "eps": 0.1, "momentum": 0.3, "affine": False},
        fixed=("track_running_stats",),
    )
    CASES[f"dropout{n}d"] = Case(
        lambda s, n=n: getattr(tn, f"Dropout{n}d")(s["p"]),
        lambda s, n=n: getattr(mn, f"Dropout{n}d")(s["p"]),
        {"p": 0.1},
        {"p": 0.3},
        ((2, 4, *spatial),) if n > 1 else None,
    )

CASES["linear"] = Case(
    lambda s: tn.Linear(*s.values()),
    lambda s: mn.Dense(s["in_features"], s["out_features"], has_bias=s["bias"]),
    {"in_features": 4, "out_features": 5, "bias": True},
    {"in_features": 3, "out_features": 4, "bias": False},
    ((2, 4),),
)
CASES["bilinear"] = Case(
    lambda s: tn.Bilinear(*s.values()),
    lambda s: mn.BiDense(*list(s.values())[:3], has_bias=s["bias"]),
    {"in1_features": 4, "in2_features": 3, "out_features": 5, "bias": True},
    {"in1_features": 3, "in2_features": 4, "out_features": 4, "bias": False},
    ((2, 4), (2, 3)),
)
CASES["group_norm"] = Case(
    lambda s: tn.GroupNorm(*s.values()),
    lambda s: mn.GroupNorm(*s.values()),
    {"num_groups": 2, "num_channels": 4, "eps": 1e-5, "affine": True},
    {"num_groups": 4, "num_channels": 8, "eps": 0.1, "affine": False},
    ((2, 4, 5, 6),),
)
CASES["layer_norm"] = Case(
    lambda s: tn.LayerNorm(s["normalized_shape"], s["eps"]),
    lambda s: mn.LayerNorm(
        s["normalized_shape"],
        begin_norm_axis=-len(s["normalized_shape"]),
        begin_params_axis=-len(s["normalized_shape"]),
        epsilon=s["eps"],
    ),
    {"normalized_shape": (4,), "eps": 1e-5},
    {"normalized_shape": (3, 4), "eps": 0.1},
    ((2, 3, 4),),
    fixed=("elementwise_affine", "bias"),
)
CASES["embedding"] = Case(
    lambda s: tn.Embedding(*s.values()),
    lambda s: mn.Embedding(s["num_embeddings"], s["embedding_dim"], padding_idx=s["padding_idx"]),
    {"num_embeddings": 6, "embedding_dim": 4, "padding_idx": None},
    {"num_embeddings": 7, "embedding_dim": 3, "padding_idx": 2},
    ((2, 5),),
    fixed=("max_norm", "norm_type"),
    integers=True,
)
CASES["prelu"] = Case(
    lambda s: tn.PReLU(s["num_parameters"]),
    lambda s: mn.PReLU(s["num_parameters"]),
    {"num_parameters": 4},
    {"num_parameters": 1},
    ((2, 4, 5),),
)
CASES["dropout"] = Case(lambda s: tn.Dropout(s["p"]), lambda s: mn.Dropout(p=s["p"]), {"p": 0.1}, {"p": 0.3}, ((2, 4),))

CELL = {"input_size": 3, "hidden_size": 4, "bias": True}
STACK = {**CELL, "num_layers": 2, "batch_first": True, "dropout": 0.1, "bidirectional": True}
CELL_OTHERS = {"input_size": 2, "hidden_size": 5, "bias": False}
STACK_OTHERS = {**CELL_OTHERS, "num_layers": 3, "batch_first": False, "dropout": 0.3, "bidirectional": False}
for name, extra, inputs in (
    ("RNN", {"nonlinearity": "tanh"}, 1),
    ("GRU", {}, 1),
    ("LSTM", {}, 2),
):
    more = {"nonlinearity": "relu"} if extra else {}

    def torch_stack(s, name=name):
        return getattr(tn, name)(**s)

    def mindspore_stack(s, name=name):
        return getattr(mn, name)(**{("has_bias" if key == "bias" else key): value for key, value in s.items()})

    def sequence(layer, inputs):
        return layer(inputs)[0]

    CASES[name.lower()] = Case(
        torch_stack,
        mindspore_stack,
        {**STACK, **extra},
        {**STACK_OTHERS, **more},
        ((2, 5, 3),),
        sequence,
        fixed=("proj_size",) if name == "LSTM" else (),
    )
    CASES[f"{name.lower()}_cell"] = Case(
        lambda s, make=torch_stack, name=name: make(s, name=f"{name}Cell"),
        lambda s, make=mindspore_stack, name=name: make(s, name=f"{name}Cell"),
        {**CELL, **extra},
        {**CELL_OTHERS, **more},
        ((2, 3), *((2, 4),) * inputs),
        (lambda layer, x, h, c: layer(x, (h, c))[0]) if inputs == 2 else (lambda layer, x, h: layer(x, h)),
    )

HEADS = {"embed_dim": 8, "num_heads": 2, "dropout": 0.1, "bias": True, "add_bias_kv": False, "add_zero_attn": False}
HEADS |= {"kdim": 8, "vdim": 8, "batch_first": True}
CASES["multi_head_attention"] = Case(
    lambda s: tn.MultiheadAttention(**s),
    lambda s: mn.MultiheadAttention(**{("has_bias" if key == "bias" else key): value for key, value in s.items()}),
    HEADS,
    {
        **{"num_heads": 4, "dropout": 0.3, "bias": False, "add_bias_kv": True, "add_zero_attn": True, "kdim": 6},
        **{"vdim": 6, "batch_first": False, "embed_dim": 4},
    },
    ((2, 5, 8),),
    lambda layer, x: layer(x, x, x)[0],
)
BLOCK = {"d_model": 8, "nhead": 2, "dim_feedforward": 6, "dropout": 0.1, "activation": "relu", "layer_norm_eps": 1e-5}
BLOCK |= {"batch_first": True, "norm_first": False}
BLOCK_OTHERS = {"d_model": 4, "nhead": 4, "dim_feedforward": 5, "dropout": 0.3, "activation": "gelu"}
BLOCK_OTHERS |= {"layer_norm_eps": 0.1, "batch_first": False, "norm_first": True}
for name, inputs in (("Encoder", 1), ("Decoder", 2)):
    CASES[f"transformer_{name.lower()}_layer"] = Case(
        lambda s, name=name: getattr(tn, f"Transformer{name}Layer")(**s),
        lambda s, name=name: getattr(mn, f"Transformer{name}Layer")(**s),
        BLOCK,
        BLOCK_OTHERS,
        ((2, 5, 8),) * inputs,
        fixed=("bias",),
    )

CANNOT_BE_MADE = {("conv_transpose3d", "dilation")}  # MindSpore has none of more than 1
NOT_RUN = CANNOT_BE_MADE | {("layer_norm", "normalized_shape")}  # not by MindSpore, or not on a CPU
# With another one of these a layer takes inputs of other sizes than those of its case.
OF_THE_INPUTS = {
    *("in_channels", "in_features", "in1_features", "in2_features", "input_size", "num_features", "num_channels"),
    *("embed_dim", "d_model", "kdim", "vdim", "hidden_size"),
}
RULES = registry().each("layer_rules")
CHANGES = [(kind, setting) for kind, case in CASES.items() for setting in case.others]
MADE = [change for change in CHANGES if change not in CANNOT_BE_MADE]
COMPUTED = [
    (kind, setting)
    for kind, setting in [*((kind, None) for kind in CASES), *CHANGES]
    if CASES[kind].inputs is not None and (kind, setting) not in NOT_RUN and setting not in OF_THE_INPUTS
]


def values(layer) -> dict[str, object]:
    found = settings(layer)
    assert found is not None
    return {name: one.value for name, one in found.items()}


def different(one, other) -> set[str]:
    ours, theirs = values(one), values(other)
    return {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}


@pytest.mark.parametrize("kind", CASES)
def test_layers_told_the_same_have_equal_settings(kind):
    case = CASES[kind]
    ours, theirs = case.ours(case.base), case.theirs(case.base)
    assert values(ours) == values(theirs)
    assert values(ours) == {**values(ours), **case.base}  # and they are what was told
    assert [one.kind for one in settings(ours).values()] == [kind] * len(KINDS[kind].settings)
    assert list(values(theirs)) == list(KINDS[kind].settings)


@pytest.mark.parametrize(("kind", "setting"), MADE)
def test_what_is_told_otherwise_differs_and_nothing_else(kind, setting):
    case = CASES[kind]
    changed = {**case.base, setting: case.others[setting]}
    ours, theirs = case.ours(changed), case.theirs(changed)
    assert different(case.ours(case.base), theirs) == {setting}
    assert different(ours, case.theirs(case.base)) == {setting}
    assert values(ours) == values(theirs)


@pytest.mark.parametrize(("kind", "setting"), COMPUTED)
def test_equal_settings_give_equal_numbers(kind, setting):
    case = CASES[kind]
    torch.manual_seed(5)
    told = case.base if setting is None else {**case.base, setting: case.others[setting]}
    ours, theirs = case.ours(told).eval(), case.theirs(told).set_train(False)
    if ts.parameters(ours) and setting != "track_running_stats":
        for tensor in ours.state_dict().values():
            if tensor.dtype.is_floating_point:
                tensor.uniform_(0.1, 0.5)
        ts.transfer(ours, theirs)
    rng = np.random.default_rng(3)
    inputs = [
        rng.integers(0, 5, shape) if case.integers else rng.standard_normal(shape).astype(np.float32)
        for shape in case.inputs
    ]
    computed = case.run(theirs, *(mindspore.Tensor(x) for x in inputs)).asnumpy()
    with torch.no_grad():
        expected = case.run(ours, *map(torch.tensor, inputs)).numpy()
    assert computed.shape == expected.shape
    np.testing.assert_allclose(computed, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("kind", "setting"), [change for change in COMPUTED if change[1] is not None])
def test_a_setting_changed_by_itself_changes_the_numbers_unless_it_is_of_training(kind, setting):
    case = CASES[kind]
    rng = np.random.default_rng(3)
    inputs = [
        torch.tensor(rng.integers(0, 5, shape) if case.integers else rng.standard_normal(shape).astype(np.float32))
        for shape in case.inputs
    ]
    if setting == "ceil_mode":  # which shows at even sizes
        inputs = [torch.nn.functional.pad(x, (0, 1) * (x.ndim - 2)) for x in inputs]
    computed = []
    for told in (case.base, {**case.base, setting: case.others[setting]}):
        torch.manual_seed(5)
        layer = case.ours(told).eval()
        for tensor in layer.state_dict().values():
            if tensor.dtype.is_floating_point:
                tensor.uniform_(0.1, 0.5)
        with torch.no_grad():
            computed.append(case.run(layer, *inputs))
    one, other = computed
    same = one.shape == other.shape and torch.allclose(one, other, rtol=1e-6, atol=1e-7)
    assert same is (KINDS[kind].training or KINDS[kind].settings[setting].training)


def proved(kind: str, rules: list[LayerRule]) -> set[str]:
    """The settings of a kind that every framework lets somebody choose."""
    tables = [rule.settings for rule in rules if rule.kind == kind and not rule.cls.startswith("mindspore.mint")]
    return {name for name in KINDS[kind].settings if not any(isinstance(t.get(name), Always) for t in tables)}


@pytest.mark.parametrize("kind", CASES)
def test_every_setting_that_can_be_told_is_told_otherwise(kind):
    case = CASES[kind]
    rules = [rule for name in ("torch", "mindspore") for rule in RULES[name]]
    assert proved(kind, rules) <= {*case.others, *case.fixed}


def test_every_rule_declares_every_setting_of_its_kind():
    lacking = {
        f"{rule.cls} as {rule.kind}": lacks
        for name in ("torch", "mindspore")
        for rule in RULES[name]
        if (lacks := set(KINDS[rule.kind].settings) - set(rule.settings))
    }
    assert lacking == {"torch.nn.modules.rnn.RNNCellBase as rnn_cell": {"nonlinearity"}}


def told_apart(ours, theirs) -> dict[str, tuple[object, object]]:
    one, other = values(ours), values(theirs)
    return {name: (one[name], other[name]) for name in one if one[name] != other.get(name)}


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (
            lambda: tn.Conv2d(3, 4, 3),
            lambda: mn.Conv2d(3, 4, 3),
            {"pads": (((0, 0),) * 2, ((1, 1),) * 2), "bias": (True, False)},
        ),
        (lambda: tn.Linear(3, 4), lambda: mn.Dense(3, 4), {}),
        (lambda: tn.BatchNorm1d(4), lambda: mn.BatchNorm1d(4), {}),
        (lambda: tn.BatchNorm3d(4), lambda: mn.BatchNorm3d(4), {}),
        (lambda: tn.InstanceNorm2d(4), lambda: mn.InstanceNorm2d(4), {"affine": (False, True)}),
        (lambda: tn.GroupNorm(2, 4), lambda: mn.GroupNorm(2, 4), {}),
        (lambda: tn.LayerNorm(4), lambda: mn.LayerNorm((4,)), {"eps": (1e-5, 1e-7)}),
        (
            lambda: tn.LayerNorm((3, 4)),
            lambda: mn.LayerNorm((3, 4), epsilon=1e-5),
            {"normalized_shape": ((3, 4), (4,))},
        ),
        (
            lambda: tn.LayerNorm(4),
            lambda: mn.LayerNorm((4,), 1, epsilon=1e-5),
            {"normalized_shape": ((4,), "every axis from 1")},
        ),
        (lambda: tn.LayerNorm((3, 4)), lambda: mn.LayerNorm((3, 4), 1, 1, epsilon=1e-5), {}),
        (
            lambda: tn.LayerNorm((3, 4)),
            lambda: mn.LayerNorm((3, 4), 2, 1, epsilon=1e-5),
            {"normalized_shape": ((3, 4), (4,))},
        ),
        (lambda: tn.MaxPool2d(3), lambda: mn.MaxPool2d(3), {"stride": ((3, 3), (1, 1))}),
        (lambda: tn.AvgPool1d(3), lambda: mn.AvgPool1d(3), {"stride": ((3,), (1,))}),
        (lambda: tn.Embedding(5, 4), lambda: mn.Embedding(5, 4), {}),
        (lambda: tn.Embedding(5, 4, max_norm=1.0), lambda: mn.EmbeddingLookup(5, 4, max_norm=1.0), {}),
        (lambda: tn.Dropout(), lambda: mn.Dropout(), {}),
        (lambda: tn.Dropout(0.1), lambda: mn.Dropout(0.9), {}),
        (lambda: tn.Dropout(0.1), lambda: mn.Dropout(0.1), {"p": (0.1, 0.9)}),
        (lambda: tn.LSTM(3, 4), lambda: mn.LSTM(3, 4), {}),
        (lambda: tn.MultiheadAttention(4, 2), lambda: mn.MultiheadAttention(4, 2), {}),
        (lambda: tn.TransformerEncoderLayer(4, 2), lambda: mn.TransformerEncoderLayer(4, 2), {}),
    ],
)
def test_what_nobody_told_counts_like_what_was_told(ours, theirs, expected):
    assert told_apart(ours(), theirs()) == expected


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (lambda: tn.Conv2d(2, 3, 3, 1, 1, bias=False), lambda: mn.Conv2d(2, 3, 3), True),
        (lambda: tn.Conv2d(2, 3, 3, 1, 2, 2, bias=False), lambda: mn.Conv2d(2, 3, 3, dilation=2), True),
        (lambda: tn.Conv2d(2, 3, 4, padding="same", bias=False), lambda: mn.Conv2d(2, 3, 4), True),
        (lambda: tn.Conv2d(2, 3, 1, 2, bias=False), lambda: mn.Conv2d(2, 3, 1, 2), True),
        (lambda: tn.Conv2d(2, 3, 3, 2, 1, bias=False), lambda: mn.Conv2d(2, 3, 3, 2), False),
        (lambda: tn.Conv2d(2, 3, 3, 2, bias=False), lambda: mn.Conv2d(2, 3, 3, 2, "valid"), True),
        (lambda: tn.MaxPool2d(3, 1, 1), lambda: mn.MaxPool2d(3, 1, "same"), True),
        (lambda: tn.MaxPool2d(3, 2, 1), lambda: mn.MaxPool2d(3, 2, "same"), False),
        (lambda: tn.AvgPool2d(3, 1, 1), lambda: mn.AvgPool2d(3, 1, "same"), False),
        (lambda: tn.AvgPool2d(3, 1, 1, count_include_pad=False), lambda: mn.AvgPool2d(3, 1, "same"), True),
        (lambda: tn.ConvTranspose2d(2, 3, 4, 2, 1, bias=False), lambda: mn.Conv2dTranspose(2, 3, 4, 2), True),
        (lambda: tn.ConvTranspose2d(2, 3, 5, 3, 1, bias=False), lambda: mn.Conv2dTranspose(2, 3, 5, 3), True),
        (lambda: tn.ConvTranspose2d(2, 3, 2, 3, 0, 1, bias=False), lambda: mn.Conv2dTranspose(2, 3, 2, 3), True),
        (
            lambda: tn.ConvTranspose2d(2, 3, 2, 3, 0, 1, bias=False),
            lambda: mn.Conv2dTranspose(2, 3, 2, 3, "valid"),
            True,
        ),
        (lambda: tn.ConvTranspose2d(2, 3, 3, 2, 1, 1, bias=False), lambda: mn.Conv2dTranspose(2, 3, 3, 2), False),
        (
            lambda: tn.ConvTranspose2d(2, 3, 3, 2, 1, 1, bias=False),
            lambda: mn.Conv2dTranspose(2, 3, 3, 2, "pad", 1, 1),  # which puts zeros there
            False,
        ),
        (
            lambda: tn.ConvTranspose2d(2, 3, 3, 2, 1, 1, bias=False),
            lambda: mn.Conv2dTranspose(2, 3, 3, 2, "pad", (1, 0, 1, 0)),
            True,
        ),
    ],
)
def test_ways_of_padding_are_equal_where_the_numbers_are(ours, theirs, same):
    one, other = ours().eval(), theirs().set_train(False)
    assert (not told_apart(one, other)) is same
    if ts.parameters(one):
        ts.transfer(one, other)
    x = np.random.default_rng(1).standard_normal((1, 2, 8, 8)).astype(np.float32)
    with torch.no_grad():
        expected, computed = one(torch.tensor(x)).numpy(), other(mindspore.Tensor(x)).asnumpy()
    assert (expected.shape == computed.shape and np.allclose(expected, computed, atol=1e-5)) is same


def test_mint_is_read_as_torch_is():
    mint = mindspore.mint.nn
    makers = [
        lambda nn: nn.Linear(3, 4, bias=False),
        lambda nn: nn.Conv1d(2, 4, 3, 2, 1, groups=2),
        lambda nn: nn.Conv2d(2, 4, 3, padding="same", dilation=2, padding_mode="reflect"),
        lambda nn: nn.Conv3d(2, 4, 3),
        lambda nn: nn.ConvTranspose2d(2, 4, 3, 2, 1, 1),
        lambda nn: nn.BatchNorm1d(4, momentum=0.2, affine=False),
        lambda nn: nn.BatchNorm3d(4, track_running_stats=False),
        lambda nn: nn.GroupNorm(2, 4, affine=False),
        lambda nn: nn.LayerNorm((3, 4), bias=False),
        lambda nn: nn.Embedding(5, 4, padding_idx=1, max_norm=1.0),
        lambda nn: nn.PReLU(4),
        lambda nn: nn.MaxPool2d(3),
        lambda nn: nn.AvgPool1d(3),
        lambda nn: nn.AvgPool2d(3, padding=1, count_include_pad=False),
        lambda nn: nn.AvgPool3d(3, 2),
        lambda nn: nn.MaxUnpool2d(3),
        lambda nn: nn.AdaptiveAvgPool1d(2),
        lambda nn: nn.AdaptiveAvgPool2d((None, 2)),
        lambda nn: nn.AdaptiveMaxPool2d((None, 2)),
        lambda nn: nn.Dropout(0.2),
        lambda nn: nn.Dropout2d(0.2),
    ]
    for make in makers:
        assert not told_apart(make(tn), make(mint)), make(tn)


def test_a_value_says_how_it_is_spelled_and_what_stands_there():
    found = settings(mn.Conv2d(2, 4, 3))
    assert found["bias"].spelled == "bias"
    assert found["pads"].raw == {
        **{"padding": 0, "kernel_size": (3, 3), "stride": (1, 1), "dilation": (1, 1), "pad_mode": "same"}
    }
    assert settings(tn.BatchNorm1d(3, eps=0.1))["eps"].raw == 0.1
    assert settings(mn.Conv2d(2, 4, 3))["padding_mode"].spelled == ""
    assert settings(tn.Sequential(tn.ReLU())) is None
    assert settings(3) is None


def test_a_setting_that_cannot_be_read_names_rule_and_setting(monkeypatch):
    rule = next(rule for rule in RULES["torch"] if rule.cls == "torch.nn.Linear")
    for spelling in (
        "no_such",
        Spelled("bias", "no_such"),
        Spelled("in_features", lambda n: n.no_such),
        lambda layer: {},
    ):
        monkeypatch.setitem(rule.settings, "bias", spelling)
        monkeypatch.setattr(_settings, "_READERS", WeakKeyDictionary())  # what was known of the rule before
        with pytest.raises(PluginError, match=r"(?s)'torch'.*torch\.nn\.Linear.*'bias' of a linear"):
            settings(tn.Linear(3, 4))
