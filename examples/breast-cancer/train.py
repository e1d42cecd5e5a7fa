"""Trains the two breast-cancer classifiers and writes everything that the example needs.

The example exists to show the plainest case that Plinth serves: a table of named float columns,
a label and its probabilities. A linear and a tree model of the same data make the pair that one
compares, promotes and rolls back. Nothing is downloaded: scikit-learn brings the data set.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import sklearn
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))
from export import check_model, column_rows, save_held_out, save_json, save_model  # noqa: E402

SEED = 0
TEST_FRACTION = 0.3
HELD_OUT_ROWS = 32

# Eight times the spacing of float32 at 1. The runtime computes the second of two probabilities
# as 1 - p in float32, so a tiny probability has this absolute accuracy and no relative one.
PROBABILITY_TOLERANCE = 1e-6

# Both are supported by every ONNX Runtime since 1.14.
TARGET_OPSET = {"": 18, "ai.onnx.ml": 3}

# The data set's own order: class 0 is malignant and class 1 is benign.
CLASS_LABELS = ["malignant", "benign"]

TAGS = {"dataset": "breast-cancer-wisconsin", "task": "classification", "library": "scikit-learn"}

LOGISTIC_PARAMETERS = {"C": 0.1, "max_iter": 1000}
FOREST_PARAMETERS = {"n_estimators": 50, "max_depth": 8, "min_samples_leaf": 2}


def main():
    """Trains, exports and checks both models, then writes example.json."""
    data = load_breast_cancer()
    columns = data.feature_names.tolist()
    # The models are served in float32. Rounding the data first, and then computing in float64,
    # gives the library and the ONNX runtime the same numbers to start from.
    features = data.data.astype(np.float32).astype(np.float64)
    split = train_test_split(
        features, data.target, test_size=TEST_FRACTION, random_state=SEED, stratify=data.target
    )
    logistic = make_pipeline(
        StandardScaler(), LogisticRegression(random_state=SEED, **LOGISTIC_PARAMETERS)
    )
    forest = RandomForestClassifier(random_state=SEED, **FOREST_PARAMETERS)
    models = [
        {
            "model": "breast-cancer-logistic",
            "file": "logistic.onnx",
            "description": "Tells malignant from benign breast tumours: standardised columns "
            "and a logistic regression.",
            "metrics": train_and_export(logistic, "logistic", split, columns),
            "parameters": describe("LogisticRegression", LOGISTIC_PARAMETERS),
            "tags": TAGS,
            "heldOut": "logistic.heldout.json",
        },
        {
            "model": "breast-cancer-forest",
            "file": "forest.onnx",
            "description": "Tells malignant from benign breast tumours: a random forest of 50 "
            "shallow trees.",
            "metrics": train_and_export(forest, "forest", split, columns),
            "parameters": describe("RandomForestClassifier", FOREST_PARAMETERS),
            "tags": TAGS,
            "heldOut": "forest.heldout.json",
        },
    ]
    deployments = [
        {"deployment": "breast-cancer", "model": "breast-cancer-logistic"},
        {"deployment": "breast-cancer-forest", "model": "breast-cancer-forest"},
    ]
    save_json(FOLDER / "example.json", {"models": models, "deployments": deployments})
    save_training_rows(split, columns)


def train_and_export(classifier, name, split, columns):
    """Fits a classifier, writes its two files and returns its metrics on the test rows."""
    train_features, test_features, train_labels, test_labels = split
    classifier.fit(train_features, train_labels)
    model = convert_sklearn(
        classifier,
        name=f"breast-cancer-{name}",
        initial_types=[("features", FloatTensorType([None, len(columns)]))],
        options={"zipmap": False},
        target_opset=TARGET_OPSET,
    )
    path = FOLDER / f"{name}.onnx"
    save_model(model, path, columns, CLASS_LABELS)

    held_out = reference(classifier, test_features[:HELD_OUT_ROWS])
    save_held_out(
        FOLDER / f"{name}.heldout.json",
        f"scikit-learn {sklearn.__version__} predict and predict_proba on the held-out rows",
        *held_out,
        PROBABILITY_TOLERANCE,
        column_rows(columns, test_features),
    )
    test = reference(classifier, test_features)
    check_model(path, held_out, test, PROBABILITY_TOLERANCE)

    probabilities = test[1]["probabilities"]
    metrics = {
        "accuracy": accuracy_score(test_labels, test[1]["label"]),
        "rocAuc": roc_auc_score(test_labels, probabilities[:, 1]),
        "logLoss": log_loss(test_labels, probabilities),
    }
    rounded = {metric: round(float(value), 4) for metric, value in metrics.items()}
    print(f"{name}: {rounded}")
    return rounded


def save_training_rows(split, columns):
    """Writes the training rows with their diagnosis: what calibration and baselines are made of."""
    features, _, labels, _ = split
    with (FOLDER / "training.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*columns, "diagnosis"])
        for row, label in zip(features, labels, strict=True):
            # The shortest digits that give the same float32.
            writer.writerow([*(str(np.float32(value)) for value in row), CLASS_LABELS[label]])


def reference(classifier, features):
    """Returns the inputs and the outputs by tensor name, as the training library gives them."""
    outputs = {
        "label": classifier.predict(features),
        "probabilities": classifier.predict_proba(features),
    }
    return {"features": features}, outputs


def describe(estimator, parameters):
    """Returns the training parameters as strings, which is how the registry keeps them."""
    values = {"estimator": estimator, **parameters, "seed": SEED, "testFraction": TEST_FRACTION}
    return {name: str(value) for name, value in values.items()}


if __name__ == "__main__":
    # One thread makes the order of every sum the same in each run.
    with threadpool_limits(limits=1):
        main()
