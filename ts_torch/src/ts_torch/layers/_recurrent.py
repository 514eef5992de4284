"""Recurrent layers and their cells."""

from __future__ import annotations

from ts_core.contract.nouns import LayerRule
from ts_core.contract.settings import Spelled
from ts_torch.layers._spelling import same

_CELL = {name: name for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
# The names of layers and directions continue without end; the two frameworks count them alike.
_RECURRENT = {
    f"{name}_l{layer}{direction}": f"{name}_l{layer}{direction}"
    for layer in range(16)
    for direction in ("", "_reverse")
    for name in _CELL
}
_PROJECTIONS = {name: name for layer in range(16) for name in (f"weight_hr_l{layer}", f"weight_hr_l{layer}_reverse")}
_STACK_SETTINGS = same("input_size hidden_size bias num_layers batch_first dropout bidirectional")
_CELL_SETTINGS = same("input_size hidden_size bias")
_NONLINEARITY = Spelled("mode", lambda mode: "relu" if mode == "RNN_RELU" else "tanh")

RULES: tuple[LayerRule, ...] = (
    LayerRule("torch.nn.RNN", "rnn", _RECURRENT, settings={**_STACK_SETTINGS, "nonlinearity": _NONLINEARITY}),
    LayerRule("torch.nn.LSTM", "lstm", {**_RECURRENT, **_PROJECTIONS}, settings=same("proj_size", **_STACK_SETTINGS)),
    LayerRule("torch.nn.GRU", "gru", _RECURRENT, settings=_STACK_SETTINGS),
    LayerRule("torch.nn.RNNBase", "rnn", _RECURRENT, settings={**_STACK_SETTINGS, "nonlinearity": _NONLINEARITY}),
    LayerRule("torch.nn.RNNCell", "rnn_cell", _CELL, settings=same("nonlinearity", **_CELL_SETTINGS)),
    LayerRule("torch.nn.LSTMCell", "lstm_cell", _CELL, settings=_CELL_SETTINGS),
    LayerRule("torch.nn.GRUCell", "gru_cell", _CELL, settings=_CELL_SETTINGS),
    LayerRule("torch.nn.modules.rnn.RNNCellBase", "rnn_cell", _CELL, settings=_CELL_SETTINGS),
)
