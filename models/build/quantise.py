"""Keras model -> TensorFlow Lite bytes: float32, and static full-integer int8."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2


def to_float(model: keras.Model) -> bytes:
    return _converter(model).convert()


def to_int8(model: keras.Model, pictures: Iterable[np.ndarray]) -> bytes:
    """Ranges come from `pictures`, each (1, height, width, 3) float32 as the model takes it. The first two are
    all-darkest and all-brightest, so that the input's scale is exactly one byte a step."""
    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([picture] for picture in pictures)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def _converter(model: keras.Model) -> tf.lite.TFLiteConverter:
    """A static batch of one: with a dynamic batch XNNPACK would leave the graph alone."""
    specification = tf.TensorSpec(model.inputs[0].shape, tf.float32, name="input")
    function = tf.function(lambda x: model(x, training=False)).get_concrete_function(specification)
    return tf.lite.TFLiteConverter.from_concrete_functions([convert_variables_to_constants_v2(function)])
