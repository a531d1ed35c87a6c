"""ONNX (NCHW) -> Keras (NHWC), for the few operations that YuNet and SFace are made of.

Block-quantised weights are expanded to float32 on the way. Batch normalisation is folded into the convolution
before it or into the dense layer around it. Two rewrites keep the int8 graph in one XNNPACK partition: nearest
upsampling becomes depth-to-space of four copies, and PReLU becomes `relu((1 - a) x) + a x`. Where a slope is
above 1 that would not hold: there `relu((1 - a) x) - x` gives the negated channel, and the next convolution
takes it with the opposite sign.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import onnx
import tensorflow as tf
from keras import layers
from onnx import numpy_helper

SAME = "Dropout", "Flatten", "Reshape", "Transpose", "Identity"  # nothing to do in NHWC, batch 1


def build(path: Path, height: int, width: int, outputs: list[str]) -> keras.Model:
    """The named outputs, as maps, for an input (1, height, width, 3) float32."""
    graph = onnx.load(str(path)).graph
    return _Builder(graph, {}).model(height, width, outputs)


def build_equalised(
    path: Path, height: int, width: int, outputs: list[str], pictures: list[np.ndarray]
) -> keras.Model:
    """The same network with the channels of its activations rescaled, so that they use the int8 range alike.

    Where a convolution's output goes to a PReLU or straight into a depthwise convolution, what a channel is
    divided by, the next convolution gives back, and the float result stays (Nagel et al., "Data-free
    quantization", 2019; here with the ranges seen on `pictures`).
    """
    graph = onnx.load(str(path)).graph
    names = [node.input[0] for node in graph.node if node.op_type == "PRelu" or _is_depthwise(node)]
    made = {name for node in graph.node if node.op_type in ("Conv", "BatchNormalization") for name in node.output}
    names = [name for name in names if name in made]
    probe = _Builder(graph, {}).model(height, width, names)
    seen = [[np.abs(y).max(axis=(0, 1, 2)) for y in probe(picture)] for picture in pictures]
    ranges = [np.maximum(np.max(column, axis=0), 1e-3) for column in zip(*seen, strict=True)]
    divisors = {name: channel / channel.mean() for name, channel in zip(names, ranges, strict=True)}
    return _Builder(graph, divisors).model(height, width, outputs)


def _is_depthwise(node: onnx.NodeProto) -> bool:
    return node.op_type == "Conv" and _attributes(node).get("group", 1) > 1


@dataclass(frozen=True)
class _Affine:
    """`x * scale + shift`, waiting for the dense layer that will take it in."""

    x: keras.KerasTensor
    scale: np.ndarray
    shift: np.ndarray


class _Builder:
    def __init__(self, graph: onnx.GraphProto, divisors: dict[str, np.ndarray]) -> None:
        self._graph = graph
        self._divisors = divisors  # by which the channels of a convolution's output are to be divided
        self._constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
        self._tensors: dict[str, keras.KerasTensor | _Affine] = {}
        self._dense: dict[str, layers.Dense] = {}
        self._factors: dict[str, np.ndarray] = {}  # that give back the true channels of an activation

    def model(self, height: int, width: int, outputs: list[str]) -> keras.Model:
        inputs = keras.Input((height, width, 3), batch_size=1, name="input")
        self._tensors[self._graph.input[0].name] = inputs
        nodes = list(self._graph.node)
        while nodes:
            node = nodes.pop(0)
            if node.op_type == "Constant":
                continue  # the switch of a dropout
            if node.input[0] in self._constants:
                self._expand(node)
            elif node.op_type == "Conv" and self._feeds_one(node, nodes, "BatchNormalization"):
                following = next(n for n in nodes if node.output[0] in n.input)
                nodes.remove(following)
                name = following.output[0]
                self._tensors[name] = self._convolution(node, name, self._affine(following))
            else:
                self._tensors[node.output[0]] = self._operation(node)
        return keras.Model(inputs, [self._tensors[name] for name in outputs])

    def _feeds_one(self, node: onnx.NodeProto, rest: list[onnx.NodeProto], kind: str) -> bool:
        users = [user for user in rest if node.output[0] in user.input]
        return len(users) == 1 and users[0].op_type == kind

    def _expand(self, node: onnx.NodeProto) -> None:
        """Constant folding of what block quantisation left: q -> (q - zero) * scale, then a reshape."""
        value = self._constants[node.input[0]]
        if node.op_type == "DequantizeLinear":
            a = _attributes(node)
            scale, zero = (self._constants[name].astype(np.float32) for name in node.input[1:3])
            blocks = [np.repeat(v, a["block_size"], a["axis"]) for v in (scale, zero)]
            scale, zero = (v.take(range(value.shape[a["axis"]]), a["axis"]) for v in blocks)
            self._constants[node.output[0]] = (value.astype(np.float32) - zero) * scale
        elif node.op_type == "Reshape":
            self._constants[node.output[0]] = value.reshape(self._constants[node.input[1]])
        else:
            raise NotImplementedError(f"{node.op_type} of a constant")

    def _operation(self, node: onnx.NodeProto) -> keras.KerasTensor | _Affine:
        simple: dict[str, Callable[[], keras.KerasTensor]] = {
            "Relu": lambda: layers.ReLU()(x),
            "Sigmoid": lambda: layers.Activation("sigmoid")(x),
            "MaxPool": lambda: layers.MaxPooling2D(2)(x),
            "Add": lambda: layers.Add()([x, self._tensors[node.input[1]]]),
            "Sub": lambda: x - float(self._constants[node.input[1]].item()),
            "Mul": lambda: x * float(self._constants[node.input[1]].item()),
            "Resize": lambda: layers.Lambda(_nearest)(x),
            "PRelu": lambda: self._prelu(node),
            "Conv": lambda: self._convolution(node, node.output[0]),
            "Gemm": lambda: self._gemm(node),
            "BatchNormalization": lambda: self._normalisation(node),
        }
        x = self._tensors[node.input[0]]
        if node.op_type in SAME:
            self._dense[node.output[0]] = self._dense.get(node.input[0])
            return x
        return simple[node.op_type]()

    def _affine(self, node: onnx.NodeProto) -> tuple[np.ndarray, np.ndarray]:
        gamma, beta, mean, variance = (self._constants[name].astype(np.float64) for name in node.input[1:5])
        scale = gamma / np.sqrt(variance + _attributes(node)["epsilon"])
        return scale, beta - mean * scale

    def _convolution(
        self, node: onnx.NodeProto, name: str, affine: tuple[np.ndarray, np.ndarray] | None = None
    ) -> keras.KerasTensor:
        a, x = _attributes(node), self._tensors[node.input[0]]
        kernel = self._constants[node.input[1]].astype(np.float64)
        factors = self._factors.get(node.input[0])
        if factors is not None:
            kernel = kernel * factors.reshape((1, -1, 1, 1) if a.get("group", 1) == 1 else (-1, 1, 1, 1))
        bias = self._constants[node.input[2]] if len(node.input) > 2 else np.zeros(len(kernel))
        if affine:
            kernel, bias = kernel * affine[0][:, None, None, None], bias * affine[0] + affine[1]
        strides, pads = a.get("strides", [1, 1]), a.get("pads", [0, 0, 0, 0])
        if name in self._divisors:
            divisor = self._factors[name] = self._divisors[name]
            kernel, bias = kernel / divisor[:, None, None, None], bias / divisor
        size, padding = kernel.shape[2:], "valid"
        if strides == [1, 1] and pads == [size[0] // 2] * 4:
            padding = "same"
        elif any(pads):
            x = layers.ZeroPadding2D(((pads[0], pads[2]), (pads[1], pads[3])))(x)
        if a.get("group", 1) == 1:
            layer = layers.Conv2D(len(kernel), size, strides, padding)
            kernel = kernel.transpose(2, 3, 1, 0)
        else:
            layer = layers.DepthwiseConv2D(size, strides, padding)
            kernel = kernel.transpose(2, 3, 0, 1)
        return _with_weights(layer, x, kernel, bias)

    def _prelu(self, node: onnx.NodeProto) -> keras.KerasTensor:
        x, slope = self._tensors[node.input[0]], self._constants[node.input[1]].reshape(-1)
        divisor = self._factors.get(node.input[0], 1.0)
        self._factors[node.output[0]] = np.where(slope > 1, -1.0, 1.0) * divisor
        factor = np.where(slope > 1, -1.0, slope).astype(np.float32)
        return layers.Add()([layers.ReLU()(x * (1 - slope)), x * factor])

    def _normalisation(self, node: onnx.NodeProto) -> keras.KerasTensor | _Affine:
        scale, shift = self._affine(node)
        dense = self._dense.get(node.input[0])
        if dense is None:
            return _Affine(self._tensors[node.input[0]], scale * self._factors.get(node.input[0], 1.0), shift)
        kernel, bias = dense.get_weights()
        dense.set_weights([(kernel * scale).astype(np.float32), (bias * scale + shift).astype(np.float32)])
        return self._tensors[node.input[0]]

    def _gemm(self, node: onnx.NodeProto) -> keras.KerasTensor:
        kernel = self._constants[node.input[1]].astype(np.float64)
        bias = self._constants[node.input[2]].astype(np.float64)
        x = self._tensors[node.input[0]]
        affine = x if isinstance(x, _Affine) else None
        x = affine.x if affine else x
        _, height, width, channels = x.shape
        kernel = (kernel.T if _attributes(node).get("transB") else kernel).reshape(channels, height, width, -1)
        if affine:
            bias = bias + np.einsum("chwo,c->o", kernel, affine.shift)
            kernel = kernel * affine.scale[:, None, None, None]
        kernel = kernel.transpose(1, 2, 0, 3).reshape(height * width * channels, -1)
        layer = layers.Dense(kernel.shape[1])
        self._dense[node.output[0]] = layer
        return _with_weights(layer, layers.Flatten()(x), kernel, bias)


def _attributes(node: onnx.NodeProto) -> dict:
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def _with_weights(
    layer: layers.Layer, x: keras.KerasTensor, kernel: np.ndarray, bias: np.ndarray
) -> keras.KerasTensor:
    y = layer(x)
    layer.set_weights([kernel.astype(np.float32), bias.astype(np.float32)])
    return y


def _nearest(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.depth_to_space(tf.concat([x] * 4, axis=3), 2)
