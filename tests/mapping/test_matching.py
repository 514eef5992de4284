"""Matching to a real target: what it finds, what it refuses, and that a refused network is left alone."""

from __future__ import annotations

import numpy as np
import pytest

import ts_core as ts
from ts_core.errors import WeightMapError

torch = pytest.importorskip("torch")
mindspore = pytest.importorskip("mindspore")
nn, msnn = torch.nn, mindspore.nn


def net(**layers):
    """A torch network of these layers, in this order."""
    root = nn.Module()
    for name, layer in layers.items():
        setattr(root, name, layer)
    return root


def cell(**layers):
    """A MindSpore network of these layers, in this order."""
    root = msnn.Cell()
    for name, layer in layers.items():
        setattr(root, name, layer)
    return root


def values(network: object) -> dict[str, bytes]:
    return {p.name: ts.to_numpy(p.value).tobytes() for p in ts.parameters(network)}


def refused(source: object, target: object) -> str:
    """The message with which a strict transfer refuses; the network must be what it was."""
    before = values(target)
    with pytest.raises(WeightMapError) as error:
        ts.transfer(source, target)
    assert values(target) == before
    return str(error.value)


def test_a_shape_that_differs_is_told_with_both_shapes():
    source = net(body=nn.Linear(4, 8), head=nn.Linear(8, 1000))
    message = refused(source, cell(body=msnn.Dense(4, 8), head=msnn.Dense(8, 10)))
    assert "head.weight" in message
    assert "(1000, 8)" in message
    assert "(10, 8)" in message


def test_a_layer_that_only_one_side_has_is_an_error():
    small, large = {"a": (4, 8), "b": (8, 3)}, {"a": (4, 8), "b": (8, 3), "c": (3, 7)}
    message = refused(
        net(**{n: nn.Linear(*s) for n, s in large.items()}), cell(**{n: msnn.Dense(*s) for n, s in small.items()})
    )
    assert "no place for c.weight" in message
    message = refused(
        net(**{n: nn.Linear(*s) for n, s in small.items()}), cell(**{n: msnn.Dense(*s) for n, s in large.items()})
    )
    assert "nothing for c.weight" in message


def test_two_equally_good_partners_are_listed_and_refused():
    source = net(first=nn.Linear(4, 4), other=nn.Linear(4, 6), third=nn.Linear(6, 5))
    target = cell(left=msnn.Dense(4, 4), right=msnn.Dense(4, 4), other=msnn.Dense(4, 6), third=msnn.Dense(6, 5))
    found = ts.weight_map(source, target)
    (ambiguity,) = found.ambiguous
    assert {"left.weight", "right.weight"} <= set(ambiguity.target)
    assert "first.weight" in ambiguity.source
    assert all(not entry.source[0].startswith("first") for entry in found)
    assert "ambiguous" in refused(source, target)


def test_what_only_order_decides_is_called_a_guess():
    source = net(foo=nn.Linear(4, 4), bar=nn.Linear(4, 4))
    found = ts.weight_map(source, cell(left=msnn.Dense(4, 4), right=msnn.Dense(4, 4)))
    assert {(e.how, e.certainty) for e in found} == {("order", "guess")}
    assert found["foo.weight"] == "left.weight"


def test_equal_names_are_certain_whatever_the_order_of_definition():
    source = net(a=nn.Linear(4, 4), b=nn.Linear(4, 4), c=nn.Linear(4, 4))
    found = ts.weight_map(source, cell(c=msnn.Dense(4, 4), a=msnn.Dense(4, 4), b=msnn.Dense(4, 4)))
    assert {e.source[0]: e.target[0] for e in found} == {n: n for n in values(source)}
    assert {(e.how, e.certainty) for e in found} == {("equal name", "certain")}


def test_networks_that_have_nothing_in_common_get_one_sentence():
    source = nn.Sequential(*(nn.Conv2d(3 + i, 4 + i, 3) for i in range(20)))
    message = refused(source, msnn.SequentialCell([msnn.Dense(50 + i, 51 + i) for i in range(20)]))
    assert "do not belong together" in message
    assert len(message) < 400


def test_counters_and_constants_need_no_partner():
    class Shifted(msnn.Cell):
        def __init__(self):
            super().__init__()
            self.norm = msnn.BatchNorm2d(4)
            index = mindspore.Tensor(np.arange(9, dtype=np.int32))
            self.relative_position_index = mindspore.Parameter(index, requires_grad=False)

    target = Shifted()
    found = ts.weight_map(net(norm=nn.BatchNorm2d(4)), target)
    assert [(u.name, u.harmless) for u in found.unmatched_source] == [("norm.num_batches_tracked", True)]
    assert [(u.name, u.harmless) for u in found.unmatched_target] == [("relative_position_index", True)]
    assert ts.transfer(net(norm=nn.BatchNorm2d(4)), target)


@pytest.mark.parametrize("names", [("q", "k", "v"), ("query", "key", "value"), ("q_proj", "k_proj", "v_proj")])
def test_projections_are_split_and_fused_in_both_directions(names):
    torch.manual_seed(0)
    fused = net(attn=net(qkv=nn.Linear(6, 18), proj=nn.Linear(6, 6)))
    apart = cell(attn=cell(**{n: msnn.Dense(6, 6) for n in names}, proj=msnn.Dense(6, 6)))
    ts.transfer(fused, apart)
    whole = fused.attn.qkv.weight.detach().numpy()
    for n, part in zip(names, np.split(whole, 3), strict=True):
        np.testing.assert_array_equal(getattr(apart.attn, n).weight.asnumpy(), part)
    again = net(attn=net(qkv=nn.Linear(6, 18), proj=nn.Linear(6, 6)))
    ts.transfer(apart, again)
    assert values(again) == values(fused)


def test_tied_weights_are_handled():
    source = net(embed=nn.Embedding(7, 4), head=nn.Linear(4, 7, bias=False))
    source.head.weight = source.embed.weight
    target = cell(embed=msnn.Embedding(7, 4), head=msnn.Dense(4, 7, has_bias=False))
    target.head.weight = target.embed.embedding_table
    assert ts.transfer(source, target)
    expected = source.embed.weight.detach().numpy()
    np.testing.assert_array_equal(target.embed.embedding_table.asnumpy(), expected)
    untied = cell(embed=msnn.Embedding(7, 4), head=msnn.Dense(4, 7, has_bias=False))
    assert ts.transfer(source, untied)
    np.testing.assert_array_equal(untied.head.weight.asnumpy(), expected)


def test_the_prefix_of_a_wrapper_is_left_out_and_said():
    inner = net(a=nn.Linear(4, 8), n=nn.LayerNorm(8))
    wrapped = nn.DataParallel(inner)
    found = ts.weight_map(wrapped, "mindspore")
    assert found["module.n.weight"] == "n.gamma"
    assert any("module." in note for note in found.notes)
    target = cell(a=msnn.Dense(4, 8), n=msnn.LayerNorm((8,)))
    assert ts.transfer(wrapped, target)


def test_names_and_shapes_alone_may_be_the_target():
    shapes = {"enc.a.weight": (8, 4), "enc.a.bias": (8,), "enc.norm.gamma": (8,), "enc.norm.beta": (8,)}
    source = net(a=nn.Linear(4, 8), norm=nn.LayerNorm(8))
    for target in (shapes, list(shapes.items())):
        found = ts.weight_map(source, target)
        assert {e.source[0]: e.target[0] for e in found} == {
            "a.weight": "enc.a.weight",
            "a.bias": "enc.a.bias",
            "norm.weight": "enc.norm.gamma",
            "norm.bias": "enc.norm.beta",
        }


def test_a_map_of_the_user_is_checked_before_anything_is_loaded():
    source, target = net(a=nn.Linear(4, 8)), cell(x=msnn.Dense(4, 8))
    found = ts.weight_map(source, "mindspore", rename={"a": "x"})
    assert ts.transfer(source, target, weight_map=found)
    before = values(target)
    with pytest.raises(WeightMapError, match=r"target lacks: y\.weight"):
        ts.transfer(source, target, weight_map=ts.weight_map(source, "mindspore", rename={"a": "y"}))
    crossed = ts.weight_map(source, "mindspore")
    crossed["a.weight"] = "x.bias"
    crossed["a.bias"] = "x.weight"
    with pytest.raises(WeightMapError, match=r"wrong shape: x\.bias"):
        ts.transfer(source, target, weight_map=crossed)
    assert values(target) == before


def test_two_parameters_of_one_name_are_refused():
    target = msnn.Cell()
    for name in ("a", "b"):
        target.insert_child_to_cell(name, msnn.Dense(4, 4))
    assert "are called 'weight'" in refused(net(a=nn.Linear(4, 4), b=nn.Linear(4, 4)), target)


def test_what_is_inside_modules_that_only_order_chose_is_a_guess_too():
    def block(make, linear, norm):
        return make(linear=linear(4, 8), norm=norm)

    source = net(**{n: block(net, nn.Linear, nn.LayerNorm(8)) for n in ("foo", "bar")}, fc=nn.Linear(8, 3))
    target = cell(**{n: block(cell, msnn.Dense, msnn.LayerNorm((8,))) for n in ("left", "right")}, fc=msnn.Dense(8, 3))
    found = ts.weight_map(source, target)
    assert {e.source[0]: e.certainty for e in found} == {
        **{f"{n}.{p}": "guess" for n in ("foo", "bar") for p in ("linear.weight", "linear.bias", "norm.weight")},
        **{f"{n}.norm.bias": "guess" for n in ("foo", "bar")},
        **{"fc.weight": "certain", "fc.bias": "certain"},
    }
    assert found["foo.linear.weight"] == "left.linear.weight"


@pytest.mark.parametrize("dropped", [1, 2, 3])
def test_numbers_tell_which_of_several_equal_modules_was_dropped(dropped):
    def stages(make, linear, norm, name, numbers):
        blocks = {f"{name}{n}": make(a=linear(4, 4), b=linear(4, 6), norm=norm()) for n in numbers}
        return make(**blocks, fc=linear(6, 3))

    source = stages(net, nn.Linear, lambda: nn.LayerNorm(6), "stage", (1, 2, 3))
    left = [n for n in (1, 2, 3) if n != dropped]
    target = stages(cell, msnn.Dense, lambda: msnn.LayerNorm((6,)), "delta", left)
    found = ts.weight_map(source, target)
    assert {e.source[0]: e.target[0] for e in found if e.source[0].endswith("a.weight")} == {
        f"stage{n}.a.weight": f"delta{n}.a.weight" for n in left
    }
    assert not any(e.certainty == "certain" for e in found if e.source[0].startswith("stage"))


def test_which_of_several_equal_modules_was_dropped_is_a_guess_when_nothing_tells():
    def blocks(make, linear, names):
        return make(**{n: make(a=linear(4, 4), b=linear(4, 6)) for n in names}, fc=linear(6, 3))

    source = blocks(net, nn.Linear, ("foo", "bar", "baz"))
    found = ts.weight_map(source, blocks(cell, msnn.Dense, ("left", "right")))
    assert {e.certainty for e in found if not e.source[0].startswith("fc")} == {"guess"}


def test_equal_numbers_decide_even_when_the_modules_stand_at_different_depths():
    source = net(branch1=nn.Linear(4, 4), branch2=net(**{"0": nn.Linear(4, 4), "1": nn.Linear(4, 6)}))
    inner = msnn.Cell()
    inner.insert_child_to_cell("0", msnn.Dense(4, 4))
    inner.insert_child_to_cell("1", msnn.Dense(4, 7))  # another size: the two modules are not alike as a whole
    found = ts.weight_map(source, cell(b2=inner, b1=msnn.Dense(4, 4)))
    assert found["branch1.weight"] == "b1.weight"
    assert found["branch2.0.weight"] == "b2.0.weight"
    assert "guess" not in {e.certainty for e in found}
