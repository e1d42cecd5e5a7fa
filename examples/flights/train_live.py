"""Trains the model that takes features from the store, and adds it to example.json.

Its training set is made by Plinth: the point-in-time join of the flights in `work/flights.parquet`
with the history of features.sql, by the feature service that the model is served with. The README
has the commands.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from threadpoolctl import threadpool_limits

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))
from export import check_model, column_rows, save_held_out, save_json, save_model  # noqa: E402

TRAINING_SET = FOLDER / "work/training.parquet"
SEED = 0
HELD_OUT_ROWS = 32
TEST_START = "2001-06-01"
TARGET_OPSET = {"": 18, "ai.onnx.ml": 3}
TOLERANCE_MINUTES = 1e-5

# In the order of the feature service.
AIRPORT = ["mean_delay_3h", "mean_delay_24h", "late_share_24h", "flights_24h"]
COLUMNS = [
    *["hour", "day_of_week"],
    *[f"{role}_{feature}" for role in ["origin", "destination"] for feature in AIRPORT],
    *["distance", "mean_delay_28d", "late_share_28d", "flights_28d"],
]
TIME_ONLY = ["hour", "day_of_week", "distance"]

# What features.yaml declares for a value that is missing; for the others it is NaN, as here. A
# flight without a distance is refused, for there is no default.
DEFAULTS = {name: 0 for name in COLUMNS if name.endswith(("flights_24h", "flights_28d"))}
REQUIRED = ["distance"]

# What the README asks the served model, by entity key.
FLIGHT = {"origin": "ATL", "destination": "JFK", "departure": "2001-06-30T18:00:00"}

PARAMETERS = {"max_iter": 80, "learning_rate": 0.1, "max_leaf_nodes": 31, "min_samples_leaf": 100}


def main():
    """Trains, exports and checks the model, then writes its entry in example.json."""
    table = pd.read_parquet(TRAINING_SET).dropna(subset=REQUIRED).fillna(DEFAULTS)
    is_test = table["event_timestamp"] >= TEST_START
    train, test = table[~is_test], table[is_test]
    regressor = HistGradientBoostingRegressor(
        random_state=SEED, early_stopping=False, **PARAMETERS
    ).fit(inputs_of(train), train["delay"])
    model = convert_sklearn(
        regressor,
        name="flights-live",
        initial_types=[("features", FloatTensorType([None, len(COLUMNS)]))],
        final_types=[("delay_minutes", FloatTensorType([None, 1]))],
        target_opset=TARGET_OPSET,
    )
    path = FOLDER / "live.onnx"
    save_model(model, path, COLUMNS)
    rows = test.dropna(subset=COLUMNS).sample(HELD_OUT_ROWS, random_state=SEED).sort_index()
    held_out = reference(regressor, rows)
    save_held_out(
        FOLDER / "live.heldout.json",
        f"scikit-learn {sklearn.__version__} predict on the held-out rows",
        *held_out,
        TOLERANCE_MINUTES,
        column_rows(COLUMNS, inputs_of(rows)),
    )
    check_model(path, held_out, reference(regressor, test), TOLERANCE_MINUTES)
    print(f"{FLIGHT}: {regressor.predict(inputs_of(newest(**FLIGHT)))[0]:.4f} minutes")
    add_to_example(
        {
            "model": "flights-live",
            "file": path.name,
            "description": "Estimates how many minutes late a US flight of 2001 arrives from what "
            "the feature store knows of its airports and its route at departure.",
            "metrics": evaluate(regressor, train, test),
            "parameters": describe(train),
            "tags": {"dataset": "vega-flights-3m", "task": "regression", "library": "scikit-learn"},
            "heldOut": "live.heldout.json",
            "featureService": "flight_delay",
        }
    )


def newest(origin, destination, departure):
    """Returns one flight with the newest features, which are those that a fresh start serves."""
    airports = pd.read_parquet(FOLDER / "airport_delays.latest.parquet").set_index("airport")
    routes = pd.read_parquet(FOLDER / "route_delays.latest.parquet")
    route = routes.set_index(["origin", "destination"]).loc[(origin, destination)]
    time = pd.Timestamp(departure)
    row = {"hour": time.hour, "day_of_week": time.isoweekday() % 7, **route}
    for role, airport in {"origin": origin, "destination": destination}.items():
        row |= {f"{role}_{name}": airports.loc[airport, name] for name in AIRPORT}
    return pd.DataFrame([row]).fillna(DEFAULTS)


def inputs_of(table):
    """Returns the model's inputs, rounded to the float32 that it is served in."""
    return table[COLUMNS].to_numpy(dtype=np.float64).astype(np.float32).astype(np.float64)


def reference(regressor, table):
    """Returns the inputs and the output by tensor name, as the training library gives them."""
    inputs = inputs_of(table)
    return {"features": inputs}, {"delay_minutes": regressor.predict(inputs).reshape(-1, 1)}


def evaluate(regressor, train, test):
    """Returns the metrics on the test flights, beside a model without features from the store."""
    bare = HistGradientBoostingRegressor(random_state=SEED, early_stopping=False, **PARAMETERS)
    bare.fit(train[TIME_ONLY].to_numpy(dtype=np.float64), train["delay"])
    predicted = {
        "": regressor.predict(inputs_of(test)),
        "withoutStore": bare.predict(test[TIME_ONLY].to_numpy(dtype=np.float64)),
    }
    metrics = {}
    for prefix, delays in predicted.items():
        scores = {
            "r2": r2_score(test["delay"], delays),
            "rmseMinutes": root_mean_squared_error(test["delay"], delays),
            "maeMinutes": mean_absolute_error(test["delay"], delays),
        }
        for name, value in scores.items():
            key = f"{prefix}{name[0].upper()}{name[1:]}" if prefix else name
            metrics[key] = round(float(value), 4)
    print(f"live: {metrics}")
    return metrics


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


def add_to_example(model):
    """Puts the model, its deployment and its features into example.json, or replaces them."""
    path = FOLDER / "example.json"
    example = json.loads(path.read_text(encoding="utf-8"))
    name = model["model"]
    example["models"] = [m for m in example["models"] if m["model"] != name] + [model]
    example["deployments"] = [d for d in example["deployments"] if d["deployment"] != name]
    example["deployments"].append({"deployment": name, "model": name})
    example["features"] = {
        "definitions": "features.yaml",
        "ingest": [
            {"view": "airport_delays", "file": "airport_delays.latest.parquet"},
            {"view": "route_delays", "file": "route_delays.latest.parquet"},
        ],
    }
    save_json(path, example)


if __name__ == "__main__":
    # One thread makes the order of every sum the same in each run.
    with threadpool_limits(limits=1):
        main()
