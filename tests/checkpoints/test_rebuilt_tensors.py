"""Every function that torch's files name to build a tensor, and each of its arguments: honoured, or refused by name."""

import inspect
import io
import pickle
import struct
import sys
import tarfile
import types
from collections import OrderedDict

import ml_dtypes
import numpy as np
import pytest

import ts_core as ts
from ts_core.contract.pickles import MalformedError, PickleBytes, load

torch = pytest.importorskip("torch")
Z = torch.tensor([[1 + 2j, -3j], [4, 5.5 - 1j]])
X = torch.tensor([[1.5, -2.0], [0.0, 3.0]])


@pytest.fixture(params=["zip", "stream"])
def save(request, tmp_path):
    def run(content, **options):
        zipped = request.param == "zip"
        torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped, **options)
        return tmp_path / "x.pth"

    return run


@pytest.fixture
def reduced(monkeypatch):
    """``reduced(function, *args)``: an object that a pickle makes by calling a function of this name."""

    def make(name, *args, state=None):
        module, _, last = name.rpartition(".")
        parts = module.split(".")
        for above in (".".join(parts[:count]) for count in range(1, len(parts) + 1)):
            if above not in sys.modules:
                monkeypatch.setitem(sys.modules, above, types.ModuleType(above))
        if not hasattr(sys.modules[module], last):
            made = type(last, (), {"__module__": module, "__qualname__": last}) if last[0] != "_" else None
            function = made or types.FunctionType((lambda *_: None).__code__, {}, last)
            function.__module__, function.__qualname__ = module, last
            monkeypatch.setattr(sys.modules[module], last, function, raising=False)
        called = getattr(sys.modules[module], last)

        class Reduced:
            def __reduce__(self):
                return (called, args) if state is None else (called, args, state)

        return Reduced()

    return make


@pytest.mark.parametrize(
    "view",
    [
        Z.conj(), Z.mT.conj(), Z[1].conj(), Z[0, 0].conj(), torch._neg_view(Z), torch._neg_view(Z.conj()), Z.conj()[:0],
        torch._neg_view(X), torch._neg_view(X.T), torch._neg_view(X[0, 0]), torch._neg_view(X.to(torch.bfloat16)),
        torch._neg_view(torch.tensor([1, -2])), Z.conj().resolve_conj(), Z.to(torch.complex128).conj(),
    ],
)  # fmt: skip
def test_conjugates_and_negatives_are_what_torch_says(save, view):
    with ts.open_checkpoint(save({"z": view})) as checkpoint:
        found, expected = checkpoint["z"], ts.to_numpy(view.resolve_conj().resolve_neg())
        info = checkpoint.info("z")
    assert (found.dtype, found.shape, found.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())
    assert (info.dtype, info.shape, info.nbytes) == (found.dtype, found.shape, found.nbytes)
    assert not found.flags.writeable


def test_the_imaginary_part_of_a_conjugate(tmp_path):
    view = Z.conj().imag  # a real view with the bit of a negative
    torch.save({"z": view}, tmp_path / "x.pth")
    assert ts.open_checkpoint(tmp_path / "x.pth")["z"].tolist() == view.tolist()


def storage_of(tensor):
    return torch.storage.TypedStorage(wrap_storage=tensor.untyped_storage(), dtype=tensor.dtype, _internal=True)


def dense(tensor):
    return (storage_of(tensor), tensor.storage_offset(), tuple(tensor.shape), tensor.stride())


@pytest.mark.parametrize("layout", [True, False, 2, 29])
@pytest.mark.parametrize("module", ["torch_npu.utils.storage", "torch_npu.utils.tensor_methods", "torch_npu.any.place"])
def test_the_normal_file_of_an_older_ascend_release(save, reduced, module, layout):
    made = reduced(f"{module}._rebuild_npu_tensor", *dense(X.T), False, OrderedDict(), layout)
    with ts.open_checkpoint(save({"w": made, "v": torch.ones(1)})) as checkpoint:
        assert checkpoint["w"].tolist() == X.T.tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int64])
@pytest.mark.parametrize(
    "name", ["_rebuild_device_tensor_from_numpy", "_rebuild_xla_tensor", "_rebuild_device_tensor_from_cpu_tensor"]
)
def test_tensors_of_devices_have_the_dtype_that_they_have_there(save, reduced, name, dtype):
    data = X.clone() if "cpu" in name else X.numpy()
    with ts.open_checkpoint(save({"w": reduced(f"torch._utils.{name}", data, dtype, "xla:0", True)})) as checkpoint:
        expected = ts.to_numpy(X.to(dtype))
        assert checkpoint.info("w").dtype == expected.dtype
        assert checkpoint["w"].tobytes() == expected.tobytes()


UNREADABLE = {
    "coo": (lambda: torch.eye(3).to_sparse(), "sparse"),
    "csr": (lambda: torch.eye(3).to_sparse_csr(), "sparse"),
    "meta": (lambda: torch.ones(2, device="meta"), "meta device"),
    "nested": (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "nested"),
    "jagged": (
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
        "nested",
    ),
    "lazy": (lambda: torch.nn.LazyLinear(2).weight, "not initialised"),
    "lazy buffer": (lambda: torch.nn.parameter.UninitializedBuffer(), "not initialised"),
    "masked": (lambda: np.ma.masked_array([1, 2], [0, 1]), "mask"),
    "fields": (lambda: np.zeros(2, [("a", "f4"), ("b", "i4")]), "fields"),
    "fields of objects": (lambda: np.array([(None, 1)], [("a", "O"), ("b", "i4")]), "fields"),
    "records": (lambda: np.rec.array([(1, 2.0)], [("a", "i4"), ("b", "f4")]), "fields"),
    "so many bytes": (lambda: np.zeros(2, "V4"), "fields"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_has_no_dense_array_is_named_wherever_it_is(save, kind):
    make, reason = UNREADABLE[kind]
    for content, name in (
        ({"w": X, "odd": make()}, "odd"),
        ({"model": {"l1": {"w": X}, "l2": [make()]}}, "l2.0"),
        ({"state_dict": OrderedDict(w=X, odd=make()), "epoch": 1}, "odd"),
    ):
        with pytest.raises(ts.errors.UnsupportedDtypeError, match=f"  {name}: .*{reason}"):
            ts.open_checkpoint(save(content))
    # Beside the model it keeps nobody from it, and a comparison names it.
    path = save({"model": {"w": X}, "other": make()})
    with ts.open_checkpoint(path) as checkpoint:
        assert list(checkpoint) == ["w"]
        assert reason in checkpoint.index.unreadable["other"]
    report = ts.compare(path, path, progress=False)
    assert [row.name for row in report.failed] == ["other"]
    assert reason in str(report)


def test_the_parts_of_a_sparse_tensor_can_be_read(save):
    path = save({"w": X, "odd": X.to_sparse()})
    with pytest.raises(ts.errors.UnsupportedDtypeError, match="key="):
        ts.open_checkpoint(path)
    with ts.open_checkpoint(path, key="odd") as checkpoint:
        assert checkpoint["indices"].tolist() == X.to_sparse().indices().tolist()
        assert checkpoint["values"].tolist() == X.to_sparse().values().tolist()


@pytest.mark.filterwarnings("ignore")
def test_quantised_tensors_come_in_their_parts(save):
    one = torch.quantize_per_tensor(X, 0.5, 3, torch.qint8)
    several = torch.quantize_per_channel(X, torch.tensor([0.5, 2.0]), torch.tensor([0, 1]), 0, torch.quint8)
    with ts.open_checkpoint(save({"one": one, "several": several, "plain": X})) as checkpoint:
        assert checkpoint["one.int_repr"].tolist() == one.int_repr().tolist()
        assert (checkpoint["one.scale"].item(), checkpoint["one.zero_point"].item()) == (0.5, 3)
        assert checkpoint["several.int_repr"].dtype == np.uint8
        assert checkpoint["several.int_repr"].tolist() == several.int_repr().tolist()
        assert checkpoint["several.scales"].tolist() == [0.5, 2.0]
        assert checkpoint["several.zero_points"].tolist() == [0, 1]
        assert checkpoint["several.axis"].item() == 0
    with ts.open_checkpoint(save({"model": {"w": one}}), key="model.w") as checkpoint:
        assert list(checkpoint) == ["int_repr", "scale", "zero_point"]


@pytest.mark.parametrize(
    ("name", "extra", "reason"),
    [
        ("torch._utils._rebuild_tensor_v2", (False, OrderedDict(), {"conj": True}), "conjugate"),  # of real numbers
        ("torch._utils._rebuild_tensor_v2", (False, OrderedDict(), {"mirrored": True}), "mirrored"),
        ("torch._utils._rebuild_tensor_v2", (False, OrderedDict(), ["conj"]), "metadata"),
        ("torch._utils._rebuild_tensor_v2", (False, OrderedDict(), None, 1), "positional argument"),
        ("torch._utils._rebuild_tensor", (7,), "positional argument"),
        ("torch._utils._rebuild_tensor_v9", (False,), "_rebuild_tensor_v9, which is unknown"),
        ("torch_xpu.utils._rebuild_xpu_tensor", (), "_rebuild_xpu_tensor, which is unknown"),
        ("torch_npu.utils.storage._rebuild_npu_tensor", (False, OrderedDict(), "NZ"), "layout"),
    ],
)
def test_an_argument_that_nobody_knows_is_never_swallowed(save, reduced, name, extra, reason):
    path = save({"w": reduced(name, *dense(X), *extra), "v": X})
    with pytest.raises(ts.errors.CheckpointError, match=reason):
        ts.open_checkpoint(path)


def test_no_builder_takes_arguments_without_looking():
    """A catch-all parameter is where an argument gets lost: only what is not read at all may have one."""
    from ts_torch.checkpoints import _builders

    for builder in {*_builders.BUILDERS.values(), *_builders._ANYWHERE.values()}:
        function = getattr(builder, "make", builder)
        if getattr(function, "__module__", "") != _builders.__name__ or inspect.isclass(function):
            continue
        catches = [p for p in inspect.signature(function).parameters.values() if p.kind is p.VAR_POSITIONAL]
        unread = {"_wrapper", "_nothing", "_graph_module", "_compiled_module", "build"}
        assert not catches or function.__name__ in unread, function


def test_attributes_of_a_tensor_have_names(save):
    weight = torch.nn.Parameter(X.clone())
    weight.scale = torch.ones(3)
    weight.note = "n"
    path = save({"w": weight})
    with ts.open_checkpoint(path) as checkpoint:
        assert list(checkpoint) == ["w"]
        assert [(s.kind, s.tensors) for s in checkpoint.index.sections] == [("model", ("w",)), ("other", ("w.scale",))]


# Old files


def test_a_module_of_torch_0_3(save, reduced):
    """``Parameter(data)`` with a state of three, ``FloatTensor()`` with a state of four."""
    data = reduced("torch.FloatTensor", state=dense(X.T))
    parameter = reduced("torch.nn.parameter.Parameter", data, state=(True, False, OrderedDict()))
    variable = reduced("torch.autograd.variable.Variable", X, state=(True, False, OrderedDict()))
    older = reduced("torch.autograd.variable.Variable", state=(X, True, False, None, None))
    with ts.open_checkpoint(save({"p": parameter, "v": variable, "t": data, "o": older})) as checkpoint:
        assert checkpoint["p"].tolist() == checkpoint["t"].tolist() == X.T.tolist()
        assert checkpoint["v"].tolist() == checkpoint["o"].tolist() == X.tolist()


def test_numbers_and_arrays_of_python_2(tmp_path):
    """Python 2 wrote bytes as text; those that are no UTF-8 come back all the same."""
    values = np.array([1.5, -2.25e-7, 3e30])
    content = values.tobytes()

    def text(data):
        return b"T" + len(data).to_bytes(4, "little") + data

    dtype = b"cnumpy\ndtype\n(U\x02f8K\0K\1tR(K\3U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    scalar = b"cnumpy.core.multiarray\nscalar\n" + dtype + text(content[8:16]) + b"\x86R"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R(K\1K\3\x85" + dtype + b"\x89"
        + text(content) + b"tb"
    )  # fmt: skip
    with pytest.MonkeyPatch.context():
        import zipfile

        with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
            archive.writestr("x/data.pkl", b"\x80\x02}(U\x01a" + array + b"U\x04best" + scalar + b"u.")
            archive.writestr("x/version", "3\n")
    with ts.open_checkpoint(tmp_path / "x.pth") as checkpoint:
        assert checkpoint["a"].tolist() == values.tolist()
        assert checkpoint.metadata["best"] == values[1]


# Beside the weights


@pytest.mark.filterwarnings("ignore")
def test_things_that_nobody_needs_never_block(save):
    net = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    beside = {
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1),
        "by sets": {frozenset([1, "a"]): 1, ("a", ("b", 2)): 2},
        "set": {1, frozenset([2])},
        "empty": [np.array([]), np.zeros((0, 3), np.float16)],
        "objects": np.array([1, None, {"a": 2}], object),
        "dates": np.array(["2020-01-01"], "datetime64[D]"),
        "date": np.datetime64("2020-01-01"),
        "structured": np.zeros(2, [("a", "i4"), ("b", "f8", (2,))]),
        "void": np.zeros(2, "V3"),
        "text": np.array(["a", "bc"]),
        "wrong text": np.str_("x"),
        "small": ml_dtypes.bfloat16(1.5),
        "quantised": torch.quantize_per_tensor(X, 0.5, 3, torch.qint8),
        "class": torch.nn.Linear,
        "dtype": np.dtype("f4"),
        "layout": torch.sparse_coo,
        "slice": slice(1, 2),
        "bytes": [b"", b"\xff", bytearray(b"abc")],
        "keys": {torch.ones(1): 1, 1.5: 2, None: 3, b"k": 4, 1 << 70: 5},
    }
    for protocol in (2, 4, 5):
        path = save({"model": net.state_dict(), **beside}, pickle_protocol=protocol)
        with ts.open_checkpoint(path) as checkpoint:
            assert list(checkpoint) == ["weight", "bias"]
            assert checkpoint.metadata["small"] == 1.5
            assert checkpoint.metadata["set"] == {1, frozenset([2])}
            assert checkpoint.metadata["bytes"] == [b"", b"\xff", bytearray(b"abc")]
        for name in beside:
            only = save({"model": net.state_dict(), name: beside[name]}, pickle_protocol=protocol)
            assert list(ts.open_checkpoint(only)) == ["weight", "bias"], name


def test_a_file_that_only_its_code_can_read_is_read_by_its_code(tmp_path):
    """``trust_pickle`` is the way out: the safe reader, which refuses the file, is not asked."""
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        deep = b"N" + b"\x85" * 20
        archive.writestr("x/data.pkl", b"\x80\x02}(U\x01mcbuiltins\ndict\n)Ru0" + deep + b"0}" + deep + b"Ns.")
        archive.writestr("x/version", "3\n")
    with pytest.raises(ts.errors.CheckpointError, match="tuples without end"):
        ts.open_checkpoint(tmp_path / "x.pth")
    with pytest.raises(ts.errors.NoParametersError):
        ts.open_checkpoint(tmp_path / "x.pth", trust_pickle=True)
    net = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    content = {
        "model": [net, {"w": X, "odd": X.to_sparse()}],
        "optimizer": optimizer,
        "args": types.SimpleNamespace(a=1),
    }
    torch.save(content, tmp_path / "y.pth")
    with ts.open_checkpoint(tmp_path / "y.pth", key="model.0", trust_pickle=True) as checkpoint:
        assert checkpoint["weight"].tolist() == net.weight.tolist()
        assert [(s.name, s.kind) for s in checkpoint.index.sections][-1] == ("optimizer", "optimizer")


@pytest.mark.parametrize("axes", [(1, 0, 2), (2, 1, 0), (0, 1, 2)])
def test_axes_of_an_array_that_lie_in_the_file_in_another_order(axes):
    """NumPy 2.3 and later write such an array as its memory, and the order of its axes."""
    array = np.arange(24.0).reshape(2, 3, 4)
    made = b"cnumpy._core.numeric\n_frombuffer\n(" + pickle.dumps(array.tobytes(), 4)[2:-1]
    made += (
        b"cnumpy\ndtype\nX\2\0\0\0f8\x85R(K\2K\3K\4tX\1\0\0\0K("
        + b"".join(bytes([75, axis]) for axis in axes)
        + b"ttR."
    )
    assert load(PickleBytes(memoryview(b"\x80\x04" + made))).array.tolist() == array.transpose(axes).tolist()
    for wrong in (made.replace(b"ttR.", b"K\1ttR."), made.replace(b"X\1\0\0\0K(", b"X\1\0\0\0Q(")):
        with pytest.raises(MalformedError):
            load(PickleBytes(memoryview(b"\x80\x04" + wrong)))


def test_a_tar_as_torch_before_0_1_10_wrote_it(tmp_path):
    """What is in it is what torch reads of it."""
    whole, other = np.arange(12, dtype="<f4"), np.arange(4, dtype="<i8")

    def described(*values):
        return pickle.dumps(values, 2)

    def stored(array):
        return struct.pack("<q", array.size) + array.tobytes()

    def shaped(shape, stride, offset):
        return struct.pack(f"<i4x{2 * len(shape) + 1}q", len(shape), *shape, *stride, offset)

    storages = pickle.dumps(2, 2) + described(10, "cpu", torch.FloatStorage) + stored(whole)
    storages += described(11, "cpu", torch.LongStorage) + stored(other) + pickle.dumps([(12, 10, 6, 4)], 2)
    tensors = pickle.dumps(3, 2) + described(20, 10, torch.FloatTensor) + shaped((4, 3), (1, 4), 0)
    tensors += described(21, 11, torch.LongTensor) + shaped((2,), (2,), 1)
    tensors += described(22, 12, torch.FloatTensor) + shaped((2, 2), (2, 1), 0)

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return str(value.number) if isinstance(value, Reference) else None

    class Reference:
        def __init__(self, number):
            self.number = number

    content = io.BytesIO()
    Pickler(content, 2).dump(OrderedDict(a=Reference(20), b=Reference(21), l=[Reference(22), 3]))
    with tarfile.open(tmp_path / "x.pth", "w") as archive:
        for name, data in (("storages", storages), ("tensors", tensors), ("pickle", content.getvalue())):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    expected = torch.load(tmp_path / "x.pth", weights_only=False)
    with ts.open_checkpoint(tmp_path / "x.pth") as checkpoint:
        assert list(checkpoint) == ["a", "b", "l.0"]
        assert checkpoint["a"].tolist() == expected["a"].tolist()
        assert checkpoint["b"].tolist() == expected["b"].tolist() == [1, 3]
        assert checkpoint["l.0"].tolist() == expected["l"][0].tolist() == [[6, 7], [8, 9]]
