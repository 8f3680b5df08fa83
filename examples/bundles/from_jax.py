"""A model made with JAX: principal components, and a flow from noise to latents in eight Euler steps.

pip install jax jax2onnx
python from_jax.py
arena pack encode.onnx decode.onnx generate.onnx --name jax --dataset digits --out jax
"""

import jax
import jax.numpy as jnp
from jax2onnx import to_onnx

import latentarena as la

images = jnp.asarray(la.datasets.load("digits").train.images.numpy())
rows = images.reshape(len(images), -1)  # (N, 784)
WIDTH, STEPS, BATCH, RATE = 16, 8, 128, 0.1

mean = rows.mean(0)
_, deviations, directions = jnp.linalg.svd(rows - mean, full_matrices=False)
scale = deviations[:WIDTH] / jnp.sqrt(len(rows))
encoder, decoder = directions[:WIDTH].T / scale, directions[:WIDTH] * scale[:, None]


def encode(images):
    return (images.reshape(-1, 784) - mean) @ encoder


def decode(latents):
    return jnp.clip(latents @ decoder + mean, 0, 1).reshape(-1, 1, 28, 28)


def velocity(weights, x, t):
    first, second, last = weights
    return jnp.tanh(x @ first + t * second) @ last


def matching(weights, data, noise, t):
    """Of a straight path from data (t = 0) to noise (t = 1)."""
    return jnp.square(velocity(weights, data + t * (noise - data), t) - (noise - data)).mean()


@jax.jit
def step(weights, key):
    which, of_noise, of_time = jax.random.split(key, 3)
    data = encode(images[jax.random.randint(which, (BATCH,), 0, len(images))])
    noise, t = jax.random.normal(of_noise, data.shape), jax.random.uniform(of_time, (BATCH, 1))
    slopes = jax.grad(matching)(weights, data, noise, t)
    return jax.tree.map(lambda weight, slope: weight - RATE * slope, weights, slopes)


keys = jax.random.split(jax.random.key(0), 2000)
shapes = ((WIDTH, 128), (1, 128), (128, WIDTH))
weights = tuple(0.1 * jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=False))
for key in keys[3:]:
    weights = step(weights, key)


def generate(noise):
    for number in range(STEPS):
        noise = noise - velocity(weights, noise, 1 - number / STEPS) / STEPS
    return decode(noise)


takes = {"encode": (encode, (1, 28, 28)), "decode": (decode, (WIDTH,)), "generate": (generate, (WIDTH,))}
for name, (function, row) in takes.items():
    to_onnx(function, [("n", *row)], return_mode="file", output_path=f"{name}.onnx")
