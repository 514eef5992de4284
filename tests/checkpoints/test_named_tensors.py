"""Everything in a torch file that is a tensor has a name, and torch's value: nested checkpoints made at random."""

import collections
import random

import numpy as np
import pytest

import ts_core as ts

torch = pytest.importorskip("torch")

KEYS = ("model", "state_dict", "ema", "net", "l1", "generator", "weight", "optimizer", "rng_state", "extra", "x-y", "é")
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.uint8, torch.bool)


class Maker:
    """Random checkpoints; what each of their tensors is called, and its value, is written down beside."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.base = torch.arange(64, dtype=torch.float32) + seed
        self.shared = []

    def tensor(self):
        """A tensor, and its parts by name: its values under "" unless it is quantised or sparse."""
        pick = self.random.randrange(14)
        shape = tuple(self.random.randrange(4) for _ in range(self.random.randrange(4)))
        if pick == 0:
            values = torch.complex(torch.rand(2, 3), torch.rand(2, 3))
            views = (values.conj(), torch._neg_view(values), torch._neg_view(values.conj()), values.mT.conj(), values)
            return self.random.choice(views)
        if pick == 1:
            return torch._neg_view(torch.rand(shape))
        if pick == 2:
            start = self.random.randrange(8)
            return self.random.choice((self.base[start::3], self.base.view(8, 8).T, self.base[:1].expand(2, 3)))
        if pick == 3:
            return torch.nn.Parameter(torch.rand(shape))
        if pick == 4:
            array = np.asarray(
                np.random.default_rng(len(shape)).random((2, 3, 4)), self.random.choice(("f4", ">f8", "i2"))
            )
            return self.random.choice((array, array.T, np.asfortranarray(array), array.transpose(1, 0, 2), array[:0]))
        if pick == 5:
            channels = (torch.tensor([0.1, 0.2]), torch.tensor([0, 3]), 0)
            return self.random.choice((
                torch.quantize_per_tensor(torch.rand(3), 0.25, 2, torch.qint8),
                torch.quantize_per_channel(torch.rand(2, 2), *channels, torch.quint8),
            ))  # fmt: skip
        if pick == 6 and self.random.random() < 0.3:
            return torch.eye(3).to_sparse()
        return (torch.rand(shape) * 100).to(self.random.choice(DTYPES))

    def content(self, depth):
        """A container."""
        pick = self.random.randrange(8)
        size = self.random.randrange(1, 4)
        if self.shared and pick == 0:
            return self.random.choice(self.shared)
        if pick == 1:
            made = [self.value(depth) for _ in range(size)]
            return self.random.choice((made, tuple(made)))
        if pick == 2:
            return {self.random.randrange(9): self.value(depth) for _ in range(size)}
        if pick == 3:
            net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
            return self.random.choice((net, net.state_dict()))
        if pick == 4:
            net = torch.nn.Linear(2, 1)
            optimizer = torch.optim.Adam(net.parameters())
            net(torch.ones(1, 2)).sum().backward()
            optimizer.step()
            return optimizer.state_dict()
        make = collections.OrderedDict if pick == 5 else dict
        made = make((key, self.value(depth)) for key in self.random.sample(KEYS, size))
        self.shared.append(made)
        return made

    def value(self, depth):
        """A tensor, container, or something else."""
        pick = self.random.random()
        if pick < 0.6 or depth == 0:
            return self.tensor()
        return self.content(depth - 1) if pick < 0.9 else self.random.choice((3, "text", None, [1, 2], np.float32(2)))


def named(value, path=()):
    """What is in an object: each tensor's path, and its values as an array; None for those that are not dense."""
    if isinstance(value, torch.nn.Module):
        value = value.state_dict()
    if isinstance(value, torch.Tensor) and value.is_quantized:
        yield (*path, "int_repr"), value.int_repr().numpy()
        if value.qscheme() == torch.per_tensor_affine:
            yield (*path, "scale"), np.asarray(value.q_scale())
            yield (*path, "zero_point"), np.asarray(value.q_zero_point())
        else:
            yield (*path, "scales"), value.q_per_channel_scales().numpy()
            yield (*path, "zero_points"), value.q_per_channel_zero_points().numpy()
            yield (*path, "axis"), np.asarray(value.q_per_channel_axis())
    elif isinstance(value, torch.Tensor):
        yield path, None if value.is_sparse else ts.to_numpy(value.detach().resolve_conj().resolve_neg())
    elif isinstance(value, np.ndarray):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from named(inner, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from named(inner, (*path, str(number)))


def equal(found, expected):
    native = expected.astype(expected.dtype.newbyteorder("="))
    assert (found.shape, found.dtype.newbyteorder("=")) == (native.shape, native.dtype)
    assert found.astype(native.dtype).tobytes() == np.ascontiguousarray(native).tobytes()
    assert not found.flags.writeable or not found.size


@pytest.mark.parametrize("seed", range(60))
def test_every_tensor_is_found_under_its_path_or_named_in_an_error(tmp_path, seed):
    maker = Maker(seed)
    content = maker.content(3)
    expected = {".".join(path): array for path, array in named(content)}
    path = tmp_path / "x.pth"
    try:
        torch.save(content, path, _use_new_zipfile_serialization=seed % 3 != 0, pickle_protocol=2 + seed % 4)
    except RuntimeError:  # the older format cannot hold a real view of a complex tensor
        torch.save(content, path)
    if not expected:
        with pytest.raises(ts.errors.NoParametersError):
            ts.open_checkpoint(path, key="")
        return
    sparse = [name for name, array in expected.items() if array is None]
    if sparse:
        with pytest.raises(ts.errors.UnsupportedDtypeError) as caught:
            ts.open_checkpoint(path, key="")
        assert all(f"  {name}: sparse" in str(caught.value) for name in sparse)
        return
    with ts.open_checkpoint(path, key="") as checkpoint:
        assert sorted(checkpoint) == sorted(expected)
        for name, array in expected.items():
            equal(checkpoint[name], array)
        # The same tensors are in the sections, each of which its key opens; no tensor is in two of them.
        sections = checkpoint.index.sections
        assert sorted(full(section, name) for section in sections for name in section.tensors) == sorted(expected)
    for section in sections:
        if section.tensors and section.kind != "other":
            with ts.open_checkpoint(path, key=section.name) as part:
                for name in section.tensors:
                    equal(part[name], expected[full(section, name)])
    models = [section for section in sections if section.kind == "model"]
    if models:
        with ts.open_checkpoint(path) as checkpoint:
            several = len(models) > 1
            names = [full(section, name) if several else name for section in models for name in section.tensors]
            assert list(checkpoint) == names
            assert checkpoint.undecided == (tuple(section.name for section in models) if several else ())


def full(section, name):
    return f"{section.name}.{name}" if section.name else name


def leaves(value):
    """The dense torch tensors in an object that can be written into."""
    if isinstance(value, torch.nn.Module):
        value = value.state_dict()
    if isinstance(value, torch.Tensor):
        plain = not (value.is_quantized or value.is_sparse or value.is_neg() or value.is_conj())
        if plain and value.numel() and 0 not in value.stride():
            yield value
    elif isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)


@pytest.mark.parametrize("seed", range(40))
def test_a_difference_in_any_tensor_is_seen(tmp_path, seed):
    content = Maker(seed).content(3)
    found = list(named(content))
    choice = list(leaves(content))
    if not choice or any(array is None for _, array in found):
        return
    torch.save(content, tmp_path / "a.pth")
    same = ts.compare(tmp_path / "a.pth", tmp_path / "a.pth", equal_nan=True, progress=False)
    assert same, same.failed
    assert len(same) == len(found)
    assert not same.notes
    with torch.no_grad():
        changed = random.Random(seed).choice(choice)
        changed.copy_(~changed if changed.dtype == torch.bool else changed + 3)
    torch.save(content, tmp_path / "b.pth")
    report = ts.compare(tmp_path / "a.pth", tmp_path / "b.pth", equal_nan=True, progress=False)
    assert not report
    assert 0 < len(report.failed) <= len(found)
