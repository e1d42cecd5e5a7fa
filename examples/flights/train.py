"""Trains the flight-delay model and writes everything that the example needs.

The example exists to show several named inputs of different types: a float, an integer and two
strings per flight, each with its own tensor. The flights are the three million of the npm package
vega-datasets, which is a development dependency of Plinth; nothing is downloaded.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from threadpoolctl import threadpool_limits

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))
from export import check_model, save_held_out, save_json, save_model  # noqa: E402

FLIGHTS = FOLDER / "../../node_modules/vega-datasets/data/flights-3m.parquet"
SEED = 0
HELD_OUT_ROWS = 32
HELD_OUT_UNSEEN_ROWS = 2

# The model learns from January to May and is tested on June, as a forecast would be.
TEST_START = "2001-06-01"

# In minutes. The runtime adds the trees' leaves in float32, and they cancel to a sum near zero.
DELAY_TOLERANCE = 1e-5

# Every tenth flight of the training months is enough, and it keeps training to a few seconds.
TRAIN_STRIDE = 10

# A few delays are errors (arrivals 18 hours early) or extremes that would decide a squared error.
DELAY_MINUTES_MIN = -120
DELAY_MINUTES_MAX = 600

# Both are supported by every ONNX Runtime since 1.14.
TARGET_OPSET = {"": 18, "ai.onnx.ml": 3}

NUMBERS = ["hour", "day_of_week", "distance"]
AIRPORTS = ["origin", "destination"]
INPUT_TYPES = {
    "hour": FloatTensorType([None, 1]),
    "day_of_week": Int64TensorType([None, 1]),
    "distance": FloatTensorType([None, 1]),
    "origin": StringTensorType([None, 1]),
    "destination": StringTensorType([None, 1]),
}
OUTPUT = "delay_minutes"

PARAMETERS = {"max_iter": 60, "learning_rate": 0.1, "max_leaf_nodes": 31, "min_samples_leaf": 100}


def main():
    """Trains, exports and checks the model, then writes example.json."""
    train, test = load_flights()
    regressor = train_regressor(train)
    model = convert_sklearn(
        regressor,
        name="flights-delay",
        initial_types=list(INPUT_TYPES.items()),
        final_types=[(OUTPUT, FloatTensorType([None, 1]))],
        target_opset=TARGET_OPSET,
    )
    path = FOLDER / "delay.onnx"
    save_model(model, path)

    rows = choose_held_out(train, test)
    held_out = reference(regressor, rows)
    save_held_out(
        FOLDER / "delay.heldout.json",
        f"scikit-learn {sklearn.__version__} predict on the held-out rows",
        *held_out,
        DELAY_TOLERANCE,
        rows[list(INPUT_TYPES)].head(3).to_dict("records"),
    )
    check_model(path, held_out, reference(regressor, test), DELAY_TOLERANCE)
    description = {
        "model": "flights-delay",
        "file": path.name,
        "description": "Estimates how many minutes late a US flight of 2001 arrives: gradient "
        "boosting on the time, the distance and the two airports.",
        "metrics": evaluate(regressor, train, test),
        "parameters": describe(train),
        "tags": {"dataset": "vega-flights-3m", "task": "regression", "library": "scikit-learn"},
        "heldOut": "delay.heldout.json",
    }
    deployments = [{"deployment": "flights", "model": "flights-delay"}]
    save_json(FOLDER / "example.json", {"models": [description], "deployments": deployments})


def load_flights():
    """Returns the training and the test flights with the model's inputs and the delay.

    `hour` and `day_of_week` (0 is Monday) are those of the actual departure in local time, for
    that is what the data set's date holds. All numbers are whole, so float32 holds them exactly.
    """
    flights = pd.read_parquet(FLIGHTS)
    flights = flights[flights["delay"].between(DELAY_MINUTES_MIN, DELAY_MINUTES_MAX)]
    departure = flights["date"].dt
    table = pd.DataFrame(
        {
            "hour": departure.hour.astype(np.float64),
            "day_of_week": departure.day_of_week.astype(np.int64),
            "distance": flights["distance"].astype(np.float64),
            # Python strings: the ONNX runtime does not take the string type of pandas.
            "origin": flights["origin"].astype(object),
            "destination": flights["destination"].astype(object),
            "delay": flights["delay"].astype(np.float64),
        }
    )
    is_test = flights["date"] >= TEST_START
    return table[~is_test].iloc[::TRAIN_STRIDE], table[is_test]


def train_regressor(train):
    """Fits gradient boosting on the numbers and on the airports' ordinal codes.

    An airport that training never saw becomes a missing value, which the trees know how to
    route; the served model answers for it instead of failing.
    """
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    regressor = make_pipeline(
        make_column_transformer(("passthrough", NUMBERS), (encoder, AIRPORTS)),
        HistGradientBoostingRegressor(random_state=SEED, early_stopping=False, **PARAMETERS),
    )
    return regressor.fit(train[list(INPUT_TYPES)], train["delay"])


def choose_held_out(train, test):
    """Returns flights drawn from all of June, the last of them from airports never trained on."""
    seen = np.logical_and.reduce([test[name].isin(train[name]) for name in AIRPORTS])
    known = test[seen].sample(HELD_OUT_ROWS - HELD_OUT_UNSEEN_ROWS, random_state=SEED)
    unseen = test[~seen].sample(HELD_OUT_UNSEEN_ROWS, random_state=SEED)
    return pd.concat([known.sort_index(), unseen])


def reference(regressor, flights):
    """Returns the inputs and the output by tensor name, as the training library gives them."""
    inputs = {name: flights[[name]].to_numpy() for name in INPUT_TYPES}
    predicted = regressor.predict(flights[list(INPUT_TYPES)])
    return inputs, {OUTPUT: predicted.reshape(-1, 1)}


def evaluate(regressor, train, test):
    """Returns the metrics on the test flights, with a constant guess to compare them with."""
    predicted = regressor.predict(test[list(INPUT_TYPES)])
    constant = np.full(len(test), train["delay"].mean())
    metrics = {
        "r2": r2_score(test["delay"], predicted),
        "rmseMinutes": root_mean_squared_error(test["delay"], predicted),
        "maeMinutes": mean_absolute_error(test["delay"], predicted),
        "baselineRmseMinutes": root_mean_squared_error(test["delay"], constant),
        "baselineMaeMinutes": mean_absolute_error(test["delay"], constant),
    }
    rounded = {metric: round(float(value), 4) for metric, value in metrics.items()}
    print(f"delay: {rounded}")
    return rounded


def describe(train):
    """Returns the training parameters as strings, which is how the registry keeps them."""
    values = {
        "estimator": "HistGradientBoostingRegressor",
        **PARAMETERS,
        "seed": SEED,
        "trainRows": len(train),
        "testStart": TEST_START,
    }
    return {name: str(value) for name, value in values.items()}


if __name__ == "__main__":
    # One thread makes the order of every sum the same in each run.
    with threadpool_limits(limits=1):
        main()
