"""The PyTorch plug-in keeps every promise of the contract."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from ts_core.contract.tracing import Inputs
from ts_core.testing import EPSILON, WIDTH, FrameworkSuite, LayerCase, NetCase, TraceCase, public_classes

torch = pytest.importorskip("torch")
ts_torch = pytest.importorskip("ts_torch")
nn = torch.nn

EXTENDED = ("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu")


LOSSES = [
    f"torch.nn.{name}"
    for name in (
        *("BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "NLLLoss"),
        *("MultiLabelSoftMarginLoss", "MultiMarginLoss"),
    )
]


class Classifier(nn.Module):
    """Nested, out of alphabetical order, with buffers, and one layer used in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(3, WIDTH), nn.BatchNorm1d(WIDTH))
        self.head = nn.Linear(WIDTH, WIDTH, bias=False)
        self.again = self.head

    def forward(self, x):
        return self.again(torch.tanh(self.head(self.stem(x))))


class Fork(nn.Module):
    """Two outputs."""

    def forward(self, x):
        return x * 2, x - 1


class Branches(nn.Module):
    """A tuple inside, a dict as answer, a layer in two places that is called twice, and one that is frozen apart."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Tanh())
        self.fork = Fork()
        self.shared = nn.Linear(3, 3)
        self.again = self.shared

    def forward(self, x, scale=1.0):
        one, other = self.fork(self.body(x))
        return {"out": self.again(self.shared(one) * scale), "rest": (other, None)}


class Failing(nn.Module):
    """The second layer of two does not fit the first."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.Linear(4, 4))

    def forward(self, x):
        return self.body(x)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
class TestTorch(FrameworkSuite):
    plugin = "ts_torch"
    framework = "torch"
    packages = ("torch",)
    dtypes = (
        *("float32", "float64", "float16", "complex64", "complex128", "bool"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *EXTENDED,
    )
    zero_copy = dtypes
    gaps: ClassVar = {
        **dict.fromkeys(LOSSES, "its buffer is the weighting of classes, an argument of the user's"),
        **{f"torch.nn.LazyBatchNorm{n}d": "becomes a BatchNorm with its first input" for n in (1, 2, 3)},
        **{f"torch.nn.LazyInstanceNorm{n}d": "becomes an InstanceNorm with its first input" for n in (1, 2, 3)},
        "torch.nn.FractionalMaxPool2d": "its buffer is random numbers that the user may fix",
        "torch.nn.FractionalMaxPool3d": "its buffer is random numbers that the user may fix",
        "torch.nn.LinearCrossEntropyLoss": "experimental",
        "torch.nn.ParameterDict": "a container, not a layer",
        "torch.nn.ParameterList": "a container, not a layer",
    }
    unproved: ClassVar = {
        "torch.nn.RNNBase": "the base of RNN, LSTM and GRU",
        "torch.nn.modules.rnn.RNNCellBase": "the base of the cells, which cannot be made",
    }

    def tensor(self, array: np.ndarray) -> Any:
        if array.dtype.name in EXTENDED:
            return torch.tensor(array.astype(np.float32)).to(getattr(torch, array.dtype.name))
        return torch.tensor(array)

    def without_dense_array(self) -> Iterable[object]:
        yield torch.eye(3).to_sparse()
        yield torch.ones(2, device="meta")
        yield torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)

    def nets(self) -> Iterable[NetCase]:
        stem, norm = "stem.0", "stem.1"
        yield NetCase(
            Classifier,
            [
                (f"{stem}.weight", stem, "linear", "weight"),
                (f"{stem}.bias", stem, "linear", "bias"),
                (f"{norm}.weight", norm, "batch_norm1d", "scale"),
                (f"{norm}.bias", norm, "batch_norm1d", "bias"),
                (f"{norm}.running_mean", norm, "batch_norm1d", "mean"),
                (f"{norm}.running_var", norm, "batch_norm1d", "variance"),
                (f"{norm}.num_batches_tracked", norm, "batch_norm1d", "batch_count"),
                ("head.weight", "head", "linear", "weight"),
                ("again.weight", "again", "linear", "weight"),
            ],
            layers=["", "stem", "stem.0", "stem.1", "head", "again"],
        )
        yield NetCase(lambda: nn.Embedding(5, WIDTH, dtype=torch.bfloat16), [("weight", "", "embedding", "weight")])

    def layers(self) -> Iterable[LayerCase]:
        w = WIDTH
        yield LayerCase("linear", lambda: nn.Linear(w, w))
        yield LayerCase("bilinear", lambda: nn.Bilinear(w, w, w))
        for n in (1, 2, 3):
            yield LayerCase(f"conv{n}d", lambda n=n: getattr(nn, f"Conv{n}d")(w, w, w))
            yield LayerCase(f"conv_transpose{n}d", lambda n=n: getattr(nn, f"ConvTranspose{n}d")(w, w, w))
            yield LayerCase(f"conv{n}d", lambda n=n: getattr(nn, f"Conv{n}d")(w, w, w, groups=w))
            yield LayerCase(f"conv_transpose{n}d", lambda n=n: getattr(nn, f"ConvTranspose{n}d")(w, w, w, groups=2))
            yield LayerCase(f"batch_norm{n}d", lambda n=n: getattr(nn, f"BatchNorm{n}d")(w))
            yield LayerCase(f"instance_norm{n}d", lambda n=n: getattr(nn, f"InstanceNorm{n}d")(w, affine=True))
        yield LayerCase("sync_batch_norm", lambda: nn.SyncBatchNorm(w))
        yield LayerCase("group_norm", lambda: nn.GroupNorm(2, w))
        yield LayerCase("rms_norm", lambda: nn.RMSNorm(w, eps=EPSILON))
        yield LayerCase("layer_norm", lambda: nn.LayerNorm(w))
        yield LayerCase("embedding", lambda: nn.Embedding(w, w))
        yield LayerCase("embedding_bag", lambda: nn.EmbeddingBag(w, w))
        yield LayerCase("prelu", lambda: nn.PReLU(w))
        for name in ("RNN", "GRU", "LSTM"):
            yield LayerCase(name.lower(), lambda name=name: getattr(nn, name)(w, w, batch_first=True))
            both = {"num_layers": 2, "bidirectional": True, "batch_first": True}
            yield LayerCase(name.lower(), lambda name=name, both=both: getattr(nn, name)(w, w, **both))
            yield LayerCase(f"{name.lower()}_cell", lambda name=name: getattr(nn, f"{name}Cell")(w, w))
        yield LayerCase("multi_head_attention", lambda: nn.MultiheadAttention(w, 2, batch_first=True))
        yield LayerCase("multi_head_attention", lambda: nn.MultiheadAttention(w, 2, kdim=3, vdim=3), runs=False)
        yield LayerCase("transformer_encoder_layer", lambda: nn.TransformerEncoderLayer(w, 2, 8))
        yield LayerCase("transformer_decoder_layer", lambda: nn.TransformerDecoderLayer(w, 2, 8))

    def run(self, kind: str, layer: Any, *inputs: np.ndarray) -> Any:
        tensors = [torch.from_numpy(x) for x in inputs]
        if kind == "lstm_cell":
            tensors = [tensors[0], tuple(tensors[1:])]
        if kind == "multi_head_attention":
            tensors *= 3
        with torch.no_grad():
            output = layer.eval()(*tensors)
        if kind in ("rnn", "gru", "lstm", "multi_head_attention"):
            output = output[0]
        return tuple(part.numpy() for part in output) if isinstance(output, tuple) else output.numpy()

    def layer_classes(self) -> Iterable[type]:
        return public_classes(nn, nn.Module, ["Parameter(", "register_buffer("])

    def loss(self, net: Any) -> float:
        return self._loss(net).item()

    def _loss(self, net: Any) -> Any:
        inputs = torch.linspace(-1, 1, 15).reshape(5, 3)
        return (net.train()(inputs) * torch.linspace(-1, 1, WIDTH)).sum()

    def backward(self, net: Any) -> object:
        self._loss(net).backward()
        return net

    def backward_through(self, watch: Callable[[Any], Any], array: np.ndarray) -> np.ndarray:
        x = torch.tensor(array, requires_grad=True)
        watch(x).square().sum().backward()
        return x.grad.numpy()

    def random(self) -> np.ndarray:
        return torch.rand(4).numpy()

    def framework_file(self, net: Any, path: Path) -> None:
        torch.save(net.state_dict(), path)

    def framework_load(self, path: Path) -> dict[str, np.ndarray]:
        return {name: ts_torch.tensor_to_numpy(tensor) for name, tensor in torch.load(path).items()}

    def trace_nets(self) -> Iterable[TraceCase]:
        x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
        yield TraceCase(
            Branches,
            Inputs((x,), {"scale": 0.5}),
            [
                *(("", None), ("body", 0), ("body.0", 1), ("body.1", 1), ("body.2", 1)),
                *(("fork", 0), ("shared", 0), ("shared", 0)),
            ],
        )
        yield TraceCase(Failing, Inputs((x,)), [("", None), ("body", 0), ("body.0", 1), ("body.1", 1)], fails="body.1")
