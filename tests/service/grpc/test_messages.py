"""The messages are Triton's, number for number, and live beside its client's in one process."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2

from joulebox.grpc import messages

SOURCES = Path(str(files("joulebox.grpc")))
Found = dict[str, tuple[Any, ...]]


def fields(scope: str, message: Any) -> Found:
    """Number, type, label and oneof of each field, by the message's and the field's name."""
    found: Found = {}
    for field in message.field:
        oneof = field.oneof_index if field.HasField("oneof_index") else None
        found[f"{scope}.{message.name}.{field.name}"] = (field.number, field.type, field.type_name, field.label, oneof)
    for nested in message.nested_type:
        found |= fields(f"{scope}.{message.name}", nested)
    return found


def all_fields(file: Any) -> Found:
    proto = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(proto)
    return {name: field for message in proto.message_type for name, field in fields(proto.package, message).items()}


def test_each_field_has_tritons_number_and_type() -> None:
    service_pb2 = pytest.importorskip("tritonclient.grpc.service_pb2")
    model_config_pb2 = pytest.importorskip("tritonclient.grpc.model_config_pb2")
    tritons = all_fields(service_pb2.DESCRIPTOR) | all_fields(model_config_pb2.DESCRIPTOR)
    ours = all_fields(messages.POOL.FindFileByName("inference.proto"))
    assert len(ours) > 100
    assert {name: tritons.get(name) for name in ours} == ours


def test_each_enum_has_tritons_values() -> None:
    model_config_pb2 = pytest.importorskip("tritonclient.grpc.model_config_pb2")
    for enum in messages.POOL.FindFileByName("inference.proto").enum_types_by_name.values():
        theirs = model_config_pb2.DESCRIPTOR.enum_types_by_name[enum.name]
        assert {value.name: value.number for value in enum.values} == {v.name: v.number for v in theirs.values}


def test_each_method_has_tritons_messages() -> None:
    service_pb2 = pytest.importorskip("tritonclient.grpc.service_pb2")
    tritons = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    ours = messages.POOL.FindServiceByName(messages.INFERENCE_SERVICE).methods
    for method in ours:
        theirs = tritons[method.name]
        assert method.input_type.full_name == theirs.input_type.full_name
        assert method.output_type.full_name == theirs.output_type.full_name
    undone = set(tritons) - {method.name for method in ours}
    assert undone == {f"CudaSharedMemory{each}" for each in ("Status", "Register", "Unregister")} | {
        "TraceSetting",
        "LogSettings",
    }


def test_health_is_the_standard_one() -> None:
    health_pb2 = pytest.importorskip("grpc_health.v1.health_pb2")
    ours, theirs = all_fields(messages.POOL.FindFileByName("health.proto")), all_fields(health_pb2.DESCRIPTOR)
    assert {name: theirs.get(name) for name in ours} == ours
    for status in ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"):
        assert getattr(messages.HealthCheckResponse, status) == getattr(health_pb2.HealthCheckResponse, status)


def test_tritonclient_reads_what_we_write() -> None:
    service_pb2 = pytest.importorskip("tritonclient.grpc.service_pb2")
    request = messages.ModelInferRequest(model_name="tiny", id="7", raw_input_contents=[b"\0\1"])
    request.inputs.add(name="image", datatype="FP32", shape=[1, 4])
    request.parameters["timeout"].int64_param = 5
    theirs = service_pb2.ModelInferRequest.FromString(request.SerializeToString())
    assert str(theirs) == str(request)
    assert messages.ModelInferRequest.FromString(theirs.SerializeToString()) == request


@pytest.mark.parametrize("first", ["joulebox.grpc.messages", "tritonclient.grpc"])
def test_both_sets_of_messages_live_in_one_process_whichever_comes_first(first: str) -> None:
    pytest.importorskip("tritonclient.grpc")
    program = f"import {first}, tritonclient.grpc, joulebox.grpc.messages as m; m.ModelInferRequest()"
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


@pytest.mark.skipif(importlib.util.find_spec("grpc_tools") is None, reason="grpcio-tools is not installed")
def test_the_descriptors_are_what_the_proto_files_compile_to(tmp_path: Path) -> None:
    made = tmp_path / "made.binpb"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{SOURCES}", f"--descriptor_set_out={made}"]
    subprocess.run([*command, "inference.proto", "health.proto"], check=True)
    read = descriptor_pb2.FileDescriptorSet.FromString
    assert read(made.read_bytes()) == read((SOURCES / messages.DESCRIPTORS).read_bytes())
