"""Fused and split projections: which parts a whole holds is told by sizes and names, and never guessed."""

import numpy as np
import pytest

import ts_core as ts
from ts_core.sources import open_source

pytest.importorskip("ts_torch.checkpoints")  # its files, not its framework

RNG = np.random.default_rng(0)


def apart(*names: str) -> dict[str, np.ndarray]:
    return {f"attn.{name}.weight": RNG.standard_normal((4, 4)) for name in names}


@pytest.mark.parametrize(
    ("target", "whole", "parts"),
    [
        ({"attn.qkv.weight": (12, 4)}, "qkv", ("q", "k", "v")),
        ({"attn.kv.weight": (8, 4), "attn.q.weight": (4, 4)}, "kv", ("k", "v")),
        ({"attn.qk.weight": (8, 4), "attn.v.weight": (4, 4)}, "qk", ("q", "k")),
    ],
)
def test_the_name_of_the_whole_tells_its_parts(target, whole, parts):
    source = apart("q", "k", "v")
    found = ts.weight_map(source, target)
    assert found.complete
    mapped = dict(found.apply(open_source(source)).items())
    expected = np.concatenate([source[f"attn.{part}.weight"] for part in parts])
    np.testing.assert_array_equal(mapped[f"attn.{whole}.weight"], expected)


def test_a_whole_without_a_telling_name_is_not_made_up():
    source = apart("q", "k", "v") | {"attn.proj.weight": np.ones((4, 6)), "head.weight": np.ones((9, 4))}
    target = {"attn.both.weight": (8, 4), "attn.one.weight": (4, 4), "attn.proj.weight": (4, 6), "head.weight": (9, 4)}
    found = ts.weight_map(source, target)
    assert "attn.both.weight" in {u.name for u in found.unmatched_target}
    assert not found.complete


def arrays(**shapes):
    return {name: RNG.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("without", ["k", "q", "kv"])
def test_a_part_without_a_bias_has_zeros_in_the_whole(without):
    source = arrays(**{f"attn.{part}.weight": (4, 4) for part in "qkv"}, **{"attn.proj.weight": (6, 4), "out": (3,)})
    source |= arrays(**{f"attn.{part}.bias": (4,) for part in "qkv" if part not in without})
    target = {"attn.qkv.weight": (12, 4), "attn.qkv.bias": (12,), "attn.proj.weight": (6, 4), "out": (3,)}
    found = ts.weight_map(source, target)
    assert found.complete
    mapped = found.apply(open_source(source))
    zeros = np.zeros(4, np.float32)
    expected = np.concatenate([source.get(f"attn.{part}.bias", zeros) for part in "qkv"])
    np.testing.assert_array_equal(mapped["attn.qkv.bias"], expected)
    assert "zeros stand for it" in found.by_target["attn.qkv.bias"].doubt
    back = ts.weight_map(dict(mapped), {name: array.shape for name, array in source.items()})
    assert back.complete
    assert "gets lost" in back.by_source["attn.qkv.bias"].doubt
    again = back.apply(open_source(dict(mapped)))
    for name, array in source.items():
        np.testing.assert_array_equal(again[name], array)


@pytest.mark.parametrize("kind", ["linear", "conv2d", "conv1d", "conv_transpose2d"])
@pytest.mark.parametrize("biases", ["", "a", "ab", "abc"])
@pytest.mark.parametrize("turned", [False, True], ids=["join", "split"])
def test_any_layer_is_joined_or_split_along_its_outputs(kind, biases, turned):
    """Under names that tell nothing: the place and the sizes do, and the order is a guess."""
    torch = pytest.importorskip("torch")
    nn = torch.nn
    make = {
        "linear": lambda n, bias: nn.Linear(5, n, bias=bias),
        "conv2d": lambda n, bias: nn.Conv2d(5, n, 3, bias=bias),
        "conv1d": lambda n, bias: nn.Conv1d(5, n, 3, bias=bias),
        "conv_transpose2d": lambda n, bias: nn.ConvTranspose2d(5, n, 3, bias=bias),
    }[kind]
    sizes = {"a": 2, "b": 3, "c": 4}

    def around(**layers):
        root = nn.Module()
        for name, layer in {"stem": nn.Linear(7, 5), **layers, "head": nn.Linear(9, 6)}.items():
            setattr(root, name, layer)
        return root

    apart = around(**{f"branch_{n}x": make(size, n in biases) for n, size in sizes.items()})
    whole = around(all=make(9, bool(biases)))
    source, target = (whole, apart) if turned else (apart, whole)
    found = ts.weight_map(source, target)
    assert found.complete, found
    names = [f"branch_{n}x.weight" for n in sizes]
    entry = found.by_source["all.weight"] if turned else found.by_target["all.weight"]
    assert [*(entry.target if turned else entry.source)] == names
    assert (entry.how, entry.certainty) == ("order", "guess")
    moved = found.apply(open_source(source))
    axis = 1 if kind == "conv_transpose2d" else 0
    if turned:
        joined = np.concatenate([moved[name] for name in names], axis)
        np.testing.assert_array_equal(joined, whole.all.weight.detach().numpy())
    else:
        expected = np.concatenate([getattr(apart, n.split(".")[0]).weight.detach().numpy() for n in names], axis)
        np.testing.assert_array_equal(moved["all.weight"], expected)
        if biases:
            parts = [getattr(apart, f"branch_{n}x").bias for n in sizes]
            told = [
                np.zeros(n, "f") if b is None else b.detach().numpy() for n, b in zip((2, 3, 4), parts, strict=True)
            ]
            np.testing.assert_array_equal(moved["all.bias"], np.concatenate(told))


def test_layers_elsewhere_are_no_parts():
    source = arrays(**{"a.one.weight": (2, 5), "a.mid.weight": (7, 2), "z.two.weight": (3, 5), "z.end.weight": (8, 3)})
    target = {"a.mid.weight": (7, 2), "q.whole.weight": (5, 5), "z.end.weight": (8, 3), "z.more.weight": (9, 9)}
    assert "q.whole.weight" in {u.name for u in ts.weight_map(source, target).unmatched_target}


@pytest.mark.parametrize("present", ["qv", "qkv"])
@pytest.mark.parametrize("target", ["apart", "whole"])
def test_biases_beside_a_fused_projection_belong_to_its_parts(present, target):
    source = arrays(**{"attn.qkv.weight": (12, 4), "attn.proj.weight": (6, 4), "out": (3,)})
    source |= arrays(**{f"attn.{part}_bias": (4,) for part in present})
    rest = {"attn.proj.weight": (6, 4), "out": (3,)}
    if target == "whole":
        wanted = {"attn.qkv.weight": (12, 4), "attn.qkv.bias": (12,), **rest}
    else:
        wanted = {f"attn.{part}.weight": (4, 4) for part in "qkv"} | rest
        wanted |= {f"attn.{part}.bias": (4,) for part in present}
    found = ts.weight_map(source, wanted)
    assert found.complete
    mapped = found.apply(open_source(source))
    zeros = np.zeros(4, np.float32)
    told = [source.get(f"attn.{part}_bias", zeros) for part in "qkv"]
    if target == "whole":
        np.testing.assert_array_equal(mapped["attn.qkv.bias"], np.concatenate(told))
    else:
        for number, part in enumerate("qkv"):
            rows = slice(4 * number, 4 * number + 4)
            np.testing.assert_array_equal(mapped[f"attn.{part}.weight"], source["attn.qkv.weight"][rows])
            if part in present:
                assert found[f"attn.{part}_bias"] == f"attn.{part}.bias"
