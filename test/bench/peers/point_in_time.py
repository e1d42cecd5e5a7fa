"""What a data scientist would otherwise write: the point-in-time join in pandas.

For each row of the entity table and each view: of the view's rows of the same key with an event
time and a creation time at or before the row's time, the one with the newest event (of those, the
newest creation); nothing where that one is older than the ttl. A row is known from max(event,
creation) on, and only the rows that were the newest of their key when they became known can be
taken: what a running maximum leaves is what `merge_asof` needs.

All files are read and written with pyarrow. `--keys strings` joins by the keys as
they are, which is how it is written. `--keys codes` joins by dictionary codes made with pyarrow,
drops rows of other keys while reading and sorts with numpy, which is about as fast as pandas goes.
Prints one line of JSON.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

TIME = pa.timestamp("us")
EVENT = "event_timestamp"
CREATED = "created_timestamp"
KEY = "key"


def naive(table, columns):
    """The table with its times, which are all in UTC, without a time zone."""
    for name in columns:
        at = table.column_names.index(name)
        table = table.set_column(at, name, table.column(name).cast(TIME))
    return table


def read_view(folder):
    """The rows of a view, which are all columns of all files of a folder."""
    table = pa.concat_tables([pq.read_table(path) for path in sorted(folder.glob("*.parquet"))])
    return naive(table, [EVENT, CREATED])


def known_by_strings(rows):
    """The rows that were the newest of their key when they became known, in the order of that."""
    rows = rows.sort_values([EVENT, CREATED])
    rows["__rank"] = np.arange(len(rows))
    rows["__known"] = np.maximum(rows[EVENT], rows[CREATED])
    rows = rows.sort_values(["__known", "__rank"])
    return rows[rows["__rank"] == rows.groupby(KEY, sort=False)["__rank"].cummax()]


def known_by_codes(rows):
    """As known_by_strings, sorting numbers with numpy."""
    event = rows[EVENT].to_numpy().view("i8")
    created = rows[CREATED].to_numpy().view("i8")
    known = np.maximum(event, created)
    rank = np.empty(len(rows), dtype=np.int64)
    rank[np.lexsort((created, event))] = np.arange(len(rows))
    rows = rows.assign(__known=known.view("M8[us]"), __rank=rank)
    rows = rows.iloc[np.lexsort((rank, known))]
    newest = rows.groupby(KEY, sort=False)["__rank"].cummax()
    return rows[rows["__rank"].to_numpy() == newest.to_numpy()]


def join_view(keys, times, folder, *, ttl, by_codes):
    """The features of one view for every row, in the order of the rows."""
    table = read_view(folder)
    features = [name for name in table.column_names if name not in (KEY, EVENT, CREATED)]
    if by_codes:
        dictionary = pc.unique(keys)
        keys = pc.index_in(keys, value_set=dictionary)
        codes = pc.index_in(table.column(KEY), value_set=dictionary)
        table = table.drop_columns([KEY]).append_column(KEY, codes).filter(pc.is_valid(codes))
    known = (known_by_codes if by_codes else known_by_strings)(table.to_pandas())
    left = pd.DataFrame({KEY: keys.to_pandas(), "__time": times, "__row": np.arange(len(times))})
    left = left.sort_values("__time", kind="stable")
    joined = pd.merge_asof(left, known, left_on="__time", right_on="__known", by=KEY)
    if ttl > pd.Timedelta(0):
        joined.loc[joined["__time"] - joined[EVENT] > ttl, features] = None
    back = np.empty(len(joined), dtype=np.int64)
    back[joined["__row"].to_numpy()] = np.arange(len(joined))
    return {name: joined[name].to_numpy()[back] for name in features}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", required=True, help="Parquet: key, event_timestamp")
    parser.add_argument("--out", required=True)
    parser.add_argument("--ttl-days", type=float, default=0, help="0: rows are good forever")
    parser.add_argument("--keys", choices=["strings", "codes"], default="strings")
    parser.add_argument("views", nargs="+", type=Path, help="folders of Parquet files")
    args = parser.parse_args()

    start = time.perf_counter()
    table = pq.read_table(args.entities)
    keys = table.column(KEY)
    times = naive(table, [EVENT]).column(EVENT).to_numpy()
    options = {"ttl": pd.Timedelta(days=args.ttl_days), "by_codes": args.keys == "codes"}
    features = {}
    for folder in args.views:
        features |= join_view(keys, times, folder, **options)
    joined = time.perf_counter()
    for name, values in features.items():
        table = table.append_column(name, pa.array(values, from_pandas=True))
    pq.write_table(table, args.out, compression="snappy")
    figures = {
        "rows": table.num_rows,
        "joinSeconds": round(joined - start, 3),
        "seconds": round(time.perf_counter() - start, 3),
        "residentMb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
