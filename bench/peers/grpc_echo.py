"""The limit for a Python gRPC server: a bare `grpc.aio` one that sends each request's bytes back, unread.

Run as `python grpc_echo.py PORT`.
"""

import asyncio
import sys

import grpc


async def echo(request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
    return request


async def main(port: int) -> None:
    server = grpc.aio.server()
    handlers = {"ModelInfer": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


asyncio.run(main(int(sys.argv[1])))
