"""Recurrent layers and their cells."""

from __future__ import annotations

from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import Always, Spelled
from ts_mindspore.layers._spelling import same

_CELL = {name: name for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
# The names of layers and directions continue without end; the two frameworks count them alike.
_RECURRENT = {
    f"{name}_l{layer}{direction}": f"{name}_l{layer}{direction}"
    for layer in range(16)
    for direction in ("", "_reverse")
    for name in _CELL
}
_STACK_SETTINGS = same(
    "hidden_size num_layers batch_first dropout bidirectional", input_size="weight_ih_l0.shape.1", bias="has_bias"
)
_CELL_SETTINGS = same("input_size hidden_size", bias="has_bias")
_NONLINEARITY = Spelled("rnn", lambda runs: "relu" if type(runs).__name__ == "_DynamicRNNRelu" else "tanh")

RULES: tuple[LayerRule, ...] = (
    LayerRule("mindspore.nn.RNN", "rnn", _RECURRENT, settings={**_STACK_SETTINGS, "nonlinearity": _NONLINEARITY}),
    LayerRule("mindspore.nn.LSTM", "lstm", _RECURRENT, settings={**_STACK_SETTINGS, "proj_size": Always(0)}),
    LayerRule("mindspore.nn.GRU", "gru", _RECURRENT, settings=_STACK_SETTINGS),
    LayerRule("mindspore.nn.RNNCell", "rnn_cell", _CELL, settings=same("nonlinearity", **_CELL_SETTINGS)),
    LayerRule("mindspore.nn.LSTMCell", "lstm_cell", _CELL, settings=_CELL_SETTINGS),
    LayerRule("mindspore.nn.GRUCell", "gru_cell", _CELL, settings=_CELL_SETTINGS),
)
