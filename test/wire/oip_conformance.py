"""Stock Triton clients against a running Plinth: one line a check, exit status 1 when any failed.

The server must have the example deployments breast-cancer, digits and flights. The checks use the
held-out rows of the examples and the outputs that the training library gave for them.

    python oip_conformance.py --grpc 127.0.0.1:50051 --http 127.0.0.1:8080
"""

import argparse
import asyncio
import json
import sys
import traceback
from pathlib import Path

import numpy as np
import tritonclient.grpc as grpc_client
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http as http_client
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

HELD_OUT = {
    "breast-cancer": "breast-cancer/logistic.heldout.json",
    "digits": "digits/mlp.heldout.json",
    "flights": "flights/delay.heldout.json",
}

DTYPES = {"FP32": np.float32, "FP64": np.float64, "INT64": np.int64, "BYTES": np.object_}

STREAM_REQUESTS = 1000
BAD_REQUEST = 500


class HeldOut:
    """Inputs of one example and what the training library made of them."""

    def __init__(self, model):
        data = json.loads((EXAMPLES / HELD_OUT[model]).read_text())
        self.model = model
        self.tolerance = data["tolerance"]
        self.absolute_tolerance = data["absoluteTolerance"]
        self.inputs = {name: as_array(tensor) for name, tensor in data["inputs"].items()}
        self.outputs = {name: as_array(tensor) for name, tensor in data["outputs"].items()}

    def rows(self, first, count):
        return {name: array[first : first + count] for name, array in self.inputs.items()}

    def check(self, result, first, count):
        for name, expected in self.outputs.items():
            got = result.as_numpy(name)
            assert got is not None, f"output {name} is missing"
            wanted = expected[first : first + count]
            assert got.shape == wanted.shape, f"{name}: {got.shape} is not {wanted.shape}"
            np.testing.assert_allclose(
                got.astype(np.float64),
                wanted.astype(np.float64),
                rtol=self.tolerance,
                atol=self.absolute_tolerance,
                err_msg=name,
            )


def as_array(tensor):
    values = tensor["data"]
    if tensor["datatype"] == "BYTES":
        values = [text.encode() for text in values]
    return np.array(values, dtype=DTYPES[tensor["datatype"]]).reshape(tensor["shape"])


def inputs_of(module, arrays):
    inputs = []
    for name, array in arrays.items():
        tensor = module.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    return inputs


def refused(code, call):
    """The error of a call that must fail; `code` is a part of its status."""
    try:
        call()
    except InferenceServerException as error:
        assert code in str(error.status()), f"status {error.status()} is not {code}: {error}"
        return error
    raise AssertionError(f"was not refused with {code}")


def grpc_checks(client):
    def health():
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("breast-cancer")
        refused("NOT_FOUND", lambda: client.is_model_ready("nobody"))

    def server_metadata():
        metadata = client.get_server_metadata(as_json=True)
        assert metadata["name"] == "plinth" and metadata["version"], metadata
        assert "statistics" in metadata["extensions"], metadata

    def model_metadata():
        metadata = client.get_model_metadata("flights", as_json=True)
        assert metadata["platform"] == "onnxruntime_onnx", metadata
        names = [tensor["name"] for tensor in metadata["inputs"]]
        assert names == list(HeldOut("flights").inputs), names
        assert metadata["inputs"][0]["shape"] == ["-1", "1"], metadata

    def model_config():
        config = client.get_model_config("digits", as_json=True)["config"]
        assert config["backend"] == "onnxruntime", config
        assert config["max_batch_size"] > 0, config
        assert config["input"][0]["dims"] == ["64"], config
        assert config["input"][0]["data_type"] == "TYPE_FP32", config

    def repository_index():
        index = client.get_model_repository_index(as_json=True)["models"]
        ready = {model["name"] for model in index if model["state"] == "READY"}
        assert set(HELD_OUT) <= ready, index

    def statistics():
        def successes():
            stats = client.get_inference_statistics("digits", as_json=True)["model_stats"]
            return int(stats[0]["inference_stats"]["success"].get("count", 0))

        before = successes()
        client.infer("digits", inputs_of(grpc_client, HeldOut("digits").rows(0, 2)))
        assert successes() == before + 1

    def repository_is_the_registrys():
        refused("FAILED_PRECONDITION", lambda: client.load_model("digits"))
        refused("FAILED_PRECONDITION", lambda: client.unload_model("digits"))

    def infer():
        for model in HELD_OUT:
            held_out = HeldOut(model)
            result = client.infer(model, inputs_of(grpc_client, held_out.rows(0, 32)))
            held_out.check(result, 0, 32)

    def infer_with_id_and_requested_output():
        held_out = HeldOut("breast-cancer")
        result = client.infer(
            "breast-cancer",
            inputs_of(grpc_client, held_out.rows(3, 1)),
            outputs=[grpc_client.InferRequestedOutput("probabilities")],
            request_id="mine",
            priority=1,
            timeout=5_000_000,
        )
        response = result.get_response()
        assert response.id == "mine" and response.model_name == "breast-cancer", response
        assert [output.name for output in response.outputs] == ["probabilities"], response
        assert result.as_numpy("label") is None

    def classification():
        output = grpc_client.InferRequestedOutput("probabilities", class_count=2)
        rows = HeldOut("breast-cancer").rows(0, 1)
        result = client.infer("breast-cancer", inputs_of(grpc_client, rows), outputs=[output])
        best, second = (text.decode() for text in result.as_numpy("probabilities")[0])
        assert float(best.split(":")[0]) >= float(second.split(":")[0]), (best, second)

    def bad_requests():
        good = HeldOut("breast-cancer").rows(0, 1)["features"]

        def infer_with(array, name="features", model="breast-cancer", **options):
            return lambda: client.infer(model, inputs_of(grpc_client, {name: array}), **options)

        error = refused("INVALID_ARGUMENT", infer_with(good[:, :29]))
        assert "does not fit [-1,30]" in error.message(), error
        refused("INVALID_ARGUMENT", infer_with(good.astype(np.float64)))
        refused("INVALID_ARGUMENT", infer_with(good, name="x"))
        refused("INVALID_ARGUMENT", infer_with(good, sequence_id=7))
        refused("INVALID_ARGUMENT", infer_with(good, model_version="first"))
        refused("NOT_FOUND", infer_with(good, model="nobody"))
        refused("NOT_FOUND", infer_with(good, model_version="999"))

    def not_offered():
        refused("UNIMPLEMENTED", client.get_system_shared_memory_status)
        refused("UNIMPLEMENTED", client.get_trace_settings)

    return [
        health,
        server_metadata,
        model_metadata,
        model_config,
        repository_index,
        statistics,
        repository_is_the_registrys,
        infer,
        infer_with_id_and_requested_output,
        classification,
        bad_requests,
        not_offered,
    ]


def stream_checks(address):
    def request(held_out, index):
        model = "nobody" if index == BAD_REQUEST else held_out.model
        inputs = inputs_of(grpc_client, held_out.rows(index % 32, 1))
        return {"model_name": model, "inputs": inputs, "request_id": str(index)}

    def async_stream_infer():
        """The callback API: every answer in order, the bad request an error among them."""
        held_out = HeldOut("breast-cancer")
        answers = []
        with grpc_client.InferenceServerClient(address) as client:
            client.start_stream(lambda result, error: answers.append((result, error)))
            for index in range(STREAM_REQUESTS):
                client.async_stream_infer(**request(held_out, index))
            client.stop_stream()
        assert len(answers) == STREAM_REQUESTS, f"{len(answers)} answers"
        for index, (result, error) in enumerate(answers):
            if index == BAD_REQUEST:
                assert error is not None and "nobody" in error.message(), error
            else:
                assert error is None, error
                assert result.get_response().id == str(index), (index, result.get_response().id)
                held_out.check(result, index % 32, 1)

    def aio_stream_infer():
        """The asyncio API, and the id and code that come with an error."""
        held_out = HeldOut("digits")

        async def requests():
            for index in range(STREAM_REQUESTS):
                yield request(held_out, index)

        async def run():
            count = 0
            async with grpc_aio.InferenceServerClient(address) as client:
                async for result, error in client.stream_infer(requests()):
                    assert (error is not None) == (count == BAD_REQUEST), (count, error)
                    if error is None:
                        assert result.get_response().id == str(count)
                    count += 1
            assert count == STREAM_REQUESTS, f"{count} answers"

        asyncio.run(run())

    def raw_stream_error():
        """The error answer itself: id, code and reason."""
        import grpc
        from tritonclient.grpc import service_pb2, service_pb2_grpc

        with grpc.insecure_channel(address) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            bad = service_pb2.ModelInferRequest(model_name="nobody", id="7")
            (answer,) = stub.ModelStreamInfer(iter([bad]))
            parameters = answer.infer_response.parameters
            assert answer.error_message, answer
            assert answer.infer_response.id == "7", answer
            assert parameters["grpc_code"].int64_param == 5, answer
            assert parameters["reason"].string_param == "RESOURCE_NOT_FOUND", answer

    def undecodable_message():
        """Bytes that are no message: an error answer in a stream, a status in a unary call."""
        import grpc
        from tritonclient.grpc import service_pb2

        path = "/inference.GRPCInferenceService/"
        # id "7", then a field that is longer than the message.
        damaged = b"\x1a\x017\x0a\x09x"
        good = service_pb2.ModelInferRequest(model_name="nobody", id="8").SerializeToString()
        with grpc.insecure_channel(address) as channel:
            stream = channel.stream_stream(
                path + "ModelStreamInfer",
                request_serializer=bytes,
                response_deserializer=service_pb2.ModelStreamInferResponse.FromString,
            )
            first, second = stream(iter([damaged, good]))
            assert first.infer_response.id == "7", first
            assert first.infer_response.parameters["grpc_code"].int64_param == 3, first
            assert second.infer_response.id == "8", second
            unary = channel.unary_unary(path + "ModelInfer", request_serializer=bytes)
            try:
                unary(damaged)
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
                return
            raise AssertionError("the damaged message was answered")

    def stream_that_ends_at_the_first_error():
        import grpc
        from tritonclient.grpc import service_pb2, service_pb2_grpc

        with grpc.insecure_channel(address) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            bad = service_pb2.ModelInferRequest(model_name="nobody")
            call = stub.ModelStreamInfer(iter([bad]), metadata=[("triton_grpc_error", "true")])
            try:
                list(call)
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.NOT_FOUND, error
                return
            raise AssertionError("the stream went on")

    def typed_contents():
        """Typed in, typed out; tritonclient itself sends and reads raw contents only."""
        import grpc
        from tritonclient.grpc import service_pb2, service_pb2_grpc

        held_out = HeldOut("breast-cancer")
        with grpc.insecure_channel(address) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            message = service_pb2.ModelInferRequest(model_name="breast-cancer")
            tensor = message.inputs.add(name="features", datatype="FP32", shape=[1, 30])
            tensor.contents.fp32_contents.extend(held_out.rows(0, 1)["features"][0].tolist())
            response = stub.ModelInfer(message)
            assert not response.raw_output_contents, response
            label, probabilities = response.outputs
            assert list(label.contents.int64_contents) == [held_out.outputs["label"][0]], response
            np.testing.assert_allclose(
                list(probabilities.contents.fp32_contents),
                held_out.outputs["probabilities"][0],
                rtol=held_out.tolerance,
                atol=held_out.absolute_tolerance,
            )

    return [
        async_stream_infer,
        aio_stream_infer,
        raw_stream_error,
        undecodable_message,
        stream_that_ends_at_the_first_error,
        typed_contents,
    ]


def http_checks(client):
    def http_health():
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("digits")

    def http_metadata():
        assert client.get_server_metadata()["name"] == "plinth"
        assert client.get_model_metadata("digits")["inputs"][0]["shape"] == [-1, 64]
        assert client.get_model_config("digits")["max_batch_size"] > 0
        assert client.get_inference_statistics("digits")["model_stats"]
        index = client.get_model_repository_index()
        assert set(HELD_OUT) <= {model["name"] for model in index}, index

    def http_infer(binary):
        for model in HELD_OUT:
            held_out = HeldOut(model)
            inputs = []
            for name, array in held_out.rows(0, 32).items():
                datatype = np_to_triton_dtype(array.dtype)
                tensor = http_client.InferInput(name, list(array.shape), datatype)
                tensor.set_data_from_numpy(array, binary_data=binary)
                inputs.append(tensor)
            outputs = [
                http_client.InferRequestedOutput(name, binary_data=binary)
                for name in held_out.outputs
            ]
            held_out.check(client.infer(model, inputs, outputs=outputs), 0, 32)

    def http_infer_binary():
        http_infer(binary=True)

    def http_infer_json():
        http_infer(binary=False)

    def http_bad_requests():
        good = HeldOut("breast-cancer").rows(0, 1)["features"]

        def infer_with(array, model="breast-cancer"):
            return lambda: client.infer(model, inputs_of(http_client, {"features": array}))

        refused("400", infer_with(good[:, :29]))
        refused("404", infer_with(good, model="nobody"))

    return [http_health, http_metadata, http_infer_binary, http_infer_json, http_bad_requests]


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
    parser.add_argument("--grpc", help="host:port of the gRPC server")
    parser.add_argument("--http", help="host:port of the gateway")
    options = parser.parse_args()
    if options.grpc is None and options.http is None:
        parser.error("give --grpc, --http or both")
    failed = 0
    if options.grpc is not None:
        with grpc_client.InferenceServerClient(options.grpc) as client:
            failed += run(grpc_checks(client))
        failed += run(stream_checks(options.grpc))
    if options.http is not None:
        with http_client.InferenceServerClient(options.http) as client:
            failed += run(http_checks(client))
    print(f"{failed} failed" if failed else "all passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
