"""Trains the two digit classifiers and writes everything that the example needs.

The example exists to show two input layouts for the same 8x8 images: a perceptron takes them as
a flat [N, 64] table of pixels, a convolutional network as [N, 1, 8, 8]. Nothing is downloaded:
scikit-learn brings the data set.
"""

import sys
from pathlib import Path

import numpy as np
import sklearn
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from threadpoolctl import threadpool_limits

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))
import cnn  # noqa: E402
from export import check_model, column_rows, save_held_out, save_json, save_model  # noqa: E402

SEED = 0
TEST_FRACTION = 0.25
HELD_OUT_ROWS = 32

# A softmax in float32 keeps the relative accuracy of small probabilities. This leaves room for a
# processor that rounds the exponentials of the very small ones differently.
PROBABILITY_TOLERANCE = 1e-8

# Both are supported by every ONNX Runtime since 1.14.
TARGET_OPSET = {"": 18, "ai.onnx.ml": 3}

CLASS_LABELS = [str(digit) for digit in range(10)]
TAGS = {"dataset": "uci-digits", "task": "classification"}

MLP_PARAMETERS = {"hidden_layer_sizes": (32,), "alpha": 0.01, "max_iter": 1000}


def main():
    """Trains, exports and checks both models, then writes example.json."""
    data = load_digits()
    # Pixels are whole numbers from 0 to 16, so float32 and float64 hold the same values.
    split = train_test_split(
        data.data, data.target, test_size=TEST_FRACTION, random_state=SEED, stratify=data.target
    )
    models = [
        {
            "model": "digits-mlp",
            "file": "mlp.onnx",
            "description": "Reads a handwritten digit from 64 pixels in a row: a perceptron with "
            "one hidden layer.",
            "metrics": train_mlp(split, data.feature_names),
            "parameters": describe("MLPClassifier", MLP_PARAMETERS),
            "tags": {**TAGS, "library": "scikit-learn"},
            "heldOut": "mlp.heldout.json",
        },
        {
            "model": "digits-cnn",
            "file": "cnn.onnx",
            "description": "Reads a handwritten digit from an 8x8 image: two convolutions and "
            "one dense layer.",
            "metrics": train_cnn(split),
            "parameters": describe("cnn.py", {"channels": cnn.CHANNELS, **cnn.TRAINING}),
            "tags": {**TAGS, "library": "numpy"},
            "heldOut": "cnn.heldout.json",
        },
    ]
    deployments = [
        {"deployment": "digits", "model": "digits-mlp"},
        {"deployment": "digits-cnn", "model": "digits-cnn"},
    ]
    save_json(FOLDER / "example.json", {"models": models, "deployments": deployments})


def train_mlp(split, columns):
    """Trains and exports the perceptron and returns its metrics on the test rows."""
    train_pixels, test_pixels, train_labels, test_labels = split
    classifier = make_pipeline(
        MinMaxScaler(), MLPClassifier(random_state=SEED, **MLP_PARAMETERS)
    ).fit(train_pixels, train_labels)
    model = convert_sklearn(
        classifier,
        name="digits-mlp",
        initial_types=[("pixels", FloatTensorType([None, len(columns)]))],
        options={"zipmap": False},
        target_opset=TARGET_OPSET,
    )
    path = FOLDER / "mlp.onnx"
    save_model(model, path, columns, CLASS_LABELS)

    def reference(pixels):
        probabilities = classifier.predict_proba(pixels)
        return {"pixels": pixels}, {
            "label": classifier.predict(pixels),
            "probabilities": probabilities,
        }

    return finish(
        path,
        f"scikit-learn {sklearn.__version__} predict and predict_proba on the held-out rows",
        reference,
        test_pixels,
        test_labels,
        rows=column_rows(columns, test_pixels, count=2),
    )


def train_cnn(split):
    """Trains and exports the convolutional network and returns its metrics on the test rows."""
    train_pixels, test_pixels, train_labels, test_labels = split
    weights = cnn.train(as_images(train_pixels), train_labels, SEED)
    path = FOLDER / "cnn.onnx"
    save_model(cnn.build_onnx(weights, "digits-cnn"), path, class_labels=CLASS_LABELS)

    def reference(images):
        probabilities = cnn.predict_probabilities(weights, images)
        return {"images": images}, {
            "label": probabilities.argmax(axis=1),
            "probabilities": probabilities,
        }

    return finish(
        path,
        f"NumPy {np.__version__} forward pass of cnn.py in float64 on the held-out rows",
        reference,
        as_images(test_pixels),
        test_labels,
    )


def finish(path, source, reference, test_inputs, test_labels, rows=None):
    """Writes the held-out file, checks the saved model and returns the test metrics.

    `reference` gives the inputs and outputs by tensor name, as the trained model computes them.
    """
    held_out = reference(test_inputs[:HELD_OUT_ROWS])
    save_held_out(path.with_suffix(".heldout.json"), source, *held_out, PROBABILITY_TOLERANCE, rows)
    test = reference(test_inputs)
    check_model(path, held_out, test, PROBABILITY_TOLERANCE)
    metrics = {
        "accuracy": accuracy_score(test_labels, test[1]["label"]),
        "logLoss": log_loss(test_labels, test[1]["probabilities"]),
    }
    rounded = {metric: round(float(value), 4) for metric, value in metrics.items()}
    print(f"{path.stem}: {rounded}")
    return rounded


def as_images(pixels):
    """Returns the flat pixels as images with one channel."""
    return pixels.reshape(-1, 1, 8, 8)


def describe(estimator, parameters):
    """Returns the training parameters as strings, which is how the registry keeps them."""
    values = {"estimator": estimator, **parameters, "seed": SEED, "testFraction": TEST_FRACTION}
    return {name: str(value) for name, value in values.items()}


if __name__ == "__main__":
    # One thread makes the order of every sum the same in each run.
    with threadpool_limits(limits=1):
        main()
