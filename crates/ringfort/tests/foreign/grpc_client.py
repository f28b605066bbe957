"""Uses every kind of call of the streaming gRPC service. Argument: the port. Prints `ok` at the end."""
import queue
import sys

import grpc

import streaming

messages, services = streaming.load()
channel = grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}")
sums = services.SumsStub(channel)
LIMIT = 20

# One message each way, with metadata in front and behind.
large = b"p" * 200_000
answer, call = sums.Twice.with_call(
    messages.Number(value=21, padding=large), timeout=LIMIT, wait_for_ready=True, metadata=(("word", "fort"),)
)
assert (answer.value, answer.padding) == (42, large)
assert ("seen-word", "fort") in [tuple(item) for item in call.initial_metadata()], call.initial_metadata()
assert ("kind", "unary") in [tuple(item) for item in call.trailing_metadata()], call.trailing_metadata()

# An error with its text and its metadata.
try:
    sums.Twice(messages.Number(value=-1), timeout=LIMIT)
    sys.exit("a negative number was accepted")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.OUT_OF_RANGE, error
    assert error.details() == "no negative numbers, please: \u00e9", error.details()
    trailers = {item[0]: item[1] for item in error.trailing_metadata()}
    assert trailers["reason"] == "negative" and trailers["detail-bin"] == b"\x00\xff", trailers

# Many messages back, many there.
values = [number.value for number in sums.CountTo(messages.Number(value=2000), timeout=LIMIT)]
assert values == list(range(1, 2001))
total = sums.SumOf((messages.Number(value=value) for value in range(2000)), timeout=LIMIT)
assert total.value == sum(range(2000))

# Both ways in turn: each answer is read before the next question is sent, so nothing may be held back.
questions = queue.Queue()
answers = sums.RunningSum(iter(questions.get, None), timeout=LIMIT)
expected = 0
for value in range(1, 51):
    questions.put(messages.Number(value=value))
    expected += value
    assert next(answers).value == expected
questions.put(None)
assert list(answers) == []

# A stream the client gives up ends, and the connection goes on.
endless = sums.CountTo(messages.Number(value=10**9), timeout=LIMIT)
assert next(endless).value == 1
endless.cancel()
assert sums.Twice(messages.Number(value=1), timeout=LIMIT).value == 2
print("ok")
