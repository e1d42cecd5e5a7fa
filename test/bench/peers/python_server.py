"""What a team would otherwise write: grpcio.aio and onnxruntime behind the same protocol.

One process, one event loop. A run goes to a pool of threads (onnxruntime releases the interpreter
lock while it runs), so that the loop goes on; tensors are views of the request's bytes, and
answers are raw. There is no batching. The messages of a stream are answered in order, with up to
a window of them under way.
"""

import argparse
import asyncio
import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import onnxruntime as ort
from inference import grpc_service_pb2 as pb
from inference import grpc_service_pb2_grpc as rpc

DTYPES = {"FP32": np.float32, "FP64": np.float64, "INT64": np.int64, "INT32": np.int32}
DATATYPES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
MESSAGE_MAX = 64 << 20
STREAM_WINDOW = 32


class Refused(Exception):
    """A request that cannot be answered, with its status code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Model:
    """One session and the threads that run it."""

    def __init__(self, name, path, instances, intra_op):
        options = ort.SessionOptions()
        options.intra_op_num_threads = intra_op
        options.inter_op_num_threads = 1
        self.name = name
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.inputs = {i.name for i in self.session.get_inputs()}
        self.outputs = [o.name for o in self.session.get_outputs()]
        self.pool = ThreadPoolExecutor(max_workers=instances, thread_name_prefix=name)

    def run(self, feeds):
        return self.session.run(self.outputs, feeds)


def decode(model, request):
    if len(request.raw_input_contents) != len(request.inputs):
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "expected raw contents for each input")
    feeds = {}
    for tensor, raw in zip(request.inputs, request.raw_input_contents):
        dtype = DTYPES.get(tensor.datatype)
        if tensor.name not in model.inputs or dtype is None:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"unexpected input {tensor.name!r}")
        try:
            feeds[tensor.name] = np.frombuffer(raw, dtype).reshape(tensor.shape)
        except ValueError as error:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from error
    return feeds


def encode(model, request, results):
    response = pb.ModelInferResponse(model_name=model.name, model_version="1", id=request.id)
    for name, array in zip(model.outputs, results):
        response.outputs.add(name=name, datatype=DATATYPES[array.dtype], shape=array.shape)
        response.raw_output_contents.append(array.tobytes())
    return response


class Service(rpc.GRPCInferenceServiceServicer):
    def __init__(self, models, inline):
        self.models = models
        self.inline = inline

    async def infer(self, request):
        model = self.models.get(request.model_name)
        if model is None:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"no model {request.model_name!r}")
        feeds = decode(model, request)
        if self.inline:
            return encode(model, request, model.run(feeds))
        loop = asyncio.get_running_loop()
        return encode(model, request, await loop.run_in_executor(model.pool, model.run, feeds))

    async def answer(self, request):
        try:
            return pb.ModelStreamInferResponse(infer_response=await self.infer(request))
        except Refused as error:
            return pb.ModelStreamInferResponse(
                error_message=str(error),
                infer_response=pb.ModelInferResponse(id=request.id),
            )

    async def ModelInfer(self, request, context):
        try:
            return await self.infer(request)
        except Refused as error:
            await context.abort(error.code, str(error))

    async def ModelStreamInfer(self, request_iterator, context):
        if self.inline:
            async for request in request_iterator:
                yield await self.answer(request)
            return
        tasks = asyncio.Queue(STREAM_WINDOW)

        async def read():
            async for request in request_iterator:
                await tasks.put(asyncio.create_task(self.answer(request)))
            await tasks.put(None)

        reader = asyncio.create_task(read())
        try:
            while (task := await tasks.get()) is not None:
                yield await task
        finally:
            reader.cancel()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", action="append", default=[], help="name=path:instances:intra_op")
    parser.add_argument("--inline", action="store_true", help="run on the event loop, no pool")
    args = parser.parse_args()
    models = {}
    for text in args.model:
        name, rest = text.split("=", 1)
        path, instances, intra_op = rest.rsplit(":", 2)
        models[name] = Model(name, path, int(instances), int(intra_op))
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", MESSAGE_MAX),
            ("grpc.max_send_message_length", MESSAGE_MAX),
        ]
    )
    rpc.add_GRPCInferenceServiceServicer_to_server(Service(models, args.inline), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    versions = f"Python {sys.version.split()[0]}, grpcio {grpc.__version__}, "
    versions += f"onnxruntime {ort.__version__}, numpy {np.__version__}"
    print(json.dumps({"address": f"127.0.0.1:{port}", "versions": versions}), flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(1)


asyncio.run(main())
