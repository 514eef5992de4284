"""What is left over pairs only where it stands; a row of blocks is one; a reason names what is free at the place."""

import sys
from pathlib import Path

import pytest

import ts_core as ts
from ts_core.errors import WeightMapError

torch = pytest.importorskip("torch")
mindspore = pytest.importorskip("mindspore")
nn, msnn = torch.nn, mindspore.nn

sys.path.insert(0, str(Path(__file__).parent))
from mapping_nets import cell, certainties, layers_of, net  # noqa: E402


def block(make, linear, norm, norms=("norm1",), width=8):
    layers = {name: norm(width) for name in norms}
    return make(**layers, fc1=linear(width, 2 * width), fc2=linear(2 * width, width))


def torch_block(*norms):
    return block(net, nn.Linear, nn.LayerNorm, norms)


def ms_block(*norms):
    return block(cell, msnn.Dense, lambda width: msnn.LayerNorm((width,)), norms)


@pytest.mark.parametrize("far", [0, 1, 2])
@pytest.mark.parametrize("container", [False, True], ids=["", "nested"])
def test_a_final_norm_is_not_the_norm_of_a_far_block(far, container):
    head = {"norm": nn.LayerNorm(8), "head": nn.Linear(8, 3)}
    source = net(**{f"b{n}": torch_block("norm1") for n in range(3)}, **head)
    blocks = {f"b{n}": ms_block(*(("norm1", "norm2") if n == far else ("norm1",))) for n in range(3)}
    target = (
        cell(features=cell(**blocks), head=msnn.Dense(8, 3)) if container else cell(**blocks, head=msnn.Dense(8, 3))
    )
    found = ts.weight_map(source, target)
    assert "norm.weight" not in found
    reasons = {u.name: u for u in found.unmatched_source}
    assert "no free partner at this place" in reasons["norm.weight"].reason
    front = "features." if container else ""
    assert reasons["norm.weight"].candidates[0] == f"{front}b{far}.norm2.gamma"
    assert not found.ambiguous
    with pytest.raises(WeightMapError, match=r"no place for norm\.weight"):
        ts.transfer(source, target)


def test_a_norm_in_front_is_not_the_one_behind():
    source = net(norm0=nn.LayerNorm(8), fc1=nn.Linear(8, 16), fc2=nn.Linear(16, 8), head=nn.Linear(8, 3))
    target = cell(a=msnn.Dense(8, 16), b=msnn.Dense(16, 8), last=msnn.LayerNorm((8,)), head=msnn.Dense(8, 3))
    assert "norm0.weight" not in ts.weight_map(source, target)


def test_a_norm_moves_with_what_it_stands_beside():
    source = net(stem=nn.Conv2d(3, 8, 3), norm=nn.BatchNorm2d(8), fc=nn.Linear(8, 3))
    inner = cell(conv=msnn.Conv2d(3, 8, 3, has_bias=True), bn=msnn.BatchNorm2d(8))
    found = ts.weight_map(source, cell(classifier=msnn.Dense(8, 3), stem=inner))
    assert layers_of(found) == {"stem": "stem.conv", "norm": "stem.bn", "fc": "classifier"}


def six(make, linear, norm, prelu, names, bias):
    """A block of six layers, of which one has a bias or none."""
    layers = (linear(8, 8, bias), linear(8, 16, True), linear(16, 8, True), norm(8), norm(16), prelu(8))
    return make(**dict(zip(names, layers, strict=True)))


@pytest.mark.parametrize("biased", [False, True])
def test_blocks_without_a_common_word_pair_in_a_row(biased):
    def ours(*names):
        return six(net, lambda i, o, b: nn.Linear(i, o, bias=b), nn.LayerNorm, nn.PReLU, names, biased)

    def theirs(*names):
        make = (cell, lambda i, o, b: msnn.Dense(i, o, has_bias=b), lambda w: msnn.LayerNorm((w,)), msnn.PReLU)
        return six(*make, names, not biased)

    source = net(**{n: ours(*"abcdef") for n in ("x1", "y1", "z1")}, head=nn.Linear(8, 3))
    target = cell(**{n: theirs(*"mnopqr") for n in ("foo", "bar", "baz")}, head=msnn.Dense(8, 3))
    found = ts.weight_map(source, target)
    pairs = layers_of(found)
    for one, other in (("x1", "foo"), ("y1", "bar"), ("z1", "baz")):
        assert {pairs[f"{one}.{name}"] for name in "abcdef"} == {f"{other}.{name}" for name in "mnopqr"}
    assert {u.name.rpartition(".")[2] for u in (*found.unmatched_source, *found.unmatched_target)} == {"bias"}


@pytest.mark.parametrize(
    ("ours", "theirs", "complete"),
    [
        (nn.GroupNorm(1, 8), msnn.LayerNorm((8,)), True),
        (nn.LayerNorm(8), msnn.GroupNorm(1, 8), True),
        (nn.LayerNorm(8), msnn.BatchNorm1d(8), False),
        (nn.BatchNorm1d(8), msnn.LayerNorm((8,)), False),
    ],
)
def test_norms_of_two_families_in_one_place_are_partners_with_a_warning(ours, theirs, complete):
    source = net(fc=nn.Linear(4, 8), norm=ours, head=nn.Linear(8, 3))
    target = cell(fc=msnn.Dense(4, 8), ln=theirs, head=msnn.Dense(8, 3))
    found = ts.weight_map(source, target)
    assert found["norm.weight"] == "ln.gamma"
    assert found.complete is complete
    doubt = next(e.doubt for e in found if e.source == ("norm.weight",))
    assert "norm" in doubt
    assert "settings" in doubt
    assert certainties(found, "norm") == {"likely"}
    if complete:
        with pytest.warns(ts.errors.WeightMapWarning, match=r"2 of 6 entries are doubtful: norm\.weight"):
            assert ts.transfer(source, target)
    else:  # statistics are no other layer's
        with pytest.raises(WeightMapError, match=r"layer's partner, has no mean"):
            ts.transfer(source, target)


def test_norms_of_two_families_are_none_where_there_are_two():
    source = net(a=nn.GroupNorm(1, 8), b=nn.GroupNorm(1, 8), head=nn.Linear(8, 3))
    target = cell(one=msnn.LayerNorm((8,)), head=msnn.Dense(8, 3))
    assert not {"a.weight", "b.weight"} & ts.weight_map(source, target).names.keys()


def reasons(source, target):
    found = ts.weight_map(source, target)
    return {u.name: u for u in (*found.unmatched_target, *found.unmatched_source)}


def test_reasons_name_another_shape_another_kind_and_no_free_partner():
    body = {"a": nn.Linear(4, 8), "b": nn.Linear(8, 6), "c": nn.Linear(6, 4)}
    ms_body = {"a": msnn.Dense(4, 8), "b": msnn.Dense(8, 6), "c": msnn.Dense(6, 4)}
    told = reasons(net(**body, head=nn.Linear(4, 1000)), cell(**ms_body, head=msnn.Dense(4, 10)))
    assert told["head.weight"].reason == "'head.weight' has the shape (10, 4), not (1000, 4)"
    told = reasons(net(**body, x=nn.Embedding(9, 5)), cell(**ms_body, y=msnn.Dense(5, 9, has_bias=False)))
    assert "another kind of layer: linear, not embedding" in told["x.weight"].reason
    told = reasons(net(**body, more=nn.Linear(7, 5)), cell(**ms_body))
    assert "no free partner" in told["more.weight"].reason or "nothing of this kind" in told["more.weight"].reason


def test_candidates_that_are_free_come_first():
    body, ms_body = {"body": nn.Linear(4, 8)}, {"body": msnn.Dense(4, 8)}
    source = net(**body, head=nn.Linear(8, 10), head_aux=nn.Linear(8, 12))
    target = cell(**ms_body, head=msnn.Dense(8, 10), zzz=msnn.Dense(8, 14))
    assert reasons(source, target)["head_aux.weight"].candidates[0] == "zzz.weight"


@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
def test_norms_stand_behind_the_convolution_that_they_belong_to(last):
    """The shortcut of a block is defined first by one, and last by another; the norms are of one size."""
    shortcut = {"downsample": net(conv=nn.Conv2d(4, 8, 1, bias=False), bn=nn.BatchNorm2d(8))}
    main = {
        "conv1": net(conv=nn.Conv2d(4, 8, 3, bias=False), bn=nn.BatchNorm2d(8)),
        "conv2": net(conv=nn.Conv2d(8, 8, 3, bias=False), bn=nn.BatchNorm2d(8)),
    }
    source = net(b=net(**(main | shortcut if last else shortcut | main)), head=nn.Linear(8, 3))
    ms_shortcut = {"proj": msnn.Conv2d(4, 8, 1), "bn": msnn.BatchNorm2d(8)}
    ms_main = {
        "f": cell(a=msnn.Conv2d(4, 8, 3), a_bn=msnn.BatchNorm2d(8), b=msnn.Conv2d(8, 8, 3), b_bn=msnn.BatchNorm2d(8))
    }
    target = cell(b=cell(**(ms_shortcut | ms_main)), head=msnn.Dense(8, 3))
    pairs = layers_of(ts.weight_map(source, target))
    assert pairs["b.downsample.bn"] == "b.bn"
    assert pairs["b.conv1.bn"] == "b.f.a_bn"
    assert pairs["b.conv2.bn"] == "b.f.b_bn"
