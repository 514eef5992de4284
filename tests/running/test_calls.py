"""The book of a run without any framework: what stands around a call, for hooks and for wrapped functions."""

import numpy as np
import pytest

from ts_core.contract import Layer
from ts_core.contract.tracing import Calls, Inputs, NewInputs


class Recorder:
    def __init__(self, answers=None, begins=None):
        self.answers, self.begins, self.seen = answers or {}, begins or {}, []

    def enter(self, call, args, kwargs):
        self.seen.append(("enter", call.path, args, dict(kwargs)))
        return self.begins.get(call.path)

    def leave(self, call, output):
        self.seen.append(("leave", call.path, output))
        return self.answers.get(call.path)

    def gradient(self, call, side, place, gradient):
        self.seen.append((call.path, side, place, gradient))


class Net:
    """Calls what is inside it through the book, as a framework with wrapped calls does."""

    def __init__(self):
        self.inner = Inner()

    def layers(self):
        return [Layer("", self), Layer("inner", self.inner)]

    def run(self, calls, x, *, scale=1):
        def run(x, scale):
            return calls.around(self.inner, self.inner.run, (x,), {}) * scale

        return calls.around(self, run, (x,), {"scale": scale})


class Inner:
    def run(self, x):
        if x == "fault":
            raise ValueError("on purpose")
        return x + 1


def test_what_stands_around_a_call():
    net, observer = Net(), Recorder()
    with Calls(net.layers(), observer) as calls:
        assert net.run(calls, 2, scale=10) == 30
    assert observer.seen == [
        ("enter", "", (2,), {"scale": 10}),
        ("enter", "inner", (2,), {}),
        ("leave", "inner", 3),
        ("leave", "", 30),
    ]


def test_what_is_no_layer_of_the_network_runs_untold():
    net, observer = Net(), Recorder()
    with Calls(net.layers(), observer) as calls:
        assert calls.around(Inner(), net.inner.run, (2,), {}) == 3
    assert not observer.seen


def test_an_answer_goes_on_in_place_of_the_output():
    net = Net()
    with Calls(net.layers(), Recorder({"inner": 7})) as calls:
        assert net.run(calls, 2) == 7
    with Calls(net.layers(), Recorder({"inner": 7}), lambda value, leaf: value * 100 + leaf) as calls:
        assert net.run(calls, 2) == 703


def test_a_call_begins_with_other_inputs_or_answers_without_running():
    net = Net()
    with Calls(net.layers(), Recorder(begins={"inner": NewInputs((40,))})) as calls:
        assert net.run(calls, 2) == 41
    observer = Recorder(begins={"inner": 7})
    with Calls(net.layers(), observer) as calls:
        assert net.run(calls, "fault") == 7
    assert ("leave", "inner", 7) in observer.seen


def test_everything_that_passes_is_watched_on_demand():
    net, observer = Net(), Recorder()
    with Calls(net.layers(), observer, watch=lambda leaf, told: told(-leaf)) as calls:
        net.run(calls, 2, scale=10)
    assert [seen for seen in observer.seen if seen[0] in ("", "inner")] == [
        ("", "inputs", (0,), -2),
        ("", "inputs", ("scale",), -10),
        ("inner", "inputs", (0,), -2),
        ("inner", "outputs", (), -3),
        ("", "outputs", (), -30),
    ]


def test_an_exception_ends_the_calls_that_it_leaves_and_names_the_innermost():
    net, observer = Net(), Recorder()
    with pytest.raises(ValueError, match="on purpose") as raised, Calls(net.layers(), observer) as calls:
        net.run(calls, "fault")
    assert "raised in the layer 'inner'" in "".join(getattr(raised.value, "__notes__", [str(raised.value)]))
    assert [seen[0] for seen in observer.seen] == ["enter", "enter"]

    def catches(x):
        try:
            return calls.around(net.inner, net.inner.run, ("fault",), {})
        except ValueError:
            return calls.around(net.inner, net.inner.run, (x,), {})

    observer = Recorder()
    with Calls(net.layers(), observer) as calls:
        assert calls.around(net, catches, (2,), {}) == 3
    assert [seen[:2] for seen in observer.seen] == [
        *(("enter", ""), ("enter", "inner"), ("enter", "inner")),
        *(("leave", "inner"), ("leave", "")),
    ]


def test_arrays_of_the_inputs_become_tensors_where_they_are():
    x = np.ones(2)
    inputs = Inputs((x, [x, 3, None]), {"mask": {"a": x}, "name": "y"})
    args, kwargs = inputs.tensors(lambda array: ("tensor", array.size))
    assert args == (("tensor", 2), [("tensor", 2), 3, None])
    assert kwargs == {"mask": {"a": ("tensor", 2)}, "name": "y"}
    assert inputs.args[0] is x
