"""A small convolutional network in plain NumPy: its training, its predictions and its ONNX graph.

It exists because the example needs a convolution, and its readers do not need a deep-learning
framework of half a gigabyte for six thousand parameters. The network is two blocks of
convolution, ReLU and 2x2 max pooling, then one dense layer and a softmax. The reference for the
served model is `predict_probabilities`: it shares its weights with the ONNX graph, and nothing
else.

Images are [N, 1, 8, 8] with pixels from 0 to 16, feature maps are [N, channels, height, width].
"""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

PIXEL_MAX = 16
CHANNELS = (16, 32)
CLASSES = 10
KERNEL = 3

# What the two poolings leave of an 8x8 image.
POOLED_PIXELS = 2 * 2

TRAINING = {"epochs": 25, "batchRows": 64, "learningRate": 0.003}

# Adam's usual decay rates and the constant that keeps its division finite.
ADAM_DECAYS = (0.9, 0.999)
ADAM_EPSILON = 1e-8

OPSET = 18
# The ONNX file format that belongs to opset 18.
IR_VERSION = 8


def train(images, labels, seed):
    """Trains on cross-entropy with Adam and returns the weights, rounded to float32, by name.

    The rounding is part of the result: the network that is evaluated is the one that is served.
    """
    random = np.random.default_rng(seed)
    weights = _initial_weights(random)
    means = {name: np.zeros_like(weight) for name, weight in weights.items()}
    squares = {name: np.zeros_like(weight) for name, weight in weights.items()}
    step = 0
    for _ in range(TRAINING["epochs"]):
        order = random.permutation(len(images))
        for start in range(0, len(images), TRAINING["batchRows"]):
            batch = order[start : start + TRAINING["batchRows"]]
            gradients = _gradients(weights, images[batch], labels[batch])
            step += 1
            for name, gradient in gradients.items():
                _adam_step(weights[name], gradient, means[name], squares[name], step)
    return {name: weight.astype(np.float32) for name, weight in weights.items()}


def predict_probabilities(weights, images):
    """Returns the class probabilities [N, 10], computed in float64 from the given weights."""
    doubles = {name: weight.astype(np.float64) for name, weight in weights.items()}
    return _softmax(_forward(doubles, images)["scores"])


def build_onnx(weights, name):
    """Returns the ONNX model of the network: `images` in, `label` and `probabilities` out."""
    nodes = [
        helper.make_node("Div", ["images", "pixel_max"], ["scaled"]),
        _conv_node("scaled", "conv1"),
        helper.make_node("Relu", ["conv1"], ["relu1"]),
        _pool_node("relu1", "pool1"),
        _conv_node("pool1", "conv2"),
        helper.make_node("Relu", ["conv2"], ["relu2"]),
        _pool_node("relu2", "pool2"),
        helper.make_node("Flatten", ["pool2"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "dense_weight", "dense_bias"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    initializers = [numpy_helper.from_array(np.float32(PIXEL_MAX), "pixel_max")]
    initializers += [numpy_helper.from_array(weight, key) for key, weight in weights.items()]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", CLASSES]),
        ],
        initializers,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(
        graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="plinth-example"
    )


def _initial_weights(random):
    """Draws He-normal weights, which keep the variance through ReLU layers, and zero biases."""

    def draw(*shape, inputs):
        return random.normal(0, np.sqrt(2 / inputs), shape)

    first, second = CHANNELS
    window = KERNEL * KERNEL
    flat = second * POOLED_PIXELS
    return {
        "conv1_weight": draw(first, 1, KERNEL, KERNEL, inputs=window),
        "conv1_bias": np.zeros(first),
        "conv2_weight": draw(second, first, KERNEL, KERNEL, inputs=first * window),
        "conv2_bias": np.zeros(second),
        "dense_weight": draw(flat, CLASSES, inputs=flat),
        "dense_bias": np.zeros(CLASSES),
    }


def _forward(weights, images):
    """Returns every intermediate value that the backward pass needs, and the scores."""
    values = {"patches1": _patches(images / PIXEL_MAX)}
    values["conv1"] = _convolve(values["patches1"], weights["conv1_weight"], weights["conv1_bias"])
    values["pool1"] = _pool(np.maximum(values["conv1"], 0))
    values["patches2"] = _patches(values["pool1"])
    values["conv2"] = _convolve(values["patches2"], weights["conv2_weight"], weights["conv2_bias"])
    values["pool2"] = _pool(np.maximum(values["conv2"], 0))
    values["flat"] = values["pool2"].reshape(len(images), -1)
    values["scores"] = values["flat"] @ weights["dense_weight"] + weights["dense_bias"]
    return values


def _gradients(weights, images, labels):
    """Returns the gradient of the batch's mean cross-entropy by weight name."""
    values = _forward(weights, images)
    scores = (_softmax(values["scores"]) - np.eye(CLASSES)[labels]) / len(images)
    pool2 = (scores @ weights["dense_weight"].T).reshape(values["pool2"].shape)
    conv2 = _pool_backward(pool2, values["conv2"])
    pool1 = _patches_backward(_convolve_backward(conv2, weights["conv2_weight"]))
    conv1 = _pool_backward(pool1, values["conv1"])
    return {
        "conv1_weight": np.einsum("nfhw,ncijhw->fcij", conv1, values["patches1"], optimize=True),
        "conv1_bias": conv1.sum(axis=(0, 2, 3)),
        "conv2_weight": np.einsum("nfhw,ncijhw->fcij", conv2, values["patches2"], optimize=True),
        "conv2_bias": conv2.sum(axis=(0, 2, 3)),
        "dense_weight": values["flat"].T @ scores,
        "dense_bias": scores.sum(axis=0),
    }


def _patches(maps):
    """Returns the 3x3 surroundings of each pixel, zero outside: [N, C, 3, 3, H, W]."""
    _, _, height, width = maps.shape
    padded = np.pad(maps, ((0, 0), (0, 0), (1, 1), (1, 1)))
    shifts = [
        [padded[:, :, i : i + height, j : j + width] for j in range(KERNEL)]
        for i in range(KERNEL)
    ]
    return np.stack([np.stack(row, axis=2) for row in shifts], axis=2)


def _patches_backward(patches):
    """Adds the gradient of every patch back to the pixels that the patch was taken from."""
    rows, channels, _, _, height, width = patches.shape
    padded = np.zeros((rows, channels, height + 2, width + 2))
    for i in range(KERNEL):
        for j in range(KERNEL):
            padded[:, :, i : i + height, j : j + width] += patches[:, :, i, j]
    return padded[:, :, 1:-1, 1:-1]


def _convolve(patches, weight, bias):
    maps = np.einsum("ncijhw,fcij->nfhw", patches, weight, optimize=True)
    return maps + bias[:, None, None]


def _convolve_backward(maps, weight):
    return np.einsum("nfhw,fcij->ncijhw", maps, weight, optimize=True)


def _pool(maps):
    """Returns the largest value of every 2x2 square."""
    rows, channels, height, width = maps.shape
    return maps.reshape(rows, channels, height // 2, 2, width // 2, 2).max(axis=(3, 5))


def _pool_backward(pooled, maps):
    """Passes the gradient of a pooled ReLU to the pixels that were the positive maximum."""
    active = np.maximum(maps, 0)
    largest = _pool(active).repeat(2, axis=2).repeat(2, axis=3)
    spread = pooled.repeat(2, axis=2).repeat(2, axis=3)
    return spread * ((active == largest) & (maps > 0))


def _softmax(scores):
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def _adam_step(weight, gradient, mean, square, step):
    """Updates a weight and its two running moments in place (Kingma and Ba, 2015)."""
    mean_decay, square_decay = ADAM_DECAYS
    mean += (1 - mean_decay) * (gradient - mean)
    square += (1 - square_decay) * (gradient**2 - square)
    unbiased_mean = mean / (1 - mean_decay**step)
    unbiased_square = square / (1 - square_decay**step)
    weight -= TRAINING["learningRate"] * unbiased_mean / (np.sqrt(unbiased_square) + ADAM_EPSILON)


def _conv_node(source, target):
    inputs = [source, f"{target}_weight", f"{target}_bias"]
    return helper.make_node("Conv", inputs, [target], kernel_shape=[3, 3], pads=[1, 1, 1, 1])


def _pool_node(source, target):
    return helper.make_node("MaxPool", [source], [target], kernel_shape=[2, 2], strides=[2, 2])
