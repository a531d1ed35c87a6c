"""NanoDet-g rebuilt in Keras from the weights of a TensorFlow.js graph model.

The network is written down here (CSP backbone, PAN neck, one head a stride) and the source gives numbers only:
its 34 convolutions come in a fixed order. It is convolutional throughout, so that one file serves every input
size that is a multiple of 32. What differs from the source, and why:

- 79 of 80 classes are dropped; scores and distances leave as maps, (1, rows, columns, channels).
- The input is `byte - 128`, so that the int8 input tensor is the byte with its top bit flipped. Mean and
  deviation are folded into the first convolution.
- LeakyReLU and max-pooling are exchanged: both are monotone, so the result is the same at a quarter of the work.
- The pooling is padded with the picture's own first row and column instead of -3.4e38, which no int8 scale can
  hold; for a maximum the two are the same.
- Bilinear resizing to the half is written as what it is, an average of 2x2.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

MEAN = np.array([103.53, 116.28, 123.675], np.float32)  # blue, green, red
DEVIATION = np.array([57.375, 57.12, 58.395], np.float32)
OFFSET = 128.0
BINS = 44
LIFT = 4.0

Weights = tuple[np.ndarray, np.ndarray]


def convolutions(model_json: Path, model_bin: Path) -> Iterator[Weights]:
    """Kernel (h, w, in, out) and bias of every convolution, in the order of the graph."""
    document = json.loads(model_json.read_text())
    nodes = {node["name"]: node for node in document["modelTopology"]["node"]}
    adds = {node["input"][0]: node for node in nodes.values() if node["op"] == "Add"}
    values = _values(document["weightsManifest"], model_bin.read_bytes())
    for index in range(34):
        convolution = nodes["PartitionedCall/convolution" + (f"_{index}" if index else "")]
        bias = adds[convolution["name"]]["input"][1]
        yield values[convolution["input"][1]], values[bias]


def _values(manifest: list[dict], data: bytes) -> dict[str, np.ndarray]:
    """The tensors of a TensorFlow.js weights file, here stored as float16, float32 or int32."""
    values, offset = {}, 0
    for weight in (weight for group in manifest for weight in group["weights"]):
        dtype = np.dtype(weight.get("quantization", weight)["dtype"])
        count = int(np.prod(weight["shape"]))
        value = np.frombuffer(data, dtype, count, offset).reshape(weight["shape"])
        values[weight["name"]] = value.astype(np.float32)
        offset += count * dtype.itemsize
    return values


def build(model_json: Path, model_bin: Path, height: int, width: int) -> keras.Model:
    """Input (1, height, width, 3) float32 `byte - 128`, BGR. Outputs, in this order: the scores of the strides
    8, 16 and 32, then the distances' logits of the same."""
    return _Builder(convolutions(model_json, model_bin)).model(height, width)


class _Builder:
    """Takes the convolutions in the order in which the network was written."""

    def __init__(self, weights: Iterator[Weights]) -> None:
        self._weights = weights

    def model(self, height: int, width: int) -> keras.Model:
        inputs = keras.Input((height, width, 3), batch_size=1, name="input")
        x = self._stem(inputs)
        x = self._residual(x)
        c3 = self._block(x, residuals=2)
        c4 = self._block(c3, residuals=2)
        c5 = self._block(c4, residuals=3)
        l3, l4, l5 = (self._conv(c) for c in (c3, c4, c5))
        p4 = l4 + _twice(l5)
        p3 = l3 + _twice(p4)
        n4 = p4 + _half(p3)
        n5 = l5 + _half(n4)
        heads = [self._head(x) for x in (p3, n4, n5)]
        return keras.Model(inputs, [score for score, _ in heads] + [distance for _, distance in heads])

    def _stem(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        kernel, bias = next(self._weights)
        kernel = kernel / DEVIATION[:, None]
        bias = bias + (kernel * (OFFSET - MEAN)[:, None]).sum(axis=(0, 1, 2))
        x = layers.ReLU()(_convolve(inputs, kernel, bias + LIFT, stride=2))
        x = layers.ZeroPadding2D(((1, 0), (1, 0)))(x)
        return _leaky(layers.MaxPooling2D(3, 2, "valid")(x) - LIFT)

    def _conv(self, x: keras.KerasTensor, stride: int = 1) -> keras.KerasTensor:
        return _convolve(x, *next(self._weights), stride=stride)

    def _act(self, x: keras.KerasTensor, stride: int = 1) -> keras.KerasTensor:
        return _leaky(self._conv(x, stride))

    def _residual(self, x: keras.KerasTensor) -> keras.KerasTensor:
        first = self._act(x)
        narrow = self._act(first)
        x = layers.Concatenate()([self._act(narrow), narrow])
        return layers.Concatenate()([self._act(x), first])

    def _block(self, x: keras.KerasTensor, residuals: int) -> keras.KerasTensor:
        first = x = self._act(x, stride=2)
        for _ in range(residuals):
            narrow = self._act(x)
            x = layers.Concatenate()([self._act(narrow), narrow])
        return layers.Concatenate()([self._act(x), first])

    def _head(self, x: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        x = self._act(x)
        kernel, bias = next(self._weights)
        score = _convolve(x, kernel[..., :1], bias[:1])  # class 0 is "person"
        distance = _convolve(x, kernel[..., -BINS:], bias[-BINS:])
        return layers.Activation("sigmoid")(score), distance


def _leaky(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.LeakyReLU(negative_slope=0.1)(x)


def _convolve(
    x: keras.KerasTensor, kernel: np.ndarray, bias: np.ndarray, stride: int = 1
) -> keras.KerasTensor:
    """Convolution with the symmetric zero padding of the source."""
    size = kernel.shape[0]
    if stride > 1:
        x = layers.ZeroPadding2D(((1, 0), (1, 0)))(x)  # the rows after the last one are never reached
    layer = layers.Conv2D(kernel.shape[3], size, stride, "valid" if stride > 1 else "same")
    y = layer(x)
    layer.set_weights([kernel, bias])
    return y


def _half(x: keras.KerasTensor) -> keras.KerasTensor:
    return _depthwise(x, np.full((2, 2), 1 / 4), stride=2)


def _twice(x: keras.KerasTensor) -> keras.KerasTensor:
    nearest = layers.Lambda(lambda v: tf.nn.depth_to_space(tf.concat([v] * 4, axis=3), 2))(x)
    return _depthwise(nearest, np.outer([1, 2, 1], [1, 2, 1]) / 16)


def _depthwise(x: keras.KerasTensor, kernel: np.ndarray, stride: int = 1) -> keras.KerasTensor:
    """The same kernel on every channel."""
    layer = layers.DepthwiseConv2D(kernel.shape, stride, "same", use_bias=False)
    y = layer(x)
    layer.set_weights([np.repeat(kernel[:, :, None, None], x.shape[3], axis=2).astype(np.float32)])
    return y
