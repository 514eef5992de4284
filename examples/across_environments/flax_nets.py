"""The same two networks in Flax NNX: channels last, kernels (in, out), attention with separate projections."""

import jax
from flax import nnx

WIDTH, HEADS, CLASSES = 16, 4, 5


class Cnn(nnx.Module):
    """Images (batch, 12, 12, 3) → scores (batch, 5)."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv1 = nnx.Conv(3, 8, (3, 3), padding=1, rngs=rngs)
        self.norm1 = nnx.BatchNorm(8, use_running_average=True, rngs=rngs)
        self.conv2 = nnx.Conv(8, WIDTH, (3, 3), strides=2, padding=1, use_bias=False, rngs=rngs)
        self.norm2 = nnx.BatchNorm(WIDTH, use_running_average=True, rngs=rngs)
        self.head = nnx.Linear(WIDTH, CLASSES, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.norm1(self.conv1(x)))
        x = nnx.relu(self.norm2(self.conv2(x)))
        return self.head(x.mean((1, 2)))


class Block(nnx.Module):
    """One layer of the encoder, normalised before attention and before the feed-forward part."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.attention = nnx.MultiHeadAttention(HEADS, WIDTH, decode=False, rngs=rngs)
        self.linear1 = nnx.Linear(WIDTH, 32, rngs=rngs)
        self.linear2 = nnx.Linear(32, WIDTH, rngs=rngs)
        self.norm1 = nnx.LayerNorm(WIDTH, epsilon=1e-5, rngs=rngs)
        self.norm2 = nnx.LayerNorm(WIDTH, epsilon=1e-5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.attention(self.norm1(x))
        return x + self.linear2(nnx.relu(self.linear1(self.norm2(x))))


class Encoder(nnx.Module):
    """Sequences (batch, length, 3) → scores (batch, 5)."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embed = nnx.Linear(3, WIDTH, rngs=rngs)
        self.layers = nnx.List([Block(rngs), Block(rngs)])
        self.norm = nnx.LayerNorm(WIDTH, epsilon=1e-5, rngs=rngs)
        self.head = nnx.Linear(WIDTH, CLASSES, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.embed(x)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x).mean(1))


NETS = {"cnn": Cnn, "encoder": Encoder}
