"""Files that torch wrote, of every kind and content, read without torch."""

import collections
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import ts_core as ts

torch = pytest.importorskip("torch")
nn = torch.nn


class Net(nn.Module):
    """A module with everything that a state dict can have, and things that it has not."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(3))
        self.conv = nn.Conv1d(3, 4, 2)
        self.bn = nn.BatchNorm1d(4)
        self.blocks = nn.ModuleList([nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 3), nn.ReLU())])
        self.again = self.blocks[0]
        self.register_buffer("kept", torch.arange(4).to(torch.bfloat16))
        self.register_buffer("transient", torch.ones(9), persistent=False)
        self.register_buffer("nothing", None)
        self.register_parameter("absent", None)
        self.stray = torch.ones(5)
        self.note = {"a": [1, {2}], "when": complex(1, 2)}


KINDS = {"zip": {}, "stream": {"_use_new_zipfile_serialization": False}}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


@pytest.fixture
def save(tmp_path, kind):
    def run(obj, name="x.pth"):
        torch.save(obj, tmp_path / name, **kind)
        return tmp_path / name

    return run


def test_a_state_dict(save, same):
    net = Net()
    same(net.state_dict(), ts.open_checkpoint(save(net.state_dict())))


def test_a_whole_module_without_its_code(save, same, tmp_path):
    net = Net()
    path = save(net)
    same(net.state_dict(), ts.open_checkpoint(path))
    script = (
        f"import sys, ts_core as ts; c = ts.open_checkpoint({str(path)!r}); [c[name] for name in c]; "
        f"assert len(c) == {len(net.state_dict())}; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)


def test_a_module_in_data_parallel(save, same):
    net = nn.DataParallel(Net())
    path = save(net)
    same(net.state_dict(), ts.open_checkpoint(path))
    same(net.module.state_dict(), ts.open_checkpoint(path, strip_prefix="module."))


def test_views_of_one_storage_and_strides(save, same):
    base = torch.arange(60, dtype=torch.float32)
    tensors = {
        "whole": base,
        "part": base[7:20],
        "transposed": base.view(6, 10).T,
        "strided": base[1::3],
        "expanded": base[:1].expand(2, 5),
        "scalar": base[59],
        "empty": base[60:],
        "parameter": nn.Parameter(base.view(5, 12)[1:3, 2:4]),
        "channels last": torch.rand(1, 2, 3, 4).to(memory_format=torch.channels_last),
    }
    same(tensors, ts.open_checkpoint(save(tensors)))


@pytest.mark.parametrize(
    "key", ["state_dict", "model", "model_state", "model_state_dict", "module", "params", "ema", "my_own"]
)
def test_nested_beside_an_optimizer(save, same, key):
    net = Net()
    optimizer = torch.optim.Adam(net.parameters())
    sum(p.sum() for p in net.parameters()).backward()
    optimizer.step()
    content = {"epoch": 3, "optimizer": optimizer.state_dict(), key: net.state_dict(), "rng": torch.get_rng_state()}
    with ts.open_checkpoint(
        save({**content, "best": np.float64(0.5), "size": torch.Size([1, 2])}), key=None if key != "my_own" else key
    ) as checkpoint:
        same(net.state_dict(), checkpoint)
        assert checkpoint.metadata["epoch"] == 3
        assert checkpoint.metadata["best"] == 0.5
        assert checkpoint.metadata["size"] == (1, 2)
        assert "optimizer" in checkpoint.metadata
        assert key not in checkpoint.metadata


def test_several_models_have_full_paths_and_key_selects_one(save, same):
    first, second = Net().state_dict(), Net().state_dict()
    path = save({"ema": second, "state_dict": first})
    full = {
        f"{key}.{name}": tensor
        for key, each in (("ema", second), ("state_dict", first))
        for name, tensor in each.items()
    }
    same(full, ts.open_checkpoint(path))
    same(full, ts.open_checkpoint(path, key=""))
    same(second, ts.open_checkpoint(path, key="ema"))
    same(first, ts.open_checkpoint(path, key="state_dict"))


def test_key_leads_through_levels_and_names_with_dots(save, same):
    net = Net().state_dict()
    path = save({"a": {"b.c": {"model": net}}})
    same(net, ts.open_checkpoint(path))
    same(net, ts.open_checkpoint(path, key="a.b.c.model"))
    same({f"b.c.model.{name}": tensor for name, tensor in net.items()}, ts.open_checkpoint(path, key="a"))
    with pytest.raises(ts.errors.ArgumentError, match=r"key='a\.x'.*'b\.c'"):
        ts.open_checkpoint(path, key="a.x")
    path = save({"a": {"epoch": 3}, "model": net})
    with pytest.raises(ts.errors.NoParametersError, match=r"key='a'"):
        ts.open_checkpoint(path, key="a")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (torch.optim.SGD([nn.Parameter(torch.ones(2))], 0.1, momentum=0.9).state_dict(), "state of an optimizer"),
        ({"epoch": 3}, "'epoch'"),
        ({}, "an empty dict"),
        ([3], "a list"),
        (nn.ReLU(), "ReLU"),
    ],
)
def test_no_parameters(save, content, found):
    with pytest.raises(ts.errors.NoParametersError, match=found):
        ts.open_checkpoint(save(content))


def test_what_has_no_dense_array_is_named(save):
    path = save({"fine": torch.ones(2), "sparse": torch.eye(3).to_sparse()})
    with pytest.raises(ts.errors.UnsupportedDtypeError, match="sparse") as caught:
        ts.open_checkpoint(path)
    assert "fine" not in str(caught.value)


def test_numpy_arrays_are_tensors(save, same):
    arrays = {"a": np.arange(6, dtype=">i4").reshape(2, 3), "b": np.asfortranarray(np.ones((2, 2), np.float16))}
    with ts.open_checkpoint(save({"model": arrays})) as checkpoint:
        same(
            {name: array.astype(array.dtype.newbyteorder("<")) for name, array in arrays.items()},
            {name: value.astype(value.dtype.newbyteorder("<")) for name, value in checkpoint.items()},
        )


def test_plain_containers_survive_as_metadata(save):
    content = {
        "w": torch.ones(1), "none": None, "set": {1, 2}, "bytes": b"\0\xff", "complex": 1 + 2j, "big": 1 << 100,
        "ordered": collections.OrderedDict(a=1), "default": collections.defaultdict(list, {"x": [1]}),
        "counter": collections.Counter("aab"), "dtype": torch.float16, "device": torch.device("cuda:1"),
        "nested": [(1, [2.5, "three"])], "text": "grüße\n", "flag": True,
    }  # fmt: skip
    metadata = ts.open_checkpoint(save(content)).metadata
    for name in ("none", "set", "bytes", "complex", "big", "ordered", "default", "counter", "nested", "text", "flag"):
        assert metadata[name] == content[name], name
    assert metadata["device"] == "cuda:1"
    assert "float16" in str(metadata["dtype"])


def test_views_are_read_only_mapped_and_outlive_the_reader(save):
    path = save({"w": torch.arange(1000.0)})
    with ts.open_checkpoint(path) as checkpoint:
        array = checkpoint["w"]
    assert not array.flags.owndata
    assert not array.flags.writeable
    path.unlink()
    assert array.sum() == 499500


def test_strip_prefix(save):
    path = save({"module.a": torch.ones(1), "b": torch.ones(1)})
    assert list(ts.open_checkpoint(path, strip_prefix="module.")) == ["a", "b"]
    with pytest.raises(ts.errors.ArgumentError, match=r"'nope\.'.*'module\.a'"):
        ts.open_checkpoint(path, strip_prefix="nope.")
    path = save({"module.a": torch.ones(1), "a": torch.ones(1)})
    with pytest.raises(ts.errors.ArgumentError, match="same name"):
        ts.open_checkpoint(path, strip_prefix="module.")


def test_protocols_of_pickle(tmp_path, same):
    net = Net()
    for protocol in range(2, 6):
        torch.save(net, tmp_path / "x.pth", pickle_protocol=protocol)
        same(net.state_dict(), ts.open_checkpoint(tmp_path / "x.pth"))


def test_a_file_named_ckpt_may_be_torchs(tmp_path, same):
    state = Net().state_dict()
    torch.save({"state_dict": state, "pytorch-lightning_version": "2.0"}, tmp_path / "x.ckpt")
    with ts.open_checkpoint(tmp_path / "x.ckpt") as checkpoint:
        assert checkpoint.format == "torch"
        same(state, checkpoint)


def test_a_big_endian_archive(tmp_path, same):
    tensors = {"a": torch.arange(6, dtype=torch.int32).view(2, 3), "b": torch.arange(3).to(torch.bfloat16)}
    torch.save(tensors, tmp_path / "little.pth")
    swapped = {b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5\0\0\0": 4}
    with zipfile.ZipFile(tmp_path / "little.pth") as old, zipfile.ZipFile(tmp_path / "big.pth", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("byteorder"):
                content = b"big"
            elif "/data/" in name:
                width = 4 if content in swapped else 2
                content = np.frombuffer(content, f"u{width}").byteswap().tobytes()
            new.writestr(name, content)
    checkpoint = ts.open_checkpoint(tmp_path / "big.pth")
    same(
        tensors,
        {
            name: np.ascontiguousarray(a, a.dtype.newbyteorder("=") if a.dtype.kind != "V" else a.dtype)
            for name, a in checkpoint.items()
        },
    )


def test_verify_reads_the_checksums(save, tmp_path, kind):
    path = save({"w": torch.full((64,), 7.0)})
    content = bytearray(path.read_bytes())
    where = content.index(torch.full((64,), 7.0).numpy().tobytes())
    content[where + 5] ^= 1
    path.write_bytes(content)
    ts.open_checkpoint(path)
    if not kind:
        with pytest.raises(ts.errors.CheckpointError, match="checksum"):
            ts.open_checkpoint(path, verify=True)


def test_a_sharded_bin(tmp_path, same):
    state = Net().state_dict()
    names = list(state)
    torch.save({name: state[name] for name in names[:3]}, tmp_path / "pytorch_model-00001-of-00002.bin")
    torch.save({name: state[name] for name in names[3:]}, tmp_path / "pytorch_model-00002-of-00002.bin")
    index = {
        "metadata": {"total_size": 0},
        "weight_map": {name: f"pytorch_model-0000{1 + (name in names[3:])}-of-00002.bin" for name in names},
    }
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    for path in ("pytorch_model.bin.index.json", "pytorch_model.bin", ""):
        same(state, ts.open_checkpoint(tmp_path / path))


def test_trust_pickle_runs_the_files_code(tmp_path, same):
    net = Net()
    torch.save(net, tmp_path / "x.pth")
    same(net.state_dict(), ts.open_checkpoint(tmp_path / "x.pth", trust_pickle=True))


def test_a_torchscript_archive_says_what_to_do(tmp_path):
    torch.jit.script(nn.Linear(2, 3)).save(str(tmp_path / "x.pt"))
    with pytest.raises(ts.errors.CheckpointError, match=r"torch\.jit\.load"):
        ts.open_checkpoint(tmp_path / "x.pt")


def test_sections_are_what_a_file_holds(save):
    net = nn.Linear(2, 3)
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    path = save({
        "state_dict": net.state_dict(), "ema": {"net": nn.Linear(1, 1).state_dict()}, "rng": torch.ones(2), "epoch": 1,
        "optimizer_states": [optimizer.state_dict()], "scheduler": scheduler.state_dict(), "whole": nn.PReLU(),
    })  # fmt: skip
    momenta = ("state.0.momentum_buffer", "state.1.momentum_buffer")
    expected = [
        ("state_dict", "model", ("weight", "bias")), ("ema.net", "model", ("weight", "bias")),
        ("whole", "model", ("weight",)), ("optimizer_states.0", "optimizer", momenta), ("scheduler", "scheduler", ()),
        ("", "other", ("rng",)),
    ]  # fmt: skip
    with ts.open_checkpoint(path) as checkpoint:
        assert list(checkpoint) == [f"{name}.{own}" for name, _, tensors in expected[:3] for own in tensors]
        found = [(section.name, section.kind, section.tensors) for section in checkpoint.index.sections]
        assert found == expected
    with ts.open_checkpoint(path, key="ema.net") as checkpoint:
        assert [section.name for section in checkpoint.index.sections][:3] == ["ema.net", "state_dict", "whole"]
    with ts.open_checkpoint(path, key="optimizer_states") as checkpoint:
        assert list(checkpoint) == [f"0.{name}" for name in momenta]


def test_a_state_dict_is_one_section_of_its_own(save):
    path = save({"module.a": torch.ones(1), "b": torch.ones(1)})
    (section,) = ts.open_checkpoint(path).index.sections
    assert (section.name, section.kind, section.tensors) == ("", "model", ("module.a", "b"))
    (section,) = ts.open_checkpoint(path, strip_prefix="module.").index.sections
    assert section.tensors == ("a", "b")
