"""Numbers that are sizes are no places; where nothing else tells, the order of definition decides, and is a guess."""

import sys
from pathlib import Path

import numpy as np
import pytest

import ts_core as ts
from ts_core.mapping._names import numbers, sizes, tokens

torch = pytest.importorskip("torch")
mindspore = pytest.importorskip("mindspore")
nn, msnn = torch.nn, mindspore.nn

sys.path.insert(0, str(Path(__file__).parent))
from mapping_nets import cell, certainties, conv, layers_of, ms_conv, net  # noqa: E402


@pytest.mark.parametrize(
    ("component", "words", "counted"),
    [
        ("conv3x3", ("conv",), ()),
        ("c1x1_a", ("c",), ()),
        ("conv_k3_s2", ("conv",), ()),
        ("k3s2p1", (), ()),
        ("bn_s2", ("bn",), ()),
        ("norm_c64", ("norm",), ()),
        ("dw3x3x3", ("dw",), ()),
        ("kernel_5", (), ()),
        ("rate12", (), ()),
        ("ch64", (), ()),
        ("conv2d_57", ("conv",), (57,)),
        ("BatchNorm1d", ("batch", "norm"), ()),
        ("branch2b", ("branch",), (2,)),
        ("conv4_1", ("conv",), (4, 1)),
        ("stage2", ("stage",), (2,)),
        ("s2", ("s",), (2,)),
        ("p3", ("p",), (3,)),
        ("w1", ("w",), (1,)),
        ("64", (), (64,)),
        ("to_q", ("to", "q"), ()),
        ("kernel", ("kernel",), ()),
    ],
)
def test_what_a_component_of_a_path_says(component, words, counted):
    assert tokens(component) == (words, counted)


def test_sizes_are_kept_apart():
    assert (numbers("layer1.conv3x3_s2.bn1"), sizes("layer1.conv3x3_s2.bn1")) == ((1, 1), ("3x3", "s", "2"))


def blocks(names, kernels=(1, 3, 1), width=8):
    """A torch block and a MindSpore block of these names, two for each convolution: its own and its norm's."""
    torch_names, ms_names = names
    ours = {}
    theirs = {}
    for number, kernel in enumerate(kernels):
        ours[torch_names[number][0]] = conv(width, width, kernel)
        ours[torch_names[number][1]] = nn.BatchNorm2d(width)
        theirs[ms_names[number][0]] = ms_conv(width, width, kernel)
        theirs[ms_names[number][1]] = msnn.BatchNorm2d(width)
    return net(**ours), cell(**theirs)


ORDINARY = [("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3")]
HABITS = {
    "letters": [("c1x1_a", "n1x1_a"), ("c3x3_b", "n3x3_b"), ("c1x1_c", "n1x1_c")],
    "kernels": [("conv1x1_x", "bn1x1_x"), ("conv3x3_x", "bn3x3_x"), ("conv1x1_y", "bn1x1_y")],
    "strides": [("conv_s2", "bn_s2"), ("conv_s1", "bn_s1"), ("conv_s4", "bn_s4")],
    "kernel and stride": [("conv_k3s2", "bn_k3s2"), ("conv_k1s1", "bn_k1s1"), ("conv_k5s1", "bn_k5s1")],
    "channels": [("conv_c256", "bn_c256"), ("conv_c64", "bn_c64"), ("conv_c128", "bn_c128")],
    "widths": [("conv256", "bn256"), ("conv64", "bn64"), ("conv128", "bn128")],
    "dilations": [("conv_rate12", "bn_rate12"), ("conv_rate6", "bn_rate6"), ("conv_rate18", "bn_rate18")],
}


@pytest.mark.parametrize("habit", HABITS)
@pytest.mark.parametrize("turned", [False, True], ids=["", "turned"])
def test_norms_do_not_swap_for_sizes_in_their_names(habit, turned):
    names = (HABITS[habit], ORDINARY) if not turned else (ORDINARY, HABITS[habit])
    source, target = blocks(names)
    found = ts.weight_map(source, target)
    assert found.complete
    for ours, theirs in zip(*names, strict=True):
        assert layers_of(found)[ours[1]] == theirs[1]
    assert certainties(found, *(norm for _, norm in names[0])) == {"guess"}


@pytest.mark.parametrize("habit", HABITS)
def test_the_same_sizes_on_both_sides_are_names(habit):
    source, _ = blocks((HABITS[habit], ORDINARY))
    backwards = {}
    for name, norm in reversed(HABITS[habit]):
        kernel = dict(zip((n for n, _ in HABITS[habit]), (1, 3, 1), strict=True))[name]
        backwards[name], backwards[norm] = ms_conv(8, 8, kernel), msnn.BatchNorm2d(8)
    found = ts.weight_map(source, cell(**backwards))
    assert layers_of(found) == {name: name for both in HABITS[habit] for name in both}
    assert "guess" not in {entry.certainty for entry in found}


def test_numbers_of_other_lengths_are_a_guess_by_definition():
    source = net(bn1=nn.LayerNorm(4), bn2=nn.LayerNorm(4), fc=nn.Linear(4, 3))
    target = cell(norm4_2=msnn.LayerNorm((4,)), norm4_1=msnn.LayerNorm((4,)), fc=msnn.Dense(4, 3))
    found = ts.weight_map(source, target)
    assert layers_of(found) == {"bn1": "norm4_2", "bn2": "norm4_1", "fc": "fc"}
    assert certainties(found, "bn1", "bn2") == {"guess"}


class Source(nn.Module):
    """Numbered from the end."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.fc1(torch.tanh(self.fc2(x)))))


class Target(msnn.Cell):
    def __init__(self, activation=mindspore.ops.tanh):
        super().__init__()
        self.fc1, self.fc2, self.head = msnn.Dense(4, 4), msnn.Dense(4, 4), msnn.Dense(4, 3)
        self.activation = activation

    def construct(self, x):
        return self.head(self.activation(self.fc2(mindspore.ops.tanh(self.fc1(x)))))


INPUT = np.random.default_rng(0).standard_normal((2, 4)).astype(np.float32)


def test_execution_decides_before_numbers():
    assert ts.weight_map(Source(), Target())["fc1.weight"] == "fc1.weight"
    found = ts.weight_map(Source(), Target(), sample_inputs=INPUT)
    assert layers_of(found) == {"fc1": "fc2", "fc2": "fc1", "head": "head"}
    assert {e.how for e in found if e.source[0].startswith("fc")} == {"execution"}
    assert not any(entry.doubt for entry in found)
    assert float(found.notes[-1].rpartition(" ")[2]) < 1e-5


def test_a_map_whose_outputs_differ_says_which_entries_it_doubts():
    found = ts.weight_map(Source(), Target(mindspore.ops.relu), sample_inputs=INPUT)
    assert {e.source[0]: bool(e.doubt) for e in found if e.source[0].endswith("weight")} == {
        "fc1.weight": True,
        "fc2.weight": True,
        "head.weight": True,
    }
    assert "part at this layer first" in next(e.doubt for e in found if e.source[0] == "head.weight")
    assert "in doubt" in found.notes[-1]
    assert "fc1.weight" in found.notes[-1]
    assert "part at this layer" in str(found)
    with pytest.warns(ts.errors.WeightMapWarning, match="doubtful"):
        ts.transfer(Source(), Target(mindspore.ops.relu), weight_map=found)
