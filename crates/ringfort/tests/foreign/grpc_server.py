"""A streaming gRPC service by grpcio. Argument: the port."""
import sys
from concurrent import futures

import grpc

import streaming

messages, services = streaming.load()


class Sums(services.SumsServicer):
    def Twice(self, request, context):
        metadata = dict(context.invocation_metadata())
        if request.value < 0:
            context.set_trailing_metadata((("reason", "negative"), ("detail-bin", b"\x00\xff")))
            context.abort(grpc.StatusCode.OUT_OF_RANGE, "no negative numbers, please: \u00e9")
        context.send_initial_metadata((("seen-word", metadata.get("word", "")),))
        context.set_trailing_metadata((("kind", "unary"),))
        return messages.Number(value=2 * request.value, padding=request.padding)

    def CountTo(self, request, context):
        for value in range(1, request.value + 1):
            yield messages.Number(value=value, padding=b"x" * 1000)

    def SumOf(self, requests, context):
        return messages.Number(value=sum(request.value for request in requests))

    def RunningSum(self, requests, context):
        total = 0
        for request in requests:
            total += request.value
            yield messages.Number(value=total)


server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
services.add_SumsServicer_to_server(Sums(), server)
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
print("gRPC service serves", flush=True)
server.wait_for_termination()
