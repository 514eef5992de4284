"""The suite catches bugs of file formats: readers that run code or tell lies, writers that only their reader reads."""

import dataclasses
import io
import pickle
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from seeding import Bugs, EachIsCaught, altered

from ts_core.checkpoints.formats import core_formats
from ts_core.contract.formats import Format
from ts_core.contract.nouns import CheckpointIndex

torch = pytest.importorskip("torch")
bug = Bugs()


def on_format(change):
    """A bug of `framework_info` that says something else of the file format."""

    def alter(honest):
        def framework_info():
            info = honest()
            (format,) = info.formats
            return dataclasses.replace(info, formats=(dataclasses.replace(format, **change(format)),))

        return framework_info

    alter.__name__ = change.__name__
    return alter


class Reader:
    """An honest reader, behind which one with a bug hides."""

    def __init__(self, honest):
        self.honest, self.format, self.index = honest, honest.format, honest.index

    def read(self, name):
        return self.honest.read(name)

    def close(self):
        self.honest.close()


def on_reader(change):
    """A bug of `open` that changes its reader."""

    def opening(format):
        def open_file(source, options):
            reader = Reader(format.open(source, options))
            change(reader)
            return reader

        return {"open": open_file}

    opening.__name__ = change.__name__
    return on_format(opening)


def on_infos(change):
    """A bug of the index, which says something else of each tensor."""

    def indexing(reader):
        infos = {name: dataclasses.replace(info, **change(info)) for name, info in reader.index.tensors.items()}
        reader.index = dataclasses.replace(reader.index, tensors=infos)

    indexing.__name__ = change.__name__
    return on_reader(indexing)


# What the framework cannot read, or writes otherwise


@bug("framework_info", "test_framework_reads_our_files", "framework_load")
@on_format
def a_private_format_under_the_name(format):
    npz = next(each for each in core_formats() if each.name == "npz")
    return {"sniff": npz.sniff, "open": npz.open, "create": npz.create}


@bug("framework_info", "test_framework_files_are_read", "no known format begins with")
@on_format
def knows_only_its_own_files(format):
    npz = next(each for each in core_formats() if each.name == "npz")
    return {"name": "torch", "sniff": lambda source: npz.sniff(source) and b"torch" in bytes(source.read(0, 200))}


@bug("framework_info", "test_framework_files_are_read", "is missing in ['model.")
@on_reader
def names_of_its_own(reader):
    infos = {f"model.{n}": dataclasses.replace(i, name=f"model.{n}") for n, i in reader.index.tensors.items()}
    reader.index = CheckpointIndex(infos)
    reader.read = lambda name: reader.honest.read(name.removeprefix("model."))


# Code in files


def runs(content):
    with suppress(Exception):
        pickle.loads(content)


@bug("framework_info", "test_nothing_in_a_file_is_run", "a pickle as the whole file was run")
@on_format
def unpickles_what_it_gets(format):
    def open_file(source, options):
        runs(source.read(0, len(source)))
        return format.open(source, options)

    return {"open": open_file}


@bug("framework_info", "test_nothing_in_a_file_is_run", "a pickle as the whole file was run")
@on_format
def unpickles_to_see_what_it_is(format):
    def sniff(source):
        runs(source.read(0, len(source)))
        return format.sniff(source)

    return {"sniff": sniff}


@bug("framework_info", "test_nothing_in_a_file_is_run", "a pickle in a zip archive was run")
@on_format
def unpickles_from_an_archive(format):
    def open_file(source, options):
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(source.read(0, len(source)))) as archive:
            for name in archive.namelist():
                runs(archive.read(name))
        return format.open(source, options)

    return {"open": open_file}


@bug("framework_info", "test_nothing_in_a_file_is_run", "a pickle in an entry of the archive was run")
@on_format
def lets_the_framework_load(format):
    def open_file(source, options):
        reader = format.open(source, options)  # nothing but what is one of ours
        with suppress(Exception):
            torch.load(source.path, weights_only=False)
        return reader

    return {"open": open_file}


@bug("framework_info", "test_nothing_in_a_file_is_run", "a pickle behind a file of the format was run")
@on_format
def unpickles_a_trailer(format):
    def open_file(source, options):
        content = bytes(source.read(0, len(source)))
        end = content.rfind(b"PK\x05\x06") + 22  # of the archive
        if content[:2] == b"PK":
            runs(content[end:])
        return format.open(source, options)

    return {"open": open_file}


@bug("framework_info", "test_nothing_in_a_file_is_run", "a CheckpointError that says why\n")
@on_format
def stumbles_over_what_it_does_not_know(format):
    def open_file(source, options):
        {b"PK": 1}[bytes(source.read(0, 2))]
        return format.open(source, options)

    return {"open": open_file}


# What a reader tells and hands out


@bug("framework_info", "test_reader", "tells shape, dtype and nbytes")
@on_infos
def shapes_backwards(info):
    return {"shape": info.shape[::-1]}


@bug("framework_info", "test_reader", "tells shape, dtype and nbytes")
@on_infos
def everything_is_float32(info):
    return {"dtype": np.dtype(np.float32)}


@bug("framework_info", "test_reader", "tells shape, dtype and nbytes")
@on_infos
def sizes_in_elements(info):
    return {"nbytes": info.nbytes // info.dtype.itemsize}


@bug("framework_info", "test_reader", "read-only")
@on_reader
def writable_arrays(reader):
    reader.read = lambda name: reader.honest.read(name).copy()


@bug("framework_info", "test_reader", "CheckpointIndex")
@on_reader
def an_index_of_its_own(reader):
    reader.index = dict(reader.index)


@bug("framework_info", "test_reader", "name of its Format")
@on_reader
def another_name(reader):
    reader.format = "pytorch"


@bug("framework_info", "test_reader", "outlives its reader")
@on_reader
def arrays_die_with_the_reader(reader):
    handed_out = []

    def read(name):
        array = reader.honest.read(name).copy()
        handed_out.append(array)
        view = array.view()
        view.flags.writeable = False
        return view

    def close():
        for array in handed_out:
            array[...] = np.zeros_like(array)

    reader.read, reader.close = read, close


@bug("framework_info", "test_reader", "reader failed")
@on_reader
def a_reader_that_fails(reader):
    def read(name):
        raise IndexError("reader failed")

    reader.read = read


# Metadata, keys, suffixes


@bug("framework_info", "test_metadata", "`dropped`\n  epoch")
@on_format
def metadata_dropped_in_silence(format):
    return {"create": lambda path, index: format.create(path, CheckpointIndex(index.tensors))}


@bug("framework_info", "test_metadata", "rate: 0.5, read 0")
@on_format
def metadata_rounded(format):
    def create(path, index):
        rounded = {n: int(v) if isinstance(v, float) else v for n, v in index.metadata.items()}
        return format.create(path, CheckpointIndex(index.tensors, rounded))

    return {"create": create}


@bug("framework_info", "test_key", "for a key that leads nowhere")
@on_format
def key_swallowed(format):
    return {"open": lambda source, options: format.open(source, dataclasses.replace(options, key=None))}


@bug("framework_info", "test_suffixes", ".safetensors of torch stands for safetensors")
@on_format
def a_suffix_of_another_format(format):
    return {"suffixes": (".pth", ".safetensors")}


@pytest.mark.parametrize("suffixes", [("pth",), ".pth", ("",)])
def test_suffixes_are_dotted(caught, suffixes):
    def badly_suffixed(honest):
        return lambda: dataclasses.replace(honest(), formats=(Format("torch", suffixes, bool, bool),))

    failure = caught("framework_info", badly_suffixed, "test_is_registered")
    assert "suffixes must be a tuple such as ('.pth', '.pt')" in failure


def test_a_compound_suffix_is_one(suite):
    import ts_torch

    info = on_format(lambda format: {"suffixes": (".weights.pth", ".pth")})(ts_torch.framework_info)
    reports = suite(altered("framework_info", info), "test_suffixes", "test_reader")
    assert not reports.failures
    assert len(reports.passed) == 3


def test_a_format_may_be_read_only_and_files_of_the_framework_absent(suite):
    import ts_torch

    info = on_format(lambda format: {"create": None})(ts_torch.framework_info)
    tests = ("test_reader", "test_key", "test_suffixes", "test_metadata", "test_nothing_in_a_file_is_run")
    read_only = suite(altered("framework_info", info), *tests)
    assert not read_only.failures
    absent = suite(altered("seed", ts_torch.seed), *tests, body="absent = {'framework files': 'none here'}")
    assert not absent.failures


class TestBugs(EachIsCaught):
    bugs = bug
