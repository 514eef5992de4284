"""Text from files is data: whatever shows it, no character of it acts on a terminal or in a spreadsheet."""

import contextlib
import csv
import io
import json
import logging
import re
import subprocess
import sys
import traceback
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ts_core as ts
from ts_core import errors
from ts_core.contract.log import logger
from ts_core.reporting import listing
from ts_core.text import escaped_json, lines, listed, safe

pytest.importorskip("ts_torch.checkpoints")  # its files, not its framework
pytest.importorskip("ts_mindspore.checkpoints")  # its files, not its framework

# What acts: C0 and C1 controls, the terminal's sequences, line breaks, direction, no width, half characters.
HOSTILE = {
    "color": "a\x1b[31mred",
    "title": "a\x1b]0;owned\x07",
    "hyperlink": "a\x1b]8;;http://x\x1b\\",
    "c1": "a\x9b31m",
    "line": "a\nts: everything is fine",
    "return": "a\rts: everything is fine",
    "form feed": "a\x0b\x0c\x1c\x85b",
    "separators": "a\u2028\u2029b",
    "right to left": "a\u202egnp.b",
    "isolate": "a\u2066b\u2069",
    "no width": "a\u200b\u200d\u2060\ufeffb",
    "tag": "a\U000e0041b",
    "delete": "a\x7f\x08b",
    "tab": "a\tb",
}
ACTS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0041]")
FAKE = re.compile(r"^ts: everything is fine", re.MULTILINE)


def must_be_safe(text):
    assert not (found := ACTS.search(text)), ascii(text[max(0, found.start() - 60) : found.end() + 60])
    assert not FAKE.search(text), text


@given(st.text(st.characters(codec=None)), st.sampled_from([1, 1, 100, 5000]))
def test_safe_text_is_one_printable_line(text, times):
    shown = safe(text * times)
    assert len(shown) <= 4096
    assert shown.isprintable()
    assert safe(shown) == shown
    shown.encode()


def test_what_shows_nothing_is_escaped():
    assert safe("a\u3164b\u2800\u034f\ufe0f") == r"a\u3164b\u2800\u034f\ufe0f"


def test_plain_text_stays_as_it_is():
    for text in ("layer1.0.weight", "卷积.权重", "naïve=1", "a b", "Δ", r"C:\net", ""):
        assert safe(text) == text


def test_a_long_word_loses_its_middle():
    name = "a" * 500 + "b" * 70_000 + "c" * 500
    shown = safe(f"{name}: it is damaged")
    assert len(shown) < 700
    assert shown.startswith("a" * 200)
    assert shown.endswith("c" * 80 + ": it is damaged")
    assert safe("x" * 512) == "x" * 512
    assert safe("word " * 800) == "word " * 800
    assert len(safe("a b\n" * 100_000)) < 10_000


def test_lines_of_ours_stay_lines_and_those_of_a_name_do_not():
    text = listed("these:", ["a\nb", "c"])
    assert text == "these:\n  a\\nb\n  c"
    assert str(errors.LoadError(text)) == text
    assert str(errors.LoadError(f"{'a'}\nb")) == "a\\nb"
    assert lines("a\n", lines("b", "c")) == "a\\n\nb\nc"
    assert "a\\nb" in str(listing({"name": "l"}, [["a\nb"]]))


@pytest.mark.parametrize("kind", sorted(set(vars(errors)) - {"TsError"}))
def test_every_error_and_warning_is_safe(kind):
    cls = getattr(errors, kind)
    if not (isinstance(cls, type) and issubclass(cls, Exception)):
        return
    for text in HOSTILE.values():
        given = (5, f"{text}: no", text) if issubclass(cls, errors.SaveError | errors.CheckpointWriteError) else (text,)
        must_be_safe(str(cls(*given)))
        must_be_safe(repr(cls(*given)))


@pytest.mark.parametrize("name", ["ts_core", "ts_core.torch", "ts_core.anything"])
def test_the_log_is_safe(name):
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    logging.getLogger("ts_core").addHandler(handler)
    try:
        for text in HOSTILE.values():
            logger(name).warning("%s and %d of %.1f", text, np.int64(3), 0.5)
            logger(name).warning("%(name)s", {"name": text})
            logger(name).warning(text)
    finally:
        logging.getLogger("ts_core").removeHandler(handler)
    assert heard.getvalue().count("\n") == 3 * len(HOSTILE)
    must_be_safe(heard.getvalue())


def test_a_csv_keeps_the_value_and_guards_the_formula():
    names = [*HOSTILE.values(), "=cmd()", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1", "'quoted", "a,b", 'a"b']
    text = listing({"name": "l", "number": "r"}, [[name, -1.5] for name in names]).to_csv()
    rows = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert len(rows) == len(names)
    for name, (cell, number) in zip(names, rows, strict=True):
        assert cell in (name, f"'{name}")
        assert not cell.startswith(tuple("=+-@\t\r\n＝"))
        assert number == "-1.5"


def test_json_keeps_the_value_without_characters_that_act():
    for text in (*HOSTILE.values(), "\ud800", "𝒙\U000e0001"):
        written = escaped_json(json.dumps({text: text}, ensure_ascii=False, indent=1))
        must_be_safe(written)
        assert json.loads(written) == {text: text}


# ---------------------------------------------------------------------------------------------------------------------
# Every way out: readers, verbs, commands

SUFFIXES = (".npz", ".safetensors", ".ckpt", ".pth")


@pytest.fixture(params=sorted(HOSTILE))
def text(request):
    return HOSTILE[request.param]


@pytest.fixture(params=SUFFIXES)
def files(request, text, tmp_path):
    """Two files whose names of tensors and of metadata are hostile."""
    paths = [tmp_path / f"{side}{request.param}" for side in "ab"]
    for path, value in zip(paths, (0.0, 1.0), strict=True):
        tensors = {f"{text}.weight": np.full((2, 2), value, np.float32), f"{value}{text}": np.zeros(1, np.float32)}
        metadata = {} if request.param == ".npz" else {text: text}
        ts.save_checkpoint(tensors, path, metadata=metadata)
    return paths


def told(action, capsys=None):
    """What an action answers, raises, warns of and logs, as a user would see it."""
    heard, out = io.StringIO(), io.StringIO()
    handler = logging.StreamHandler(heard)
    logging.getLogger("ts_core").addHandler(handler)
    try:
        with (
            warnings.catch_warnings(record=True) as warned,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(out),
        ):
            warnings.simplefilter("always")
            try:
                result = action()
                shown = [f"{result}\n{result!r}"]
                for form in ("table", "summary"):
                    part = getattr(result, form, "")
                    shown.append(str(part() if callable(part) else part))
            except errors.TsError as problem:
                shown = [*traceback.format_exception(problem), str(problem), repr(problem)]
    finally:
        logging.getLogger("ts_core").removeHandler(handler)
    return "\n".join([*shown, *(str(warning.message) for warning in warned), heard.getvalue(), out.getvalue()])


def test_every_verb_is_safe(files, text, tmp_path):
    a, b = files
    map_file = tmp_path / "map.json"
    map_file.write_text(json.dumps([{f"{text}.weight": f"x{text}"}, {}]))
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps([{text: "x"}, {text: {"transform": text, text: 1}}]))
    opened = ts.open_checkpoint(a)
    name = next(iter(opened))
    actions = [
        lambda: ts.open_checkpoint(a),
        lambda: ts.open_checkpoint(a, strip_prefix=text * 2),
        lambda: ts.open_checkpoint(a, key=text),
        lambda: ts.open_checkpoint(tmp_path / text.replace("/", "")),
        lambda: ts.compare(a, b),
        lambda: ts.compare(a, b, tolerances={text: (1, 1)}),
        lambda: ts.compare(a, b, weight_map=map_file),
        lambda: ts.compare(a, {text: np.ones(3)}),
        lambda: ts.compare({name: np.ones(3)}, a),
        lambda: ts.compare({name: np.array([text])}, a),
        lambda: ts.weight_map(a, b),
        lambda: ts.weight_map(a, {name: np.ones((9, 9, 9))}),
        lambda: ts.weight_map(a, "mindspore"),
        lambda: ts.convert(a, tmp_path / "o.npz"),
        lambda: ts.convert(a, tmp_path / "o.ckpt", weight_map=map_file),
        lambda: ts.convert(a, tmp_path / "o.ckpt", weight_map=wrong),
        lambda: ts.convert(a, tmp_path / "o.ckpt", to="mindspore"),
        lambda: ts.convert(a, tmp_path / "o.ckpt", target=b),
        lambda: ts.convert(a, tmp_path / "o.ckpt", target={name: np.ones((7, 7))}),
        lambda: ts.convert({text: np.ones(1, np.complex128)}, tmp_path / "o.safetensors"),
        lambda: ts.convert(a, tmp_path / "o.ckpt", cast={text: "float32"}),
        lambda: ts.convert(a, tmp_path / "o", format=text),
        lambda: ts.WeightMap.load(wrong),
        lambda: ts.WeightMap.load(map_file),
        lambda: ts.save_checkpoint({text: np.array([text])}, tmp_path / "o.npz"),
        lambda: ts.migrator.compare_npy_dir(tmp_path / "absent" / text, tmp_path),
    ]
    for action in actions:
        must_be_safe(told(action))


def test_every_command_is_safe(text, tmp_path):
    a, b = (tmp_path / f"{side}.safetensors" for side in "ab")
    for path, value in ((a, 0.0), (b, 1.0)):
        ts.save_checkpoint(
            {f"{text}.weight": np.full((2, 2), value, np.float32), f"{value}{text}": np.ones(1)},
            path,
            metadata={text: text},
        )
    (tmp_path / "wrong.json").write_text(json.dumps([{text: "x"}, {text: {"transform": text}}]))
    code = "import sys, json\nfrom ts_core.cli import main\nfor line in json.loads(sys.argv[1]):\n"
    code += " sys.argv = ['ts', *line]\n try: main()\n except SystemExit: pass\n"
    commands = [
        ["inspect", str(a)],
        ["inspect", str(a), "--key", text],
        ["compare", str(a), str(b), "--wide"],
        ["compare", str(a), str(b), "--tolerance", f"{text}=1,1"],
        ["compare", str(a), str(b), "--map", str(tmp_path / "wrong.json")],
        ["convert", str(a), str(tmp_path / "o.npz")],
        ["convert", str(a), str(tmp_path / "o.ckpt"), "--to", "mindspore"],
        ["convert", str(a), str(tmp_path / "o.ckpt"), "--like", str(b)],
        ["convert", str(a), str(tmp_path / "o.ckpt"), "--map", str(tmp_path / "wrong.json")],
        ["map", str(a)],
        ["map", str(a), "--like", str(b)],
    ]
    done = subprocess.run([sys.executable, "-c", code, json.dumps(commands)], capture_output=True, check=False)
    must_be_safe(done.stdout.decode() + done.stderr.decode())
    assert b"Traceback" not in done.stderr


def test_damaged_files_are_told_safely(text, tmp_path):
    """A file that quotes itself in its error: each place of each format that holds text."""
    header = json.dumps({text: {"dtype": text, "shape": [1], "data_offsets": [0, 4]}}).encode()
    cases = {
        "a.safetensors": len(header).to_bytes(8, "little") + header + bytes(4),
        "b.safetensors.index.json": json.dumps({"weight_map": {text: text}}).encode(),
        "c.safetensors.index.json": json.dumps({"weight_map": {text: "../" + text}}).encode(),
        "d.safetensors.index.json": f'{{"weight_map": {{{json.dumps(text)}: "a", {json.dumps(text)}: "b"}}}}'.encode(),
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        shown = told(lambda name=name: ts.open_checkpoint(tmp_path / name))
        assert "CheckpointError" in shown or "CheckpointNotFoundError" in shown or "Unsafe" in shown
        must_be_safe(shown)
