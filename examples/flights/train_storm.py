"""Trains version 2 of flights-live, which spring proves wrong, and writes what the replay needs.

The replay asks what monitoring is for: a model that was fine when it was deployed, and is not fine
two months later. Version 2 has the inputs of version 1 (train_live.py) but is trained on nothing
but the newest week before it is deployed, 22 to 28 February, which was a week of storms.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits
from train_live import (
    COLUMNS,
    DEFAULTS,
    FOLDER,
    PARAMETERS,
    REQUIRED,
    SEED,
    TARGET_OPSET,
    TOLERANCE_MINUTES,
    TRAINING_SET,
    check_model,
    inputs_of,
    reference,
    save_model,
)

STORM_START = "2001-02-22"
DEPLOYED = "2001-03-01"

# A week has fewer flights to learn from than four months.
TREES = 40

# Every sixteenth flight of the training set, which has every twelfth: about 610 a week. Drift is
# not measured with fewer than 500 values, and some flights lack some.
STRIDE = 16


def main():
    """Trains the model and writes it, the flights of February and those from March to June."""
    table = pd.read_parquet(TRAINING_SET).dropna(subset=REQUIRED).fillna(DEFAULTS)
    table = table.sort_values(["event_timestamp", "origin", "destination", "delay"])
    is_before = table["event_timestamp"] < DEPLOYED
    storms = table[is_before & (table["event_timestamp"] >= STORM_START)]
    regressor = HistGradientBoostingRegressor(
        random_state=SEED, early_stopping=False, **{**PARAMETERS, "max_iter": TREES}
    ).fit(inputs_of(storms), storms["delay"])
    model = convert_sklearn(
        regressor,
        name="flights-live",
        initial_types=[("features", FloatTensorType([None, len(COLUMNS)]))],
        final_types=[("delay_minutes", FloatTensorType([None, 1]))],
        target_opset=TARGET_OPSET,
    )
    path = FOLDER / "storm.onnx"
    save_model(model, path, COLUMNS)
    sample = table.iloc[::STRIDE]
    february = sample[sample["event_timestamp"] < DEPLOYED]
    spring = sample[sample["event_timestamp"] >= DEPLOYED]
    expected = reference(regressor, spring)
    check_model(path, expected, expected, TOLERANCE_MINUTES)
    # The baseline of a version is what it was given and what it said of it.
    said = regressor.predict(inputs_of(february)).astype(np.float32)
    save("february.parquet", {**columns_of(february), "prediction.delay_minutes": said})
    # The service calls a missing number NaN in a row; here it is no value.
    times = {"event_timestamp": spring["event_timestamp"].to_numpy("datetime64[us]")}
    delays = {"delay": spring["delay"].to_numpy(np.int16)}
    save("spring.parquet", {**times, **columns_of(spring), **delays})


def columns_of(table):
    """Returns the model's inputs by name as it is served them: float32, NaN where none is known."""
    return dict(zip(COLUMNS, inputs_of(table).astype(np.float32).T))


def save(name, columns):
    """Writes arrays by name as Parquet and says how large it is."""
    path = FOLDER / name
    pq.write_table(pa.table(columns), path, compression="zstd", compression_level=19)
    print(f"{name}: {len(next(iter(columns.values())))} rows, {path.stat().st_size} bytes")


if __name__ == "__main__":
    # One thread makes the order of every sum the same in each run.
    with threadpool_limits(limits=1):
        main()
