"""A stock gRPC client for Python against the feature store: one line a check, exit status 1 when any
failed. It has no code of ours: messages and methods are what the server's reflection says.

The checks need a workspace without definitions; they follow a view from its definition to the
erasure of a key, so each needs those before it.

    python features_conformance.py --grpc 127.0.0.1:50051 --workspace drivers
"""

import argparse
import base64
import hashlib
import sys
import traceback

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

PACKAGE = "plinth.features.v1"

ENDED = ("STATE_SUCCEEDED", "STATE_FAILED", "STATE_CANCELLED")
BATCHES = 20
BATCH_ROWS = 50
TIMEOUT_S = 60

ENTITY_TABLE = b"""driver_id,event_timestamp,label
7,2026-01-01T12:00:00Z,1
7,2026-01-02T12:00:00Z,2
8,2025-12-31T12:00:00Z,3
"""


class Service:
    """The methods of one service as functions from JSON objects to messages."""

    def __init__(self, channel, pool, name):
        descriptor = pool.FindServiceByName(f"{PACKAGE}.{name}")
        for method in descriptor.methods:
            setattr(self, method.name, self.method(channel, descriptor, method))

    @staticmethod
    def method(channel, service, method):
        request = message_factory.GetMessageClass(method.input_type)
        kind = {
            (False, False): channel.unary_unary,
            (False, True): channel.unary_stream,
            (True, False): channel.stream_unary,
        }[(method.client_streaming, method.server_streaming)]
        call = kind(
            f"/{service.full_name}/{method.name}",
            request_serializer=request.SerializeToString,
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )

        def send(sent):
            if method.client_streaming:
                sent = (json_format.ParseDict(one, request()) for one in sent)
            else:
                sent = json_format.ParseDict(sent, request())
            return call(sent, timeout=TIMEOUT_S)

        return send


def json_of(message):
    return json_format.MessageToDict(
        message,
        preserving_proto_field_name=True,
        descriptor_pool=message.DESCRIPTOR.file.pool,
    )


def refused(code, call):
    """The error of a call that must fail with the code."""
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, f"{error.code()} is not {code}: {error.details()}"
        return error
    raise AssertionError(f"was not refused with {code}")


def rows(view, first, count, day):
    """Drivers from `first` on: ten trips a number, and a rate that is one higher each day."""
    drivers = range(first, first + count)
    return {
        "feature_view": view,
        "columns": [
            {"name": "driver_id", "ints": list(drivers)},
            {"name": "event_timestamp", "timestamps": [f"2026-01-{day:02}T00:00:00Z"] * count},
            {"name": "created_timestamp", "timestamps": [f"2026-01-{day:02}T00:00:00Z"] * count},
            {"name": "trips", "ints": [10 * driver for driver in drivers]},
            {"name": "rate", "doubles": [driver / 2 + day - 1 for driver in drivers]},
        ],
    }


def feature_checks(parent, registry, store, jobs):
    view = f"{parent}/featureViews/driver_stats"
    definitions = {
        "parent": parent,
        "entities": [{"name": "driver", "join_keys": [field("driver_id", "INT64")]}],
        "feature_views": [
            {
                "name": "driver_stats",
                "entities": ["driver"],
                "features": [field("trips", "INT64"), field("rate", "DOUBLE")],
            }
        ],
        "on_demand_feature_views": [
            {
                "name": "pay",
                "inputs": [field("trips", "INT64"), field("fare", "DOUBLE")],
                "features": [{**field("total", "DOUBLE"), "expression": "double(trips) * fare"}],
            }
        ],
        "feature_services": [
            {
                "name": "driver_pay",
                "projections": [{"feature_view": "driver_stats"}, {"feature_view": "pay"}],
            },
            {"name": "driver_only", "projections": [{"feature_view": "driver_stats"}]},
        ],
    }

    def apply():
        created = registry.ApplyDefinitions({**definitions, "dry_run": True})
        assert len(created.changes) == 5, json_of(created)
        assert not registry.ListFeatureViews({"parent": parent}).feature_views
        registry.ApplyDefinitions(definitions)
        again = json_of(registry.ApplyDefinitions(definitions))
        assert {change["action"] for change in again["changes"]} == {"ACTION_UNCHANGED"}, again
        service = registry.GetFeatureService({"name": f"{parent}/featureServices/driver_pay"})
        assert [column.name for column in service.request_columns] == ["driver_id", "fare"]

    def apply_refuses():
        broken = {"name": "broken", "entities": ["drivr"], "features": [field("x", "INT64")]}
        error = refused(
            grpc.StatusCode.INVALID_ARGUMENT,
            lambda: registry.ApplyDefinitions({"parent": parent, "feature_views": [broken]}),
        )
        assert "driver" in error.details(), error.details()

    def push():
        batch = rows(view, 7, 2, day=1)
        assert store.PushFeatures(batch).rows_written == 2
        assert store.PushFeatures(batch).rows_written == 2
        bad = rows(view, 9, 2, day=1)
        bad["columns"][0]["nulls"] = [1]
        refused(grpc.StatusCode.INVALID_ARGUMENT, lambda: store.PushFeatures(bad))
        kept = store.PushFeatures({**bad, "bad_rows": "BAD_ROWS_SKIP"})
        assert (kept.rows_written, kept.rows_refused) == (1, 1), json_of(kept)
        assert kept.refusals[0].row == 1, json_of(kept)

    def push_stream():
        batches = [rows(view, 100 + BATCH_ROWS * i, BATCH_ROWS, day=1) for i in range(BATCHES)]
        done = store.StreamPushFeatures({"batch": batch} for batch in batches)
        assert (done.batches, done.rows_written) == (BATCHES, BATCHES * BATCH_ROWS), json_of(done)

    def read_online():
        answer = store.GetOnlineFeatures(
            {
                "parent": parent,
                "feature_service": "driver_pay",
                "entities": [
                    {"name": "driver_id", "ints": [8, 1099, 1]},
                    {"name": "fare", "doubles": [0.5, 2, 2]},
                ],
            }
        )
        trips, rate, total = answer.results
        assert list(trips.values.ints) == [80, 10990, 0], json_of(answer)
        assert list(rate.values.doubles) == [4, 549.5, 0], json_of(answer)
        assert list(total.values.doubles) == [40, 21980, 0], json_of(answer)
        found = [json_of(result)["statuses"] for result in (trips, total)]
        assert found == [
            ["FIELD_STATUS_PRESENT", "FIELD_STATUS_PRESENT", "FIELD_STATUS_NOT_FOUND"],
            ["FIELD_STATUS_PRESENT", "FIELD_STATUS_PRESENT", "FIELD_STATUS_NULL_VALUE"],
        ], found

    def read_online_refuses():
        unknown = {"parent": parent, "features": ["driver_stats:trip"], "entities": []}
        error = refused(grpc.StatusCode.NOT_FOUND, lambda: store.GetOnlineFeatures(unknown))
        assert '"trips"' in error.details(), error.details()

    def training_set():
        store.PushFeatures(rows(view, 7, 1, day=2))
        start = {"start": {"parent": parent}}
        table = jobs.UploadTable([start, {"chunk": base64.b64encode(ENTITY_TABLE).decode()}])
        assert (table.rows, len(table.columns)) == (3, 3), json_of(table)
        asked = {
            "parent": parent,
            "training_set": {
                "feature_service": "driver_only",
                "table": table.name,
                "format": "TABLE_FORMAT_CSV",
            },
        }
        job = watched(jobs, jobs.CreateTrainingSet(asked))
        result = job["training_set"]["result"]
        assert result["features"][0]["present"] == "2", result
        chunks = jobs.DownloadTrainingSet({"name": job["name"]})
        content = b"".join(chunk.chunk for chunk in chunks)
        assert hashlib.sha256(content).hexdigest() == result["sha256"]
        header, *lines = content.decode().splitlines()
        assert header == "driver_id,event_timestamp,label,trips,rate", header
        found = [line.split(",")[-2:] for line in lines]
        assert found == [["70", "3.5"], ["70", "4.5"], ["", ""]], lines

    def failed_job():
        start = {"start": {"parent": parent}}
        bad = base64.b64encode(b"driver_id,event_timestamp\n7,yesterday\n").decode()
        table = jobs.UploadTable([start, {"chunk": bad}])
        asked = {"parent": parent, "ingestion": {"feature_view": view, "table": table.name}}
        job = ended(jobs, jobs.IngestFeatures(asked))
        assert job["state"] == "STATE_FAILED", job
        details = {one["@type"].split(".")[-1]: one for one in job["error"]["details"]}
        assert details["ErrorInfo"]["reason"] == "INVALID_FIELD", details
        violations = details["BadRequest"]["field_violations"]
        assert violations[0]["field"] == "rows[0].event_timestamp", violations

    def materialize():
        asked = {"parent": parent, "materialization": {"feature_view": view}}
        result = watched(jobs, jobs.MaterializeFeatures(asked))["materialization"]["result"]
        # Pushed rows are online already.
        assert "keys_written" not in result and int(result["keys_unchanged"]) > 1000, result

    def erase():
        keys = [{"name": "driver_id", "ints": [7]}]
        entity = f"{parent}/entities/driver"
        asked = {"parent": parent, "erasure": {"entity": entity, "keys": keys}}
        result = watched(jobs, jobs.EraseEntity(asked))["erasure"]["result"]
        assert (result["online_keys"], result["views"][0]["rows"]) == ("1", "2"), result
        assert "remaining" not in result, result
        answer = store.GetOnlineFeatures(
            {"parent": parent, "features": ["driver_stats:trips"], "entities": keys}
        )
        assert json_of(answer.results[0])["statuses"] == ["FIELD_STATUS_NOT_FOUND"]

    def list_jobs():
        page = jobs.ListJobs({"parent": parent, "page_size": 2})
        assert len(page.jobs) == 2 and page.next_page_token, json_of(page)
        rest = jobs.ListJobs({"parent": parent, "page_token": page.next_page_token})
        assert len(rest.jobs) == 2 and not rest.next_page_token, json_of(rest)

    return [
        apply,
        apply_refuses,
        push,
        push_stream,
        read_online,
        read_online_refuses,
        training_set,
        failed_job,
        materialize,
        erase,
        list_jobs,
    ]


def field(name, value_type):
    return {"name": name, "value_type": f"VALUE_TYPE_{value_type}"}


def watched(jobs, started):
    """The job after its end; it must have succeeded."""
    job = ended(jobs, started)
    assert job["state"] == "STATE_SUCCEEDED", job
    return job


def ended(jobs, started):
    """The job after its end, as the last message of its watch shows it."""
    states = []
    for change in jobs.WatchJob({"name": started.name}):
        job = json_of(change.job)
        states.append(job["state"])
    assert [state in ENDED for state in states] == [False] * (len(states) - 1) + [True], states
    return job


def run(checks):
    failed = 0
    for check in checks:
        try:
            check()
            print(f"ok    {check.__name__}", flush=True)
        except Exception as error:
            failed += 1
            reason = str(error).strip() or type(error).__name__
            print(f"FAIL  {check.__name__}: {reason}", flush=True)
            traceback.print_exc(file=sys.stderr)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grpc", required=True, help="host:port of the gRPC server")
    parser.add_argument("--workspace", default="default", help="a workspace without definitions")
    options = parser.parse_args()
    parent = f"workspaces/{options.workspace}"
    with grpc.insecure_channel(options.grpc) as channel:
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        names = ("FeatureRegistryService", "FeatureStoreService", "JobService")
        services = [Service(channel, pool, name) for name in names]
        failed = run(feature_checks(parent, *services))
    print(f"{failed} failed" if failed else "all passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
