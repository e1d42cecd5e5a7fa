"""Makes the Parquet files that the tests of baselines read.

    python -m venv v && v/bin/pip install pyarrow==26.0.1 duckdb==2.0.0 && v/bin/python make-fixtures.py

The rows follow from their number, as in rows.ts beside this file, so that the tests know them.
"""

import datetime
import decimal
import pathlib

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 300
HERE = pathlib.Path(__file__).parent
EPOCH = datetime.datetime(1970, 1, 1)
CITIES = ["Atlanta", "Boston", "Zürich", "東京"]


def amount(i):
    if i % 50 == 7:
        return None
    if i % 60 == 11:
        return float("nan")
    if i % 100 == 13:
        return float("-inf")
    return i * 0.25 - 20


columns = {
    "amount": pa.array([amount(i) for i in range(ROWS)], pa.float64()),
    "ratio": pa.array([(i % 10) / 10 for i in range(ROWS)], pa.float32()),
    "whole": pa.array([i * 10_000_000_000 for i in range(ROWS)], pa.int64()),
    "small": pa.array([None if i % 9 == 4 else i % 24 for i in range(ROWS)], pa.int32()),
    "flag": pa.array([None if i % 7 == 3 else i % 3 == 0 for i in range(ROWS)], pa.bool_()),
    "city": pa.array([None if i % 8 == 5 else CITIES[i % 4] for i in range(ROWS)], pa.string()),
    "price": pa.array([decimal.Decimal(i % 100) / 100 for i in range(ROWS)], pa.decimal128(10, 2)),
    "at": pa.array([EPOCH + datetime.timedelta(minutes=i) for i in range(ROWS)], pa.timestamp("us")),
    "tags": pa.array([["a"] * (i % 3) for i in range(ROWS)], pa.list_(pa.string())),
    "prediction.label": pa.array([["no", "yes"][i % 2] for i in range(ROWS)], pa.string()),
}
rows = pa.table(columns)
pq.write_table(rows, HERE / "pyarrow-snappy.parquet", compression="snappy", row_group_size=120)
pq.write_table(
    rows,
    HERE / "pyarrow-v2-gzip.parquet",
    compression="gzip",
    row_group_size=200,
    data_page_version="2.0",
    use_dictionary=["city"],
    column_encoding={"whole": "DELTA_BINARY_PACKED", "amount": "BYTE_STREAM_SPLIT"},
)
pq.write_table(rows, HERE / "pyarrow-lz4.parquet", compression="lz4")
duckdb.sql(f"COPY (SELECT * FROM rows) TO '{HERE}/duckdb-zstd.parquet' (FORMAT parquet, COMPRESSION zstd)")
