"""Compiles streaming.proto and gives its two modules."""
import importlib
import os
import sys
import tempfile

from grpc_tools import protoc


def load():
    here = os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory() as folder:
        arguments = [f"-I{here}", f"--python_out={folder}", f"--grpc_python_out={folder}", "streaming.proto"]
        if protoc.main(["protoc", *arguments]) != 0:
            sys.exit("streaming.proto does not compile")
        sys.path.insert(0, folder)
        return importlib.import_module("streaming_pb2"), importlib.import_module("streaming_pb2_grpc")
