"""A model made with scikit-learn: principal components one way, a multilayer perceptron the other.

pip install skl2onnx
python from_sklearn.py
arena pack encode.onnx decode.onnx generate.onnx --name sklearn --dataset digits --out sklearn
"""

import numpy as np
import onnx
from onnx import compose, numpy_helper, parser
from skl2onnx import to_onnx
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPRegressor

import latentarena as la

images = la.datasets.load("digits").train.images.numpy()
rows = images.reshape(len(images), -1)  # (N, 784)

encoder = PCA(16, whiten=True, random_state=0).fit(rows)
latents = encoder.transform(rows)  # of unit variance, as the noise: what decodes latents makes images of noise too
decoder = MLPRegressor(hidden_layer_sizes=(64,), early_stopping=True, tol=1e-3, random_state=0).fit(latents, rows)

OPSET = {"": 18, "ai.onnx.ml": 3}
HEAD = '<ir_version: 9, opset_import: ["": 18, "ai.onnx.ml": 3]>'
BEFORE = f"{HEAD} before (float[n, 1, 28, 28] images) => (float[n, 784] rows) {{ rows = Flatten (images) }}"
AFTER = f"""{HEAD} after (float[n, 784] rows) => (float[n, 1, 28, 28] images) {{
    pixels = Clip (rows, black, white)
    images = Reshape (pixels, shape)
}}"""


def converted(estimator, width):
    """What scikit-learn fitted, as a graph of rows of so many numbers."""
    model = to_onnx(estimator, np.zeros((1, width), np.float32), target_opset=OPSET)
    model.ir_version = 9
    return model, model.graph.input[0].name, model.graph.output[0].name


graph, takes, _ = converted(encoder, 784)
onnx.save(compose.merge_models(parser.parse_model(BEFORE), graph, [("rows", takes)]), "encode.onnx")

after = parser.parse_model(AFTER)
known = {"black": np.float32(0), "white": np.float32(1), "shape": np.array([-1, 1, 28, 28])}
after.graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in known.items())
graph, _, gives = converted(decoder, 16)
decode = compose.merge_models(graph, after, [(gives, "rows")])
for name in ("decode", "generate"):
    onnx.save(decode, f"{name}.onnx")
