"""In the JAX environment: put the weights into the Flax networks, compare outputs, and send the weights back.

usage: run_in_jax.py FOLDER      with <net>.safetensors and <net>.npz in it; writes <net>_back.safetensors
"""

import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx
from flax_nets import NETS

import ts_core as ts

TOLERANCE = 1e-4  # largest difference ÷ largest output


def main(folder: Path) -> int:
    """The exit code: 0 when both networks give the outputs that torch gave."""
    worst = 0.0
    for name, make in NETS.items():
        net = make(nnx.Rngs(0))
        weight_map = ts.weight_map(folder / f"{name}.safetensors", net)
        ts.transfer(folder / f"{name}.safetensors", net, weight_map=weight_map)
        data = np.load(folder / f"{name}.npz")
        inputs = data["inputs"].transpose(0, 2, 3, 1) if data["inputs"].ndim == 4 else data["inputs"]
        outputs = np.asarray(net(jnp.asarray(inputs)))
        difference = np.abs(outputs - data["outputs"]).max() / np.abs(data["outputs"]).max()
        print(f"{name}: largest output difference ÷ largest output: {difference:.2e}")
        worst = max(worst, float(difference))
        ts.convert(net, folder / f"{name}_back.safetensors", weight_map=weight_map.inverse(), progress=False)
    return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
