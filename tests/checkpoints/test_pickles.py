"""Hostile pickles: whatever a file says, nothing that it names is imported, called or believed.

Each attack would create a canary file if it ran. A file that is refused raises an error that names it; one that can be
read yields its tensors, and what it "called" is an inert stub. The canary never appears.
"""

import io
import os
import pickle
import pickletools
import reprlib
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ts_core as ts
from ts_core.contract.dtypes import dtype_of
from ts_core.contract.pickles import BUILDERS, Global, MalformedError, PickleBytes, Stub, load

pytest.importorskip("ts_torch.checkpoints")  # its files, not its framework

TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n(("
    b"X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQ"
    b"K\0K\x04\x85K\x01\x85\x89)Rt" + b"R"
)  # a tensor of 4 elements over the storage "0"


def unicode(text):
    encoded = text.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def state_dict_beside(attack):
    """The pickle ``{"w": tensor, "evil": <attack>}``."""
    return b"\x80\x02}(" + unicode("w") + TENSOR + unicode("evil") + attack + b"u."


def zip_file(path, content, extra=()):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/data/0", struct.pack("<4f", 1, 2, 3, 4))
        for name, data in extra:
            archive.writestr(name, data)
        archive.writestr("archive/version", "3\n")
    return path


def stream_file(path, content, storages=b"\x80\x02](X\x01\0\0\x000e."):
    number = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
    system = pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, 2)
    tail = struct.pack("<q4f", 4, 1, 2, 3, 4)
    path.write_bytes(number + pickle.dumps(1001, 2) + system + content + storages + tail)
    return path


def in_stream(content):
    """The same pickle with the references to storages that the older files have: one element more."""
    return content.replace(b"K\x04tQ", b"K\x04NtQ")


def touch(canary):
    return f"open({str(canary)!r}, 'w').close()"


def attacks(canary):
    """Every way in which a pickle can name and call something."""
    shell, python = unicode(f"touch {canary}"), unicode(touch(canary))
    path = unicode(str(canary))
    yield "GLOBAL REDUCE os.system", b"cos\nsystem\n" + shell + b"\x85R"
    yield "GLOBAL REDUCE posix.system", b"cposix\nsystem\n" + shell + b"\x85R"
    yield "GLOBAL REDUCE subprocess", b"csubprocess\ncheck_call\n](" + unicode("touch") + path + b"e\x85R"
    for name in ("eval", "exec"):
        for module in ("builtins", "__builtin__"):
            yield f"GLOBAL REDUCE {module}.{name}", f"c{module}\n{name}\n".encode() + python + b"\x85R"
    yield "STACK_GLOBAL os.system", unicode("os") + unicode("system") + b"\x93" + shell + b"\x85R"
    yield "STACK_GLOBAL dotted", unicode("os") + unicode("path.os.system") + b"\x93" + shell + b"\x85R"
    yield "STACK_GLOBAL builtins.exec", unicode("builtins") + unicode("exec") + b"\x93" + python + b"\x85R"
    yield "INST os.system", b"(" + shell + b"ios\nsystem\n"
    yield "INST builtins.exec", b"(" + python + b"ibuiltins\nexec\n"
    yield "OBJ os.system", b"(cos\nsystem\n" + shell + b"o"
    yield "NEWOBJ subprocess.Popen", b"csubprocess\nPopen\n](" + unicode("touch") + path + b"e\x85\x81"
    yield "NEWOBJ_EX subprocess.Popen", b"csubprocess\nPopen\n](" + unicode("touch") + path + b"e\x85}\x92"
    yield "getattr then call", (
        b"cbuiltins\ngetattr\ncos\n__dict__\n" + unicode("system") + b"\x86R" + shell + b"\x85R"
    )  # fmt: skip
    yield "__import__", b"cbuiltins\n__import__\n" + unicode("os") + b"\x85R"
    yield "importlib", b"cimportlib\nimport_module\n" + unicode("evil_module") + b"\x85R"
    yield "torch.load", b"ctorch\nload\n" + unicode(str(canary.with_name("inner.pth"))) + b"\x85R"
    yield "torch.hub", b"ctorch.hub\nload\n" + unicode("x") + b"\x85R"
    yield "runpy", b"crunpy\nrun_path\n" + unicode(str(canary.with_name("evil.py"))) + b"\x85R"
    yield "numpy.load", b"cnumpy\nload\n" + unicode(str(canary.with_name("inner.npy"))) + b"\x85R"
    yield (
        "BUILD on a stub with __setstate__",
        (b"ccollections\nUserDict\n)R}(" + unicode("__setstate__") + b"cos\nsystem\nub" + shell + b"b"),
    )
    yield "BUILD __class__ and __reduce__", (
        b"cevil_module\nThing\n)R}(" + unicode("__class__") + b"cos\nsystem\n"
        + unicode("__reduce__") + b"cos\nsystem\nub"
    )  # fmt: skip
    yield "BUILD slots", b"cevil_module\nThing\n)RN}" + unicode("append") + b"cos\nsystem\ns\x86b" + shell + b"a"
    yield "APPEND to a stub", b"cevil_module\nList\n)R" + shell + b"a"
    yield "APPENDS to a stub", b"cevil_module\nList\n)R(" + shell + b"e"
    yield "SETITEM on a stub", b"cevil_module\nDict\n)R" + shell + b"Ns"
    yield "SETITEMS on a stub", b"cevil_module\nDict\n)R(" + shell + b"Nu"
    yield (
        "copyreg._reconstructor",
        (b"ccopyreg\n_reconstructor\ncsubprocess\nPopen\n](" + unicode("touch") + path + b"eN\x87R"),
    )
    yield "copyreg.__newobj__", b"ccopyreg\n__newobj__\ncos\nsystem\n" + shell + b"\x86R"
    yield (
        "_rebuild_from_type_v2 of os.system",
        (b"ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\ncos\nsystem\n" + shell + b"\x85NtR"),
    )
    yield (
        "_rebuild_from_type_v2 of itself",
        (b"ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._tensor\n_rebuild_from_type_v2\ncos\nsystem\n)NtR"),
    )
    yield "_rebuild_parameter of a call", b"ctorch._utils\n_rebuild_parameter\ncos\nsystem\n" + shell + b"\x85R\x85R"
    yield "defaultdict with a factory", b"ccollections\ndefaultdict\ncos\nsystem\n\x85R" + shell + b"Ns"
    yield (
        "backward hooks",
        (
            TENSOR[: TENSOR.rindex(b")R")]
            + b"ccollections\nOrderedDict\n]("
            + shell
            + b"cos\nsystem\n\x86e\x85R"
            + b"tR"
        ),
    )
    yield "numpy dtype of objects", b"cnumpy\ndtype\n" + unicode("O8") + b"\x89\x88\x87R"
    yield (
        "numpy scalar of objects",
        (b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n" + unicode("O") + b"\x85R" + shell + b"\x86R"),
    )
    yield (
        "numpy _reconstruct of a class",
        b"cnumpy.core.multiarray\n_reconstruct\ncsubprocess\nPopen\n)" + shell + b"\x87R",
    )
    yield "_codecs.encode with a codec", b"c_codecs\nencode\n" + unicode("x") + unicode("zlib") + b"\x86R"
    yield "EXT1", b"\x82\x01"
    yield "EXT2", b"\x83\x01\x01"
    yield "EXT4", b"\x84\x01\x01\x01\x01"
    yield "PERSID", b"P/etc/passwd\n"
    yield "BINPERSID of a call", b"cos\nsystem\n" + shell + b"\x85RQ"
    yield (
        "BINPERSID module",
        (b"(" + unicode("module") + b"cos\nsystem\n" + unicode("evil.py") + python + b"tQ" + shell + b"\x85R"),
    )
    yield "NEXT_BUFFER", b"\x97"
    yield "READONLY_BUFFER", b"cos\nsystem\n\x98"


NAMES = [name for name, _ in attacks(Path("canary"))]


@pytest.fixture
def canary(tmp_path):
    """A path that no attack may create; beside it lies code that would, if it were loaded."""
    path = tmp_path / "canary"
    (tmp_path / "evil.py").write_text(touch(path))
    (tmp_path / "evil_module.py").write_text(touch(path))
    (tmp_path / "inner.pth").write_bytes(b"cos\nsystem\n" + unicode(f"touch {path}") + b"\x85R.")
    return path


@pytest.fixture
def attempt(canary, monkeypatch):
    """Open a file and read all of it; it may be refused, with an error of ours, and that is all that may happen."""
    monkeypatch.syspath_prepend(canary.parent)

    def run(path):
        before = set(sys.modules)
        tensors = refusal = None
        try:
            with ts.open_checkpoint(path) as checkpoint:
                tensors = {name: np.array(array) for name, array in checkpoint.items()}
                reprlib.repr(dict(checkpoint.metadata))
        except ts.errors.TsError as problem:
            refusal = str(problem)
        assert refusal is None or str(path) in refusal
        assert not canary.exists()
        assert "evil_module" not in set(sys.modules) - before
        return tensors

    return run


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("write", [zip_file, stream_file])
def test_no_opcode_runs_anything(name, write, canary, tmp_path, attempt):
    attack = dict(attacks(canary))[name]
    content = state_dict_beside(attack)
    tensors = attempt(write(tmp_path / "x.pth", in_stream(content) if write is stream_file else content))
    if tensors is not None:
        assert tensors["w"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("name", NAMES)
def test_nor_as_the_whole_content(name, canary, tmp_path, attempt):
    attempt(zip_file(tmp_path / "x.pth", b"\x80\x02" + dict(attacks(canary))[name] + b"."))


@pytest.mark.parametrize("position", range(4))
def test_nor_in_any_pickle_of_an_older_file(position, canary, tmp_path, attempt):
    """torch's own loader reads the magic number, the protocol and the keys with whatever pickle module it got."""
    evil = b"\x80\x02cos\nsystem\n" + unicode(f"touch {canary}") + b"\x85R."
    pickles = [
        pickle.dumps(0x1950A86A20F9469CFC6C, 2), pickle.dumps(1001, 2), pickle.dumps({}, 2), pickle.dumps({}, 2),
        pickle.dumps([], 2),
    ]  # fmt: skip
    pickles[position + 1] = evil
    (tmp_path / "x.pth").write_bytes(b"".join(pickles))
    attempt(tmp_path / "x.pth")


def test_the_attacks_are_real(canary, tmp_path):
    """What the tests above rest on: the standard unpickler does run them."""
    ran = 0
    for name, attack in attacks(canary):
        if name.endswith(("os.system", "exec", "eval", "_reconstructor")) and "rebuild" not in name:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, "stderr", io.StringIO())
                try:
                    pickle.loads(b"\x80\x02" + attack + b".", encoding="utf-8")
                except (pickle.UnpicklingError, TypeError, AttributeError):
                    continue
            ran += canary.exists()
            canary.unlink(missing_ok=True)
    assert ran >= 8


def test_a_stub_keeps_what_it_got_and_does_nothing(tmp_path):
    content = state_dict_beside(
        b"cevil_module\nThing\n" + unicode("argument") + b"\x85R}(" + unicode("kept") + b"K\x05ub"
    )
    stub = ts.open_checkpoint(zip_file(tmp_path / "x.pth", content)).metadata["evil"]
    assert str(stub.cls) == "evil_module.Thing"
    assert stub.args == ("argument",)
    assert stub.attributes == {"kept": 5}
    assert not callable(stub)
    with pytest.raises(AttributeError):
        stub.kept  # noqa: B018 - the attribute must not be there


def described(offset, shape, stride, numel=4, key="0", cls="FloatStorage"):
    """A state dict of one tensor that is described so."""
    return state_dict_beside_nothing(
        b"ctorch._utils\n_rebuild_tensor_v2\n((" + unicode("storage") + f"ctorch\n{cls}\n".encode()
        + unicode(key) + unicode("cpu") + plain(numel) + b"tQ" + plain(offset) + plain(shape) + plain(stride)
        + b"\x89)RtR"
    )  # fmt: skip


def plain(value):
    return pickle.dumps(value, 2)[2:-1].replace(b"q\0", b"")


def state_dict_beside_nothing(tensor):
    return b"\x80\x02}" + unicode("w") + tensor.replace(b"\x89)RtR", b"\x89)tR") + b"s."


@pytest.mark.parametrize(
    ("offset", "shape", "stride", "numel", "reason"),
    [
        (0, (1 << 40,), (0,), 4, "beyond reason"),
        (0, (1 << 20, 1 << 20), (0, 0), 4, "beyond reason"),
        (0, (1 << 20,), (1,), 4, "reach to element 1048575"),
        (0, (5,), (1,), 4, "reach to element 4"),
        (1, (4,), (1,), 4, "reach to element 4"),
        (1 << 62, (1,), (1,), 4, "reach to element"),
        (0, (2, 2), (3, 1), 4, "reach to element 4"),
        (-1, (1,), (1,), 4, "offset -1"),
        (0, (-1,), (1,), 4, "whole numbers"),
        (0, (2,), (-1,), 4, "stride"),
        (0, (2, 2), (1,), 4, "stride"),
        (0, (1,) * 65, (1,) * 65, 4, "65 dimensions"),
        (0, (True,), (1,), 4, "whole numbers"),
        (0, (1.0,), (1,), 4, "whole numbers"),
        (0, ("1",), (1,), 4, "whole numbers"),
        (0, 4, (1,), 4, "no tuple"),
        (0, (4,), (1,), 5, "should have 20 bytes and has 16"),
        (0, (4,), (1,), 1 << 62, "should have"),
        (0, (4,), (1,), -1, "-1 elements"),
        (0, (4,), (1,), "4", "elements"),
    ],
)
def test_a_tensor_is_checked_against_its_storage_before_it_exists(tmp_path, offset, shape, stride, numel, reason):
    path = zip_file(tmp_path / "x.pth", described(offset, shape, stride, numel))
    with pytest.raises(ts.errors.CheckpointError, match=reason) as caught:
        ts.open_checkpoint(path)
    assert str(path) in str(caught.value)


def test_a_storage_must_be_there_and_of_a_known_class(tmp_path):
    for change, reason in (({"key": "7"}, "missing"), ({"key": "../version"}, "missing"), ({"cls": "Quark"}, "Quark")):
        path = zip_file(tmp_path / "x.pth", described(0, (4,), (1,), **change))
        with pytest.raises(ts.errors.CheckpointError, match=reason):
            ts.open_checkpoint(path)


def test_a_good_description_is_read(tmp_path):
    checkpoint = ts.open_checkpoint(zip_file(tmp_path / "x.pth", described(1, (3,), (1,))))
    assert checkpoint["w"].tolist() == [2, 3, 4]


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02" + b"(" * 1000 + b".",
        b"\x80\x02" + b"]" + b"(" * 100 + b"e" * 100 + b".",
        b"\x80\x02N" + b"\x85" * 100_000 + b".",  # tuples inside tuples
        b"\x80\x02}N" + b"\x85" * 1000 + b"Ns.",  # … as the key of a dictionary, to be hashed
        b"\x80\x02K\1" + b"2\x86" * 60 + b"}" + b"h\0" + b".",  # doubling: 2^60 if it were copied
        b"\x80\x02}(K\1" + b"2\x86" * 60 + b"Nu.",  # … and hashed
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"x.",  # bytes of 2^62
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 62) + b"x.",  # a bytearray of 2^62
        b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"x.",
        b"\x80\x02\x8b" + struct.pack("<i", (1 << 31) - 1) + b"x.",  # an integer of 2 GiB
        b"\x80\x02\x8b" + struct.pack("<i", -1) + b"x.",
        b"\x80\x02Nr\xff\xff\xff\x7f.",  # a memo index that would make a table of 16 GiB
        b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N.",  # a frame of 2^62
        b"\x80\x02" + b"I" + b"9" * 100_000 + b"\n.",  # decimal digits without end
        b"\x80\x02" + b"L" + b"9" * 100_000 + b"L\n.",
        b"\x80\x02" + b"0" * 10 + b".",
        b"\x80\x02" + b"2.",
        b"\x80\xff.",
        b"\x80\x02](h\0e.",
        b"\x80\x02]q\0h\0a.",  # a list inside itself
        b"\x80\x02}q\0(X\1\0\0\0ah\0u.",  # a dictionary inside itself
        b"\x80\x02",
        b"",
        b".",
        b"\xff\xfe",
    ],
)
def test_nonsense_is_refused_quickly(tmp_path, content, attempt):
    assert attempt(zip_file(tmp_path / "x.pth", content)) is None


OPCODES = [op.code.encode("latin1") for op in pickletools.opcodes]
pieces = st.one_of(
    st.sampled_from(OPCODES),
    st.sampled_from(
        [
            TENSOR,
            b"cos\nsystem\n",
            unicode("w"),
            b"K\x01",
            b"]",
            b"}",
            b")",
            b"(",
            b"tR",
            b"\x85R",
            b"s",
            b"u",
            b"Q",
            b"b",
        ]
    ),
    st.binary(max_size=6),
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(pieces, max_size=30))
def test_any_sequence_of_opcodes(tmp_path, attempt, sequence):
    attempt(zip_file(tmp_path / "x.pth", b"\x80\x02" + b"".join(sequence) + b"."))


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(position=st.integers(0, 10_000), value=st.integers(0, 255))
def test_any_changed_byte_of_a_pickle(tmp_path, attempt, position, value):
    content = bytearray(
        state_dict_beside(b"cevil_module\nThing\n" + unicode("x") + b"\x85R}" + unicode("k") + b"K\1sb")
    )
    content[position % len(content)] = value
    attempt(zip_file(tmp_path / "x.pth", bytes(content)))


def test_an_npy_of_objects_is_not_unpickled(tmp_path, canary, attempt):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {canary}",)

    array = np.empty(1, object)
    array[0] = Evil()
    np.savez(tmp_path / "x.npz", array)
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "folder" / "x.npy", array)
    for path in (tmp_path / "x.npz", tmp_path / "folder"):
        with pytest.raises(ts.errors.UnsafeCheckpointError, match="pickle"):
            ts.open_checkpoint(path)
    assert not canary.exists()


def test_trust_pickle_is_what_runs_code(tmp_path, canary):
    """The same file, with the one switch that is documented to run it."""
    pytest.importorskip("torch")
    import torch

    class Evil:
        def __reduce__(self):
            return exec, (touch(canary),)

    torch.save({"w": torch.ones(1), "evil": Evil()}, tmp_path / "x.pth")
    assert ts.open_checkpoint(tmp_path / "x.pth")["w"].item() == 1
    assert not canary.exists()
    ts.open_checkpoint(tmp_path / "x.pth", trust_pickle=True)
    assert canary.exists()


# What a format of pickles builds upon


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("size", [3, 50_000])
@pytest.mark.parametrize("dtype", ["float32", ">i2", "bool", "bfloat16", "float8_e5m2"])
def test_arrays_come_out_of_pickles_of_every_protocol_and_cannot_be_written(protocol, size, dtype):
    known = dtype_of(dtype) if dtype.isidentifier() else np.dtype(dtype)
    for array in (np.arange(size).astype(known), np.asfortranarray(np.arange(2 * size).reshape(2, size).astype(known))):
        data = memoryview(pickle.dumps({"w": array, "list": [(array,)]}, protocol))
        content = load(PickleBytes(data))
        found = content["w"].array
        assert content["list"][0][0] is content["w"]
        assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())
        assert not found.flags.writeable
        if protocol >= 3 and size > 3 and found.nbytes > 1 << 16:
            assert np.shares_memory(found, np.frombuffer(data, np.uint8))


def test_a_framework_adds_builders_for_its_own_names():
    class Parameter:
        def __reduce__(self):
            return tuple, (("name", np.ones(2)),)

    content = load(PickleBytes(memoryview(pickle.dumps({"w": Parameter(), "l": range(3)}))))
    assert content["w"][0] == "name"
    assert content["w"][1].array.tolist() == [1, 1]
    assert isinstance(content["l"], Stub)
    builders = {**BUILDERS, Global("builtins", "range"): lambda start, stop, step: [start, stop, step]}
    assert load(PickleBytes(memoryview(pickle.dumps(range(3)))), builders=builders) == [0, 3, 1]


@pytest.mark.parametrize("state", [((1,), "x"), (b"123", "y")])
def test_what_is_no_array_is_refused(state):
    content, shape = state
    pickled = b"cnumpy.core.numeric\n_frombuffer\n" + b"(" + pickle.dumps(content, 2)[2:-1] + unicode(shape) + b"tR."
    with pytest.raises(MalformedError):
        load(PickleBytes(memoryview(pickled)))
