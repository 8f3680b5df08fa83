"""A model made with NumPy alone: principal components, and a normal distribution of the latents of each class.

python from_numpy.py
arena pack encode.onnx decode.onnx generate.onnx --name numpy --dataset digits --out numpy
"""

import numpy as np
import onnx
from onnx import numpy_helper, parser

import latentarena as la

train = la.datasets.load("digits").train
images, labels = train.images.numpy(), train.labels.numpy()
rows = images.reshape(len(images), -1)  # (N, 784)

mean = rows.mean(0)
deviations, directions = np.linalg.svd(rows - mean, full_matrices=False)[1:]
scale = deviations[:16] / np.sqrt(len(rows))
encoder, decoder = directions[:16].T / scale, directions[:16] * scale[:, None]  # (784, 16), (16, 784)
latents = (rows - mean) @ encoder

classes = [latents[labels == k] for k in range(10)]
centres = np.stack([one.mean(0) for one in classes])  # (10, 16)
roots = np.stack([np.linalg.cholesky(np.cov(one.T)).T for one in classes])  # (10, 16, 16)

ENCODE = """encode (float[n, 1, 28, 28] images) => (float[n, 16] latents) {
    rows = Flatten (images)
    centred = Sub (rows, mean)
    latents = MatMul (centred, encoder)
}"""
DECODE = """decode (float[n, 16] latents) => (float[n, 1, 28, 28] images) {
    centred = MatMul (latents, decoder)
    rows = Add (centred, mean)
    pixels = Clip (rows, black, white)
    images = Reshape (pixels, shape)
}"""
GENERATE = """generate (float[n, 16] noise, int64[n] labels) => (float[n, 1, 28, 28] images) {
    centre = Gather (centres, labels)
    root = Gather (roots, labels)
    spread = Einsum <equation = "ni,nij->nj"> (noise, root)
    latents = Add (centre, spread)
    centred = MatMul (latents, decoder)
    rows = Add (centred, mean)
    pixels = Clip (rows, black, white)
    images = Reshape (pixels, shape)
}"""
KNOWN = {"mean": mean, "encoder": encoder, "decoder": decoder, "centres": centres, "roots": roots}
KNOWN |= {"black": np.float32(0), "white": np.float32(1)}
KNOWN = {name: np.asarray(value, np.float32) for name, value in KNOWN.items()} | {"shape": np.array([-1, 1, 28, 28])}

for name, text in {"encode": ENCODE, "decode": DECODE, "generate": GENERATE}.items():
    model = parser.parse_model(f'<ir_version: 10, opset_import: ["": 20]> {text}')
    used = {value for node in model.graph.node for value in node.input}
    model.graph.initializer.extend(numpy_helper.from_array(KNOWN[one], one) for one in KNOWN if one in used)
    onnx.save(model, f"{name}.onnx")
