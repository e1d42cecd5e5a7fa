"""Computes with numpy and scipy, from the rows, what monitoring must find in the replay.

Monitoring keeps sketches and no rows; this has the rows. It writes the golden numbers that
test/e2e/flights-drift.test.ts holds the service against: drift of every column in every window,
performance of both versions, and the day on which the rule takes version 2 back.
"""

import numpy as np
import onnxruntime
import pandas as pd
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, wasserstein_distance
from train_live import COLUMNS, FOLDER, save_json

GOLDEN = FOLDER / "drift.golden.json"
OUTPUT = "prediction.delay_minutes"

# Windows begin on Thursdays, as 1970 did; so did March 2001.
WINDOW = "7D"
# Evidently's for the normed Wasserstein distance.
THRESHOLD = 0.1
# With fewer values Plinth does not measure this distance.
SIZE_MIN = 500
# The rule in alert-rules.yaml: worse than a constant guess, for 14 days.
R2_MIN = 0
WINDOWS_WRONG = 2
# A window closes with the flights of the second day after it, by the monitor's allowed lateness.
CLOSED_AFTER = pd.Timedelta(days=2)


def main():
    """Writes the golden numbers and prints which columns drift when."""
    february = pd.read_parquet(FOLDER / "february.parquet")
    spring = pd.read_parquet(FOLDER / "spring.parquet")
    start = spring["event_timestamp"].dt.floor(WINDOW)
    said = {1: predict("live.onnx", spring), 2: predict("storm.onnx", spring)}
    r2 = [errors(said[2][start == at], spring["delay"][start == at])["r2"] for at in start.unique()]
    wrong = [value < R2_MIN for value in r2]
    fires = next(
        i for i in range(WINDOWS_WRONG - 1, len(r2)) if all(wrong[i - WINDOWS_WRONG + 1 : i + 1])
    )
    back = start.unique()[fires + 1] + CLOSED_AFTER
    live = spring["event_timestamp"] < back
    windows = []
    for version, rows in {2: live, 1: ~live}.items():
        for at in start[rows].unique():
            here = rows & (start == at)
            window = spring[here].assign(**{OUTPUT: said[version][here]})
            windows.append(
                {
                    "version": version,
                    "start": f"{at:%Y-%m-%d}",
                    "rows": len(window),
                    "performance": errors(window[OUTPUT], window["delay"]),
                    "drift": {
                        column: drift(february[column], window[column])
                        for column in [*COLUMNS, OUTPUT]
                        if version == 2 or column != OUTPUT
                    },
                }
            )
            show(windows[-1])
    golden = {
        "source": "numpy and scipy over february.parquet and spring.parquet",
        "wrong": [f"{at:%Y-%m-%d}" for at in start.unique()[: fires + 1][wrong[: fires + 1]]],
        "firedWindow": f"{start.unique()[fires]:%Y-%m-%d}",
        "backOn": f"{back:%Y-%m-%d}",
        "overall": errors(said[2][live], spring["delay"][live]),
        "windows": windows,
    }
    save_json(GOLDEN, golden)
    print({name: golden[name] for name in ["wrong", "firedWindow", "backOn"]})


def predict(file, rows):
    """Returns what a version says of the rows."""
    options = onnxruntime.SessionOptions()
    # Leaves are added in float32, and the order of a sum is another one for each count of threads.
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        FOLDER / file, options, providers=["CPUExecutionProvider"]
    )
    (said,) = session.run(None, {"features": rows[COLUMNS].to_numpy(np.float32)})
    return said[:, 0].astype(np.float64)


def errors(said, delays):
    """Returns what labels say of predictions."""
    error = np.asarray(said) - np.asarray(delays, dtype=np.float64)
    return {
        "mae": digits(np.mean(np.abs(error))),
        "rmse": digits(np.sqrt(np.mean(error**2))),
        "r2": digits(1 - np.sum(error**2) / np.sum((delays - np.mean(delays)) ** 2)),
        "meanError": digits(np.mean(error)),
    }


def drift(before, now):
    """Returns distances of a column from February, as Evidently defines them."""
    a, b = (np.asarray(rows.dropna(), dtype=np.float64) for rows in (before, now))
    edges = bins(a, b)
    p, q = (np.histogram(rows, edges)[0] / len(rows) for rows in (a, b))
    value = wasserstein_distance(a, b) / max(a.std(), 0.001)
    return {
        "drifted": None if len(b) < SIZE_MIN else bool(value >= THRESHOLD),
        "wasserstein": digits(value),
        "jensenShannon": digits(jensenshannon(p, q)),
        "psi": digits(np.sum((filled(p) - filled(q)) * np.log(filled(p) / filled(q)))),
        "ks": digits(ks_2samp(a, b).statistic),
    }


def bins(a, b):
    """Returns Evidently's edges: one bin a value up to twenty of them, else Sturges."""
    both = np.concatenate([a, b])
    if len(np.unique(a)) > 20:
        return np.histogram_bin_edges(both, bins="sturges")
    return np.append(np.unique(both), np.inf)


def filled(shares):
    """Returns shares without zeros, as Evidently fills them."""
    least = shares[shares > 0].min()
    return np.where(shares == 0, 0.0001 if least > 0.0001 else least / 1e6, shares)


def digits(value):
    """Returns twelve of a number's digits: more than a sum in another order changes."""
    return float(f"{value:.12g}")


def show(window):
    """Prints one line."""
    found = [column for column, values in window["drift"].items() if values["drifted"]]
    print(window["version"], window["start"], window["rows"], len(found), " ".join(found))
    print("   ", {name: round(value, 3) for name, value in window["performance"].items()})


if __name__ == "__main__":
    main()
