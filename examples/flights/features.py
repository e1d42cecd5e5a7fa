"""Makes the history that the example's feature views hold, and the flights to train on.

Everything comes from the three million flights of the npm package vega-datasets, by features.sql.
The full history and the entity table go into the folder `work`, which is not committed; the newest
row of every airport and route is committed, for that is what a fresh start serves.
"""

from pathlib import Path

import duckdb

FOLDER = Path(__file__).resolve().parent
WORK = FOLDER / "work"
DATA = FOLDER / "../../node_modules/vega-datasets/data"

# Every twelfth flight from February on: the windows of January are not full yet.
TRAIN_STRIDE = 12
TRAIN_START = "2001-02-01"

VIEWS = {"airport_delays": "airport", "route_delays": "origin, destination"}


def main():
    """Runs features.sql and writes its tables."""
    WORK.mkdir(exist_ok=True)
    connection = duckdb.connect()
    connection.execute(f"CREATE VIEW flights AS FROM read_parquet('{DATA}/flights-3m.parquet')")
    connection.execute(f"CREATE VIEW airports AS FROM read_csv('{DATA}/airports.csv')")
    connection.execute((FOLDER / "features.sql").read_text(encoding="utf-8"))
    for view, keys in VIEWS.items():
        save(connection, view, WORK / f"{view}.parquet")
        newest = (
            f"SELECT * FROM {view} QUALIFY row_number() OVER "
            f"(PARTITION BY {keys} ORDER BY event_timestamp DESC) = 1 ORDER BY {keys}"
        )
        save(connection, f"({newest})", FOLDER / f"{view}.latest.parquet")
    # The question is asked at departure: `event_timestamp` is when, and `departure` is what the
    # clock at the gate says then, from which the hour of the day comes.
    sample = (
        "SELECT origin, destination, departure, departed_at AS event_timestamp, delay FROM "
        "(SELECT *, row_number() OVER (ORDER BY departure, origin, destination, delay) AS number "
        f"FROM landed WHERE departure >= '{TRAIN_START}' AND delay BETWEEN -120 AND 600) "
        f"WHERE number % {TRAIN_STRIDE} = 0 ORDER BY number"
    )
    save(connection, f"({sample})", WORK / "flights.parquet")


def save(connection, query, path):
    """Writes a table as Parquet and says how large it is."""
    connection.execute(f"COPY (FROM {query}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
    rows = connection.sql(f"SELECT count(*) FROM read_parquet('{path}')").fetchall()[0][0]
    print(f"{path.name}: {rows} rows, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
