"""ts.compare_settings on networks of torch and MindSpore: what differs in meaning is a false row, and nothing else."""

import random

import numpy as np
import pytest

import ts_core as ts
from ts_core.errors import ArgumentError, ArgumentTypeError, SettingsError

torch = pytest.importorskip("torch")
mindspore = pytest.importorskip("mindspore")
tn, mn = torch.nn, mindspore.nn


class Named(tn.Module):
    """Layers under these names, one after the other."""

    def __init__(self, **layers):
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x


class Cells(mn.Cell):
    """The same in MindSpore."""

    def __init__(self, **layers):
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.names = list(layers)

    def construct(self, x):
        for name in self.names:
            x = getattr(self, name)(x)
        return x


def compared(ours, theirs, **options):
    return ts.compare_settings(ours.eval(), theirs.set_train(False), **options)


def differing(report):
    return {(row.source, row.target, row.setting) for row in report.failed}


def conv(*args, pad=0, **more):
    return mn.Conv2d(*args, pad_mode="pad", padding=pad, has_bias=True, **more)


def test_rows_say_what_differs_where_and_when():
    ours = Named(c=tn.Conv2d(3, 4, 3, 2, 1), n=tn.BatchNorm2d(4), a=tn.LeakyReLU(0.1), d=tn.Dropout(0.1))
    theirs = Cells(
        c=mn.Conv2d(3, 4, 3, 2, has_bias=True), n=mn.BatchNorm2d(4, 1e-3, 0.1), a=mn.LeakyReLU(0.2), d=mn.Dropout(p=0.9)
    )
    report = compared(ours, theirs)
    assert not report
    found = {row.setting: row for row in report.failed}
    assert set(found) == {"pads", "eps", "momentum", "negative_slope", "p"}
    assert (found["eps"].source_value, found["eps"].target_value, found["eps"].when) == (1e-5, 1e-3, "inference")
    assert found["momentum"].target_value == 0.9
    assert found["momentum"].when == found["p"].when == "training only"
    assert (found["pads"].when, found["pads"].sizes) == ("at some sizes", "even sizes")
    assert found["pads"].target_spelled == "padding=0 kernel_size=(3, 3) stride=(2, 2) dilation=(1, 1) pad_mode='same'"
    assert [row.when for row in report.failed] == ["inference"] * 2 + ["at some sizes"] + ["training only"] * 2
    assert [row.kind for row in report.rows if row.setting == "p"] == ["dropout"]
    assert "even sizes" in str(report)
    assert "5 of" in report.summary
    assert report.to_records()[0]["setting"] == "eps"


def test_what_is_spelled_otherwise_and_means_the_same_is_no_difference():
    ours = Named(
        c=tn.Conv2d(3, 4, 3, padding=1),
        n=tn.BatchNorm2d(4),
        a=tn.ReLU6(),
        p=tn.MaxPool2d(2),
        s=tn.Sequential(),
        z=tn.ZeroPad2d(1),
        d=tn.Dropout(0.0),
        f=tn.Flatten(),
        g=tn.Linear(64, 5),
        h=tn.Softmax(1),
    )
    theirs = Cells(
        c=mn.Conv2d(3, 4, 3, has_bias=True),
        n=mn.BatchNorm2d(4, momentum=0.9),
        a=mn.Hardtanh(0.0, 6.0),
        p=mn.MaxPool2d(2, 2),
        s=mn.Identity(),
        z=mn.Pad(((0, 0), (0, 0), (1, 1), (1, 1))),
        d=mn.Dropout(p=0.0),
        f=mn.Flatten(),
        g=mn.Dense(64, 5),
        h=mn.Softmax(1),
    )
    report = compared(ours, theirs)
    assert report, str(report)
    assert len(report.rows) > 20


def test_what_has_no_consequence_is_no_difference():
    report = compared(
        Named(
            c=tn.Conv2d(3, 3, 1), p=tn.AvgPool2d(2), i=tn.InstanceNorm2d(3, affine=True), u=tn.Upsample(scale_factor=2)
        ),
        Cells(
            c=conv(3, 3, 1),
            p=mn.AvgPool2d(2, 2, pad_mode="pad", padding=0, count_include_pad=False),  # of no pads
            i=mn.InstanceNorm2d(3, momentum=0.7),  # it keeps no statistics
            u=mn.Upsample(scale_factor=2.0, recompute_scale_factor=True),
        ),
    )
    assert report, str(report)


def test_a_linear_layer_is_a_convolution_with_a_window_of_one():
    ours, theirs = Named(f=tn.Linear(3, 4)), Cells(f=mn.Conv2d(3, 4, 1, pad_mode="valid", has_bias=True))
    assert compared(ours, theirs)
    without = compared(ours, Cells(f=mn.Conv2d(3, 4, 1, pad_mode="valid")))
    assert differing(without) == {("f", "f", "bias")}


def test_an_activation_inside_a_dense_layer_is_a_layer_of_its_own():
    ours = Named(f=tn.Linear(3, 4), a=tn.ReLU(), g=tn.Linear(4, 5))
    assert compared(ours, Cells(f=mn.Dense(3, 4, activation="relu"), g=mn.Dense(4, 5)))
    other = compared(ours, Cells(f=mn.Dense(3, 4, activation=mn.GELU(False)), g=mn.Dense(4, 5)))
    assert differing(other) == {("a", "f.activation", "kind")}
    operator = compared(ours, Cells(f=mn.Dense(3, 4, activation=mindspore.ops.ReLU()), g=mn.Dense(4, 5)))
    assert {row.setting for row in operator.failed} == {"activation", "kind"}


def test_pads_in_a_layer_of_their_own_count():
    ours = Named(c=tn.Conv2d(3, 4, 3, padding=1), r=tn.ReLU(), p=tn.MaxPool2d(3, 2, 1))
    padded = Cells(
        z=mn.Pad(((0, 0), (0, 0), (1, 1), (1, 1))),
        c=conv(3, 4, 3),
        r=mn.ReLU(),
        y=mn.ZeroPad2d(1),
        p=mn.MaxPool2d(3, 2),
    )
    report = compared(ours, padded)
    assert report, str(report)  # behind a ReLU there is nothing below the zeros
    negative = compared(
        Named(c=tn.Conv2d(3, 4, 3), p=tn.MaxPool2d(3, 2, 1)),
        Cells(c=conv(3, 4, 3), y=mn.ZeroPad2d(1), p=mn.MaxPool2d(3, 2)),
    )
    assert differing(negative) == {("p", "p", "pads")}
    assert "zeros of y" in negative.failed[0].remark


@pytest.mark.parametrize("name", ["act", "drop"])
def test_a_layer_that_one_side_lacks_is_a_row(name):
    def layers(m, linear):
        return {"f": linear(3, 4), "act": m.ReLU(), "drop": m.Dropout(p=0.2), "g": linear(4, 5)}

    theirs = layers(mn, mn.Dense)
    del theirs[name]
    report = compared(Named(**layers(tn, tn.Linear)), Cells(**theirs))
    assert differing(report) == {(name, "", "kind")}
    assert report.failed[0].when == ("training only" if name == "drop" else "inference")
    assert "functional calls are out of sight: use ts.locate" in str(report)
    assert sum(both != (1, 1) and both[0] != both[1] for both in report.counts.values()) == 1


def test_a_layer_that_does_nothing_is_missed_by_nobody():
    report = compared(
        Named(f=tn.Linear(3, 4), i=tn.Identity(), d=tn.Dropout(0.0), x=tn.Flatten()), Cells(f=mn.Dense(3, 4))
    )
    assert report
    assert [row.remark for row in report.rows if not row.target and row.source] == [
        *("does nothing", "does nothing", "changes the shape alone")
    ]


def test_layers_without_parameters_are_paired_whatever_they_are_called_and_wherever_they_are_defined():
    ours = Named(
        relu=tn.LeakyReLU(0.3), f=tn.Linear(3, 4), g=tn.Linear(4, 5), out=tn.Softmax(-1)
    )  # relu is defined first
    theirs = Cells(one=mn.Dense(3, 4), act=mn.LeakyReLU(0.2), two=mn.Dense(4, 5), probabilities=mn.Softmax(-1))
    report = compared(ours, theirs)
    assert differing(report) == {("relu", "act", "negative_slope")}


def test_a_shared_layer_is_told_once_and_paired_at_each_of_its_places():
    relu = tn.LeakyReLU(0.1)
    ours = Named(f=tn.Linear(3, 4), a=relu, g=tn.Linear(4, 4), b=relu)
    other = mn.LeakyReLU(0.1)
    assert compared(ours, Cells(f=mn.Dense(3, 4), a=other, g=mn.Dense(4, 4), b=other))


def test_attention_in_one_layer_or_in_parts():
    block = {"d_model": 8, "nhead": 2, "dim_feedforward": 16}
    assert compared(tn.TransformerEncoderLayer(**block), mn.TransformerEncoderLayer(**block))
    other = compared(tn.TransformerEncoderLayer(**block), mn.TransformerEncoderLayer(**block, norm_first=True))
    assert differing(other) == {("", "", "norm_first")}

    class InParts(mn.Cell):
        def __init__(self):
            super().__init__()
            self.attn = mn.MultiheadAttention(8, 2, dropout=0.1)
            self.fc1, self.fc2 = mn.Dense(8, 16), mn.Dense(16, 8)
            self.ln1, self.ln2 = mn.LayerNorm((8,), epsilon=1e-5), mn.LayerNorm((8,), epsilon=1e-3)

    report = compared(tn.TransformerEncoderLayer(**block), InParts())
    assert ("norm2", "ln2", "eps") in differing(report)
    assert not {row.setting for row in report.failed if row.source and row.target} - {"eps"}


def test_the_mode_and_the_dtype_are_told_of_the_whole_and_of_what_is_not_like_it():
    def nets():
        ours = Named(f=tn.Linear(3, 4), n=tn.BatchNorm1d(4))
        return ours, Cells(f=mn.Dense(3, 4), n=mn.BatchNorm1d(4))

    ours, theirs = nets()
    report = ts.compare_settings(ours.train(), theirs.set_train(False))
    assert [(row.source, row.setting, row.source_value) for row in report.failed] == [("", "training", True)]
    theirs.set_train(True)
    theirs.n.set_train(False)
    report = ts.compare_settings(ours, theirs)
    assert differing(report) == {("n", "n", "training")}
    ours, theirs = nets()
    report = compared(ours.half(), theirs)
    assert differing(report) == {("", "", "dtype")}
    ours, theirs = nets()
    ours.f.half()
    assert ("f", "f", "dtype") in differing(compared(ours, theirs))


def test_an_unknown_kind_is_listed():
    class Strange(tn.Module):
        def forward(self, x):
            return x + 1

    report = compared(Named(f=tn.Linear(3, 4), s=Strange()), Cells(f=mn.Dense(3, 4)))
    assert [(side, one.path) for side, one in report.unknown] == [("source", "s")]
    assert "no settings are known of 1 layers of the source: s (test_an_unknown" not in str(report)
    assert "s (Strange)" in str(report)
    told = ts.settings(Strange())
    assert [(row.path, row.setting) for row in told] == [("", "")]
    assert "no settings are known of:" in str(told)


def test_sizes_and_order_are_decided_by_a_run():
    ours = Named(p=tn.MaxPool2d(3, 2, 1), c=tn.Conv2d(3, 4, 3), n=tn.BatchNorm2d(4), s=tn.Softmax(1))
    theirs = Cells(p=mn.MaxPool2d(3, 2, "same"), c=conv(3, 4, 3), n=mn.BatchNorm2d(4, eps=0.5), s=mn.Softmax(-1))
    ours.n.momentum = 0.3
    odd, even = (np.random.default_rng(0).standard_normal((2, 3, n, n)).astype(np.float32) for n in (15, 16))
    assert differing(compared(ours, theirs)) == {
        *(("p", "p", "pads"), ("n", "n", "eps"), ("n", "n", "momentum"), ("s", "s", "dim"))
    }
    state = {name: value.asnumpy().copy() for name, value in theirs.parameters_dict().items()}
    at_odd = compared(ours, theirs, sample_inputs=odd)
    assert differing(at_odd) == {("n", "n", "eps"), ("n", "n", "momentum"), ("s", "s", "dim")}
    at_even = compared(ours, theirs, sample_inputs=(even,))
    moved = {row.setting: row.moved for row in at_even.failed}
    assert moved["pads"] > 0.1
    assert moved["eps"] > 0.01
    assert moved["dim"] > 0.1
    assert at_even.failed[-1].setting == "momentum"
    distances = [row.moved for row in at_even.failed[:-1]]
    assert distances == sorted(distances, reverse=True)
    assert all(np.array_equal(state[name], value.asnumpy()) for name, value in theirs.parameters_dict().items())
    assert "moves the output by" in str(at_even)


def test_the_number_of_axes_decides_what_an_axis_means():
    ours, theirs = Named(f=tn.Linear(3, 4), s=tn.Softmax(1)), Cells(f=mn.Dense(3, 4), s=mn.Softmax(-1))
    row = compared(ours, theirs).failed[0]
    assert (row.when, row.sizes) == ("at some sizes", "inputs of 3, 4, 5, 6, 7 axes")
    assert compared(ours, theirs, sample_inputs=np.ones((2, 3), np.float32))
    assert not compared(ours, theirs, sample_inputs=np.ones((2, 5, 3), np.float32))


def test_a_weight_map_says_which_layer_is_which():
    ours = Named(a=tn.LayerNorm(4, 1e-5), b=tn.LayerNorm(4, 1e-3))
    theirs = Cells(x=mn.LayerNorm((4,), epsilon=1e-3), y=mn.LayerNorm((4,), epsilon=1e-5))
    crossed = ts.weight_map(ours, theirs)
    for name in list(crossed.names):
        del crossed[name]
    names = {"a.weight": "y.gamma", "a.bias": "y.beta", "b.weight": "x.gamma", "b.bias": "x.beta"}
    assert compared(ours, theirs, weight_map=(names, {}))
    assert differing(compared(ours, theirs)) == {("a", "x", "eps"), ("b", "y", "eps")}
    with pytest.raises(SettingsError, match=r"the weight map belongs to other networks.*'q\.weight'"):
        compared(ours, theirs, weight_map=({"q.weight": "y.gamma"}, {}))


def test_networks_of_nothing_in_common_and_what_is_no_network():
    ours = Named(f=tn.Linear(3, 4), g=tn.Linear(4, 7))
    with pytest.raises(SettingsError, match="do not belong together"):
        compared(ours, Cells(f=conv(2, 9, 5), g=conv(9, 11, 3)))
    with pytest.raises(ArgumentTypeError, match="there are no settings in weights"):
        ts.settings("net.pth")
    with pytest.raises(ArgumentTypeError, match="there are no settings in weights"):
        ts.compare_settings(ours.state_dict(), ours)
    for wrong in (3, {"a": np.ones(3)}, np.ones(3), tn.Linear):
        with pytest.raises(ArgumentTypeError, match="not a network"):
            ts.compare_settings(ours, wrong)
        with pytest.raises(ArgumentTypeError, match="not a network"):
            ts.settings(wrong)
    with pytest.raises(ArgumentError, match="sample_inputs needs two networks"):
        ts.compare_settings(ts.settings(ours), ours, sample_inputs=np.ones((1, 3), np.float32))


def test_transfer_says_how_many_settings_differ():
    ours = Named(f=tn.Linear(3, 4), n=tn.LayerNorm(4), a=tn.ReLU())
    theirs = Cells(f=mn.Dense(3, 4), n=mn.LayerNorm((4,)))
    notes = ts.transfer(ours, theirs).notes
    assert any("1 settings of layers differ; 1 layers are on one side only" in note for note in notes)
    assert any("ts.compare_settings(source, net)" in note for note in notes)
    same = Cells(f=mn.Dense(3, 4), n=mn.LayerNorm((4,), epsilon=1e-5), a=mn.ReLU())
    assert not any("settings" in note for note in ts.transfer(ours, same).notes)


# --- networks from a seed, with one thing told otherwise ------------------------------------------------------------

WIDTH = 4
# kind → (torch, MindSpore), each from the settings; and two values of each setting
PARTS = {
    "conv": (
        lambda s: tn.Conv2d(WIDTH, WIDTH, 3, s["stride"], s["pads"], s["dilation"], s["groups"], s["bias"]),
        lambda s: mn.Conv2d(
            *(WIDTH, WIDTH, 3, s["stride"], "pad", s["pads"], s["dilation"], s["groups"]), has_bias=s["bias"]
        ),
        {"stride": (1, 2), "pads": (0, 1), "dilation": (1, 2), "groups": (1, 1), "bias": (True, True)},
    ),
    "norm": (
        lambda s: tn.BatchNorm2d(WIDTH, s["eps"], s["momentum"]),
        lambda s: mn.BatchNorm2d(WIDTH, s["eps"], 1 - s["momentum"]),
        {"eps": (1e-5, 1e-3), "momentum": (0.1, 0.01)},
    ),
    "group": (
        lambda s: tn.GroupNorm(s["num_groups"], WIDTH, s["eps"]),
        lambda s: mn.GroupNorm(s["num_groups"], WIDTH, s["eps"]),
        {"num_groups": (2, 4), "eps": (1e-5, 1e-6)},
    ),
    "slope": (
        lambda s: tn.LeakyReLU(s["negative_slope"]),
        lambda s: mn.LeakyReLU(s["negative_slope"]),
        {"negative_slope": (0.01, 0.2)},
    ),
    "gelu": (
        lambda s: tn.GELU(s["approximate"]),
        lambda s: mn.GELU(s["approximate"] == "tanh"),
        {"approximate": ("none", "tanh")},
    ),
    "relu": (lambda s: tn.ReLU(), lambda s: mn.ReLU(), {}),
    "drop": (lambda s: tn.Dropout(s["p"]), lambda s: mn.Dropout(p=s["p"]), {"p": (0.1, 0.4)}),
    "max": (
        lambda s: tn.MaxPool2d(s["kernel_size"], s["stride"], 1, ceil_mode=s["ceil_mode"]),
        lambda s: mn.MaxPool2d(s["kernel_size"], s["stride"], "pad", 1, ceil_mode=s["ceil_mode"]),
        {"kernel_size": (3, 4), "stride": (2, 3), "ceil_mode": (False, True)},
    ),
    "average": (
        lambda s: tn.AvgPool2d(3, s["stride"], 1, count_include_pad=s["count_include_pad"]),
        lambda s: mn.AvgPool2d(3, s["stride"], "pad", 1, count_include_pad=s["count_include_pad"]),
        {"stride": (1, 2), "count_include_pad": (True, False)},
    ),
}


def network(rng, containers=3):
    """Names and parts of blocks: [(name of the block in either framework, [(local names, kind, settings)])]."""
    plan = []
    for number in range(containers):
        layers = []
        for place, kind in enumerate(["conv", *rng.choices(list(PARTS), k=rng.randint(2, 6))]):
            values = {name: both[0] for name, both in PARTS[kind][2].items()}
            local = f"{kind}{place}"
            layers.append(((local, local if rng.random() < 0.5 else f"layer_{place}"), kind, values))
        plan.append(((f"block{number}", rng.choice([f"block{number}", f"stage_{number}"])), layers))
    return plan


def built(plan, side):
    container, part = ((Named, 0), (Cells, 1))[side]
    return container(
        **{
            names[side]: container(**{local[side]: PARTS[kind][part](values) for local, kind, values in layers})
            for names, layers in plan
        }
    )


@pytest.mark.parametrize("seed", range(30))
def test_one_thing_that_is_told_otherwise_is_the_one_row_that_differs(seed):
    rng = random.Random(seed)
    plan = network(rng)
    ours = built(plan, 0)
    assert compared(ours, built(plan, 1)), str(compared(ours, built(plan, 1)))
    block, layers = rng.choice(plan)
    local, kind, values = rng.choice([layer for layer in layers if layer[2]])
    name = rng.choice([n for n, both in PARTS[kind][2].items() if both[0] != both[1]])
    values[name] = PARTS[kind][2][name][1]
    report = compared(ours, built(plan, 1))
    assert differing(report) == {(f"{block[0]}.{local[0]}", f"{block[1]}.{local[1]}", name)}


@pytest.mark.parametrize("seed", range(20))
def test_a_layer_without_weights_that_is_left_out_is_the_one_row(seed):
    rng = random.Random(100 + seed)
    plan = network(rng)
    ours = built(plan, 0)
    block, layers = rng.choice(plan)
    gone = next((layer for layer in layers if layer[1] not in ("conv", "norm", "group")), None)
    if gone is None:
        layers.append(gone := (("slope9", "slope9"), "slope", {"negative_slope": 0.3}))
        ours = built(plan, 0)
    layers.remove(gone)
    report = compared(ours, built(plan, 1))
    one_sided = [row for row in report.failed if row.one_sided]
    assert len(one_sided) == 1
    assert one_sided[0].source.startswith(f"{block[0]}.")
    assert len(report.failed) == 1


def test_a_size_may_be_told_by_a_factor():
    ours = Named(c=tn.Conv2d(3, 3, 1), u=tn.Upsample(scale_factor=2))
    theirs = Cells(c=conv(3, 3, 1), u=mn.Upsample(size=(16, 16)))
    assert differing(compared(ours, theirs)) == {("u", "u", "size"), ("u", "u", "scale_factor")}
    assert compared(ours, theirs).failed[0].when == "at some sizes"
    assert compared(ours, theirs, sample_inputs=np.ones((1, 3, 8, 8), np.float32))
    assert not compared(ours, theirs, sample_inputs=np.ones((1, 3, 9, 9), np.float32))


def test_pads_and_rounding_are_weighed_together():
    def pair(kernel, ours, theirs):
        return compared(
            Named(c=tn.Conv2d(3, 4, 3), p=tn.MaxPool2d(kernel, 2, **ours)),
            Cells(c=conv(3, 4, 3), p=mn.MaxPool2d(kernel, 2, **theirs)),
        )

    assert pair(2, {"ceil_mode": True}, {"pad_mode": "same"})
    report = pair(3, {"ceil_mode": True}, {"pad_mode": "same"})
    assert {(row.setting, row.sizes) for row in report.failed} == {("pads", "odd sizes"), ("ceil_mode", "odd sizes")}
    x = np.random.default_rng(0).standard_normal((1, 4, 9, 9)).astype(np.float32)
    for size in (8, 9):
        ours = tn.MaxPool2d(3, 2, ceil_mode=True)(torch.tensor(x[..., :size, :size])).numpy()
        theirs = mn.MaxPool2d(3, 2, "same")(mindspore.Tensor(x[..., :size, :size])).asnumpy()
        assert (ours.shape == theirs.shape and np.array_equal(ours, theirs)) is (size == 8)


def test_a_layer_inside_a_cell_of_ones_own_is_not_taken_for_another_kind():
    class Swish(mn.Cell):
        def __init__(self):
            super().__init__()
            self.sigmoid = mn.Sigmoid()

        def construct(self, x):
            return x * self.sigmoid(x)

    report = compared(Named(f=tn.Linear(3, 4), a=tn.SiLU()), Cells(f=mn.Dense(3, 4), swish=Swish()))
    assert differing(report) == {("a", "", "kind"), ("", "swish.sigmoid", "kind")}
    same_place = compared(Named(f=tn.Linear(3, 4), a=tn.SiLU()), Cells(f=mn.Dense(3, 4), a=Swish()))
    assert same_place
    assert "a layer here and code of its own there, source | target: a | a" in str(same_place)


@pytest.mark.parametrize("seed", range(40))
def test_windows_that_are_said_to_be_equal_are_equal_and_others_are_not(seed):
    """Any ways of padding and rounding, at any size: the words about sizes are true of the numbers."""
    rng = np.random.default_rng(seed)
    kernel, stride = int(rng.integers(1, 6)), int(rng.integers(1, 5))
    pads = int(rng.integers(0, kernel // 2 + 1))
    ours = tn.MaxPool1d(kernel, stride, pads, ceil_mode=bool(rng.integers(2)))
    mode = ["same", "valid", "pad"][int(rng.integers(3))]
    more = (
        {"padding": int(rng.integers(0, kernel // 2 + 1)), "ceil_mode": bool(rng.integers(2))} if mode == "pad" else {}
    )
    theirs = mn.MaxPool1d(kernel, stride, mode, **more)
    for size in range(kernel, kernel + 12):
        up = np.arange(1, size + 1, dtype=np.float32)
        x = np.stack([up, -up])[None]  # the largest number of a window says where it ends, or begins
        with torch.no_grad():
            one = ours(torch.tensor(x)).numpy()
        other = theirs(mindspore.Tensor(x)).asnumpy()
        same = one.shape == other.shape and np.array_equal(one, other)
        report = compared(Named(p=ours), Cells(p=theirs), sample_inputs=x)
        assert report.failed == tuple(row for row in report.rows if not row)
        assert bool(report) is same, f"{size}: {report}"


def test_a_run_takes_the_weights_that_fit():
    ours = Named(f=tn.Linear(3, 4), a=tn.LeakyReLU(0.3), g=tn.Linear(4, 5))
    theirs = Cells(f=mn.Dense(3, 4), a=mn.LeakyReLU(0.2), g=mn.Dense(4, 6))
    report = compared(
        *(ours, theirs),
        weight_map=({f"{n}.{w}": f"{n}.{w}" for n in "fg" for w in ("weight", "bias")}, {}),
        sample_inputs=np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32),
    )
    assert {row.setting for row in report.failed} == {"negative_slope", "out_features"}
    assert next(row for row in report.failed if row.setting == "negative_slope").moved > 0.01
