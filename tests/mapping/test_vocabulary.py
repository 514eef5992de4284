"""Every parameterised layer of both frameworks has a rule, and weights of any net of them come back bit for bit."""

import inspect
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ts_core as ts
from ts_core.contract.nouns import Parameter
from ts_core.sources import open_source

torch = pytest.importorskip("torch")
mindspore = pytest.importorskip("mindspore")
from mindspore import mint  # noqa: E402 - only after it is known to be there

# One of these makes an instance of each class; those with parameters get one that has them all where possible.
ARGUMENTS = [
    (),
    (4,),
    (4, 4),
    (3, 4, 3),
    (4, 4, 3),
    (2, 4),
    ((4,),),
    (4, 2),
    (4, 2, 8),
    (4, 4, 4),
    (3, 4, (3, 3)),
    (8, 10, [4]),
    ("LSTM", 4, 4),
]
# What cannot be made so, and why that is no gap: optimizers and schedules aside, which are no layers.
WRAPPERS = {  # made of other layers, or of a network
    *("TransformerDecoder", "TransformerEncoder", "AdaSumByDeltaWeightWrapCell", "AdaSumByGradWrapCell"),
    *("DistributedGradReducer", "ForwardValueAndGrad", "GetNextSingleOp", "GradAccumulationCell", "GraphCell"),
    *("OptTFTWrapper", "ParameterUpdate", "PipelineCell", "PipelineGradReducer", "TimeDistributed", "TrainOneStepCell"),
    *("TrainOneStepWithLossScaleCell", "WithGradCell"),
}
WITHOUT_PARAMETERS = {"CentralCrop", "Pad", "RNNCellBase", "Unflatten", "Unfold"}
NO_LAYERS = {"DynamicLossScaleUpdateCell"}  # the state of a training loop


def classes(module: ModuleType, base: type) -> list[type]:
    return [c for _, c in inspect.getmembers(module, inspect.isclass) if issubclass(c, base)]


def made(cls: type) -> list[list[Parameter]]:
    """The parameters of every instance that could be made."""
    found = []
    for arguments in ARGUMENTS:
        try:
            net = cls(*arguments)
        except Exception:
            continue
        found.append([p for p in ts.parameters(net) if p.persistent])
    return found


@pytest.mark.parametrize(
    ("module", "base", "at_least"),
    [(torch.nn, torch.nn.Module, 30), (mindspore.nn, mindspore.nn.Cell, 40), (mint.nn, mindspore.nn.Cell, 13)],
    ids=["torch.nn", "mindspore.nn", "mindspore.mint.nn"],
)
def test_every_parameterised_layer_has_a_rule(module, base, at_least):
    unmade, unruled, parameterised = [], [], 0
    for cls in classes(module, base):
        name = cls.__name__
        if name in NO_LAYERS or name.startswith("Lazy") or no_layer(cls):
            continue
        nets = made(cls)
        if not nets and name not in WRAPPERS | WITHOUT_PARAMETERS:
            unmade.append(name)
        parameterised += any(nets)
        unruled += [f"{name}: {p.path}" for net in nets for p in net if p.kind is None or p.role is None]
    assert not unmade, "give arguments for these"
    assert not unruled, "write a rule for these"
    assert parameterised >= at_least


def no_layer(cls: type) -> bool:
    nn = mindspore.nn
    return issubclass(cls, nn.Optimizer | nn.learning_rate_schedule.LearningRateSchedule)


def test_lazy_layers_are_known_by_the_classes_they_derive_from():
    net = torch.nn.Sequential(torch.nn.LazyConv2d(3, 1), torch.nn.LazyBatchNorm2d())
    net(torch.ones(2, 4, 5, 5))
    assert [p.kind for p in ts.parameters(net)] == ["conv2d"] * 2 + ["batch_norm2d"] * 5


def test_subclasses_and_layers_that_are_the_root_are_known():
    class Mine(torch.nn.BatchNorm1d):
        pass

    found = ts.weight_map(Mine(3), mindspore.nn.BatchNorm1d(3))
    target = {p.name for p in ts.parameters(mindspore.nn.BatchNorm1d(3))}
    assert {e.target[0] for e in found} == target
    translated = {e.target[0] for e in ts.weight_map(Mine(3), "mindspore")}
    assert translated - {"num_batches_tracked"} == target
    assert ts.weight_map(torch.nn.PReLU(3), mindspore.nn.PReLU(3)).complete
    assert ts.weight_map(torch.nn.PReLU(3), "mindspore")["weight"] == ts.parameters(mindspore.nn.PReLU(3))[0].name


# name → how torch and MindSpore make the layer
LAYERS = {
    "linear": (lambda n: n.Linear(3, 4), lambda n: n.Dense(3, 4)),
    "bilinear": (lambda n: n.Bilinear(3, 4, 5), lambda n: n.BiDense(3, 4, 5)),
    "conv1d": (lambda n: n.Conv1d(2, 3, 3), lambda n: n.Conv1d(2, 3, 3, has_bias=True)),
    "conv2d": (lambda n: n.Conv2d(2, 3, 3), lambda n: n.Conv2d(2, 3, 3, has_bias=True)),
    "conv3d": (lambda n: n.Conv3d(2, 3, 2), lambda n: n.Conv3d(2, 3, 2, has_bias=True)),
    "deconv1d": (lambda n: n.ConvTranspose1d(2, 3, 3), lambda n: n.Conv1dTranspose(2, 3, 3, has_bias=True)),
    "deconv2d": (lambda n: n.ConvTranspose2d(2, 3, 3), lambda n: n.Conv2dTranspose(2, 3, 3, has_bias=True)),
    "deconv3d": (lambda n: n.ConvTranspose3d(2, 3, 2), lambda n: n.Conv3dTranspose(2, 3, 2, has_bias=True)),
    "bn1d": (lambda n: n.BatchNorm1d(4), lambda n: n.BatchNorm1d(4)),
    "bn2d": (lambda n: n.BatchNorm2d(4), lambda n: n.BatchNorm2d(4)),
    "bn3d": (lambda n: n.BatchNorm3d(4), lambda n: n.BatchNorm3d(4)),
    "gn": (lambda n: n.GroupNorm(2, 4), lambda n: n.GroupNorm(2, 4)),
    "ln": (lambda n: n.LayerNorm((2, 4)), lambda n: n.LayerNorm((2, 4), begin_norm_axis=-2, begin_params_axis=-2)),
    "embedding": (lambda n: n.Embedding(5, 4), lambda n: n.Embedding(5, 4)),
    "prelu": (lambda n: n.PReLU(4), lambda n: n.PReLU(4)),
    "rnn": (lambda n: n.RNN(3, 4, 2), lambda n: n.RNN(3, 4, 2)),
    "lstm": (lambda n: n.LSTM(3, 4, bidirectional=True), lambda n: n.LSTM(3, 4, bidirectional=True)),
    "gru": (lambda n: n.GRU(3, 4), lambda n: n.GRU(3, 4)),
    "lstm_cell": (lambda n: n.LSTMCell(3, 4), lambda n: n.LSTMCell(3, 4)),
    "gru_cell": (lambda n: n.GRUCell(3, 4), lambda n: n.GRUCell(3, 4)),
    "attention": (lambda n: n.MultiheadAttention(4, 2), lambda n: n.MultiheadAttention(4, 2)),
    "separate": (
        lambda n: n.MultiheadAttention(4, 2, kdim=3, vdim=5),
        lambda n: n.MultiheadAttention(4, 2, kdim=3, vdim=5),
    ),
    "encoder": (lambda n: n.TransformerEncoderLayer(4, 2, 6), lambda n: n.TransformerEncoderLayer(4, 2, 6)),
    "decoder": (lambda n: n.TransformerDecoderLayer(4, 2, 6), lambda n: n.TransformerDecoderLayer(4, 2, 6)),
}


def pair(kinds: list[str]):
    """A net of these layers in both frameworks, with random weights in torch's."""
    torch_net, mindspore_net = torch.nn.Module(), mindspore.nn.Cell()
    for number, kind in enumerate(kinds):
        ours, theirs = LAYERS[kind]
        setattr(torch_net, f"{kind}_{number}", ours(torch.nn))
        setattr(mindspore_net, f"{kind}_{number}", theirs(mindspore.nn))
    generator = torch.Generator().manual_seed(len(kinds))
    for tensor in torch_net.state_dict().values():
        if tensor.dtype.is_floating_point:
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
    return torch_net, mindspore_net


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(sorted(LAYERS)), min_size=1, max_size=6))
def test_there_and_back_is_the_identity_and_bit_exact(kinds):
    source, target = pair(kinds)
    there, back = ts.weight_map(source, target), ts.weight_map(target, source)
    assert there.complete
    assert back.complete
    steps = {(e.source, e.target, e.transform) for e in there}
    assert steps == {(e.source, e.target, e.transform) for e in back.inverse()}
    before = {name: tensor.numpy().tobytes() for name, tensor in source.state_dict().items()}
    assert ts.transfer(source, target)
    for tensor in source.state_dict().values():
        tensor.zero_()
    assert ts.transfer(target, source)
    after = {name: tensor.numpy().tobytes() for name, tensor in source.state_dict().items()}
    assert {n: b for n, b in after.items() if "num_batches" not in n} == {
        n: b for n, b in before.items() if "num_batches" not in n
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(sorted(LAYERS)), min_size=1, max_size=6))
def test_translating_gives_the_names_and_shapes_of_the_other_framework_and_back(kinds):
    source, target = pair(kinds)
    there = ts.weight_map(source, "mindspore")
    mapped = there.apply(open_source(source))
    shapes = {p.name: p.shape for p in ts.parameters(target) if p.persistent}
    given_ = {name: info.shape for name, info in mapped.index.items() if "num_batches_tracked" not in name}
    assert given_ == shapes
    back = ts.weight_map(target, "torch")
    expected = {(e.target, e.source) for e in there if "num_batches_tracked" not in e.source[0]}
    assert {(e.source, e.target) for e in back} == expected
    again = there.inverse().apply(mapped)
    for name, tensor in source.state_dict().items():
        assert np.array_equal(again[name], tensor.numpy())
