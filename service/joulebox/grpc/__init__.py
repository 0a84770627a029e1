"""Open Inference Protocol v2 over gRPC, and the standard health service. Inside, `import grpc` is the library."""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # or its core writes a line for each client that breaks off
