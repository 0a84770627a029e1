"""What is read of a finished ONNX model, and what is refused with one line."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, external_data_helper, helper

from joulebox_build.errors import BuildError
from joulebox_build.graph import onnxfile
from joulebox_build.graph.onnxfile import OnnxFile, Tensor, read_onnx
from joulebox_build.importing.reference import Reference

NORMAL = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
fuzzing = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)


def product(models: ModuleType, weights: np.ndarray = NORMAL, datatype: str = "FP32", **changes: Any) -> Any:
    """`x` [N, 4] times weights."""
    node = helper.make_node("MatMul", ["x", "weights"], ["y"])
    tensors = [models.tensor("x", datatype, ["N", 4])], [models.tensor("y", datatype, ["N", 4])]
    return models.model([node], *tensors, {"weights": weights}, **changes)


def read(folder: Path, made: onnx.ModelProto) -> OnnxFile:
    path = folder / "made.onnx"
    path.write_bytes(made.SerializeToString())
    return read_onnx(path)


def test_tensors_are_as_the_file_says(onnx_models: ModuleType, tmp_path: Path) -> None:
    file = read_onnx(onnx_models.state(tmp_path))
    assert file.inputs == (
        Tensor("input", "FP32", ("batch", "samples")),
        Tensor("state", "FP32", (2, "batch", 4)),
        Tensor("sr", "INT64", ()),
    )
    assert (file.precision, file.engine_version_min, file.external) == ("fp32", "1.20", {})
    assert file.content == (tmp_path / "state.onnx").read_bytes(), "what needs no change has none"


def test_dimensions_without_a_name_and_tensors_without_a_rank(onnx_models: ModuleType, tmp_path: Path) -> None:
    made = product(onnx_models)
    made.graph.input[0].type.tensor_type.shape.dim[0].ClearField("dim_param")
    made.graph.output[0].type.tensor_type.ClearField("shape")
    file = read(tmp_path, made)
    assert (file.inputs[0].shape, file.outputs[0].shape) == ((None, 4), None)


def test_weights_that_old_models_list_as_inputs_are_none(onnx_models: ModuleType, tmp_path: Path) -> None:
    made = product(onnx_models, ir_version=3, opsets={"": 9})
    made.graph.input.append(onnx_models.tensor("weights", "FP32", [4, 4]))
    assert [tensor.name for tensor in read(tmp_path, made).inputs] == ["x"]


@pytest.mark.parametrize(
    ("dtype", "datatype", "precision"),
    [(np.float64, "FP64", "fp64"), (np.float32, "FP32", "fp32"), (np.float16, "FP16", "fp16")],
)
def test_precision_is_that_of_the_weights(
    onnx_models: ModuleType, tmp_path: Path, dtype: Any, datatype: str, precision: str
) -> None:
    assert read(tmp_path, product(onnx_models, NORMAL.astype(dtype), datatype)).precision == precision


def test_weights_of_two_types_are_mixed(onnx_models: ModuleType, tmp_path: Path) -> None:
    made = product(onnx_models)
    made.graph.initializer.append(onnx.numpy_helper.from_array(NORMAL.astype(np.float16), "halves"))
    made.graph.node.append(helper.make_node("Cast", ["halves"], ["floats"], to=TensorProto.FLOAT))
    assert read(tmp_path, made).precision == "mixed"


def test_a_quantized_model_is_int8(onnx_models: ModuleType, tmp_path: Path) -> None:
    made = product(onnx_models)
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.array(0.5, np.float32), "scale"))
    made.graph.node.insert(0, helper.make_node("QuantizeLinear", ["x", "scale"], ["q"]))
    assert read(tmp_path, made).precision == "int8"


@pytest.mark.parametrize(("opset", "ir_version", "needed"), [(21, 10, "1.20"), (22, 10, "1.21"), (17, 11, "1.23")])
def test_the_least_onnxruntime_follows_from_opset_and_ir_version(
    onnx_models: ModuleType, tmp_path: Path, opset: int, ir_version: int, needed: str
) -> None:
    made = product(onnx_models, opsets={"": opset}, ir_version=ir_version)
    assert read(tmp_path, made).engine_version_min == needed


def test_what_no_onnxruntime_reads_is_refused(onnx_models: ModuleType, tmp_path: Path) -> None:
    made = product(onnx_models, opsets={"": 28}, ir_version=14)
    with pytest.raises(BuildError, match=r"opset 28 and IR version 14; .* export it with an older opset"):
        read(tmp_path, made)


def sequence(models: ModuleType) -> Any:
    node = helper.make_node("SequenceConstruct", ["x"], ["y"])
    output = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)
    return models.model([node], [models.tensor("x", "FP32", [1])], [output])


def maps(models: ModuleType) -> Any:
    node = helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_strings=["a", "b"])
    kind = helper.make_sequence_type_proto(
        helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    )
    inputs = [models.tensor("x", "FP32", ["N", 2])]
    return models.model([node], inputs, [helper.make_value_info("y", kind)], opsets={"": 17, "ai.onnx.ml": 3})


def optional(models: ModuleType) -> Any:
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [1]))
    node = helper.make_node("OptionalGetElement", ["x"], ["y"])
    return models.model([node], [helper.make_value_info("x", kind)], [models.tensor("y", "FP32", [1])])


def element(elem_type: int) -> Any:
    def made(models: ModuleType) -> Any:
        tensors = [helper.make_tensor_value_info(name, elem_type, [1]) for name in "xy"]
        return models.model([helper.make_node("Identity", ["x"], ["y"])], tensors[:1], tensors[1:], opsets={"": 21})

    return made


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (sequence, "output 'y' is a sequence; only tensors can be served; with skl2onnx, convert with zipmap=False"),
        (maps, "output 'y' is a sequence"),
        (optional, "input 'x' is a optional; only tensors"),
        (element(TensorProto.BFLOAT16), "input 'x' has the type BFLOAT16, .*; add a Cast"),
        (element(TensorProto.FLOAT8E4M3FN), "input 'x' has the type FLOAT8E4M3FN"),
        (element(TensorProto.INT4), "input 'x' has the type INT4"),
        (element(TensorProto.COMPLEX64), "input 'x' has the type COMPLEX64"),
    ],
)
def test_what_the_protocol_cannot_carry_is_named(
    onnx_models: ModuleType, tmp_path: Path, make: Any, message: str
) -> None:
    with pytest.raises(BuildError, match=message):
        read(tmp_path, make(onnx_models))


def test_a_model_without_inputs_is_refused(onnx_models: ModuleType, tmp_path: Path) -> None:
    node = helper.make_node("Constant", [], ["y"], value_float=1.0)
    with pytest.raises(BuildError, match="has 0 inputs and 1 outputs"):
        read(tmp_path, onnx_models.model([node], [], [onnx_models.tensor("y", "FP32", [])]))


def test_an_unsound_graph_is_refused(onnx_models: ModuleType, tmp_path: Path) -> None:
    made = product(onnx_models)
    made.graph.node[0].input[1] = "nothing"
    with pytest.raises(BuildError, match=r"is no sound ONNX model: .*nothing"):
        read(tmp_path, made)


@fuzzing
@given(raw=st.binary(max_size=100))
def test_a_file_of_any_bytes_is_refused_with_one_line(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "any.onnx"
    path.write_bytes(raw)
    with pytest.raises(BuildError) as caught:
        read_onnx(path)
    assert len(str(caught.value).splitlines()) == 1


@fuzzing
@given(data=st.data())
def test_a_truncated_or_changed_model_is_read_or_refused(
    onnx_models: ModuleType, tmp_path: Path, data: st.DataObject
) -> None:
    raw = bytearray(product(onnx_models).SerializeToString())
    place = data.draw(st.integers(0, len(raw) - 1))
    if data.draw(st.booleans()):
        del raw[place:]
    else:
        raw[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "changed.onnx"
    path.write_bytes(raw)
    with suppress(BuildError):
        read_onnx(path)


@pytest.mark.parametrize("name", ["absent.onnx", "folder"])
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(BuildError, match=rf"{name} cannot be read: (No such file|Is a directory)"):
        read_onnx(tmp_path / name)


def test_weights_beside_the_model_come_with_it_under_a_name_of_ours(onnx_models: ModuleType, tmp_path: Path) -> None:
    file = read_onnx(onnx_models.external(tmp_path))
    assert file.external == {"weights.data": (tmp_path / "external.data").read_bytes()}
    (weights,) = onnx.load_model_from_string(file.content).graph.initializer
    assert external_data_helper.ExternalDataInfo(weights).location == "weights.data"
    assert file.sources.keys() == {"model", "external.data"}


def moved(models: ModuleType, folder: Path, location: str) -> Path:
    path = models.external(folder)
    made = onnx.load_model(path, load_external_data=False)
    made.graph.initializer[0].external_data[0].value = location
    path.write_bytes(made.SerializeToString())
    return path


@pytest.mark.parametrize(
    "location", ["../external.data", "/etc/passwd", "a/../../external.data", "", "..\\external.data"]
)
def test_weights_that_lie_elsewhere_are_refused(onnx_models: ModuleType, tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "external.data").write_bytes(bytes(512))
    with pytest.raises(BuildError, match="expected a file in the model's own folder"):
        read_onnx(moved(onnx_models, folder, location))


def test_weights_that_a_link_leads_elsewhere_are_refused(onnx_models: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    path = onnx_models.external(folder)
    (folder / "external.data").rename(tmp_path / "elsewhere")
    (folder / "external.data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BuildError, match="outside the model's folder"):
        read_onnx(path)


def test_missing_weights_are_named(onnx_models: ModuleType, tmp_path: Path) -> None:
    path = onnx_models.external(tmp_path)
    (tmp_path / "external.data").unlink()
    with pytest.raises(BuildError, match=r"external\.data, which is not there; put it beside the model"):
        read_onnx(path)


def branches(models: ModuleType, folder: Path) -> Path:
    """`y` is `x` plus weights in more.data or plus weights in less.data, which branches of an If hold."""
    made = {}
    for name, sign in (("more", 1), ("less", -1)):
        weights = onnx.numpy_helper.from_array(sign * np.arange(300, dtype=np.float32), name)
        external_data_helper.set_external_data(weights, f"{name}.data", 0, 1200)
        (folder / f"{name}.data").write_bytes(weights.raw_data)
        weights.ClearField("raw_data")
        node, output = (
            helper.make_node("Add", ["x", name], ["sum_" + name]),
            models.tensor("sum_" + name, "FP32", [300]),
        )
        made[name] = helper.make_graph([node], name, [], [output], [weights])
    node = helper.make_node("If", ["up"], ["y"], then_branch=made["more"], else_branch=made["less"])
    inputs = [models.tensor("up", "BOOL", []), models.tensor("x", "FP32", [300])]
    return models.save(folder / "made.onnx", models.model([node], inputs, [models.tensor("y", "FP32", [300])]))


def test_weights_of_inner_graphs_are_taken_into_the_model(onnx_models: ModuleType, tmp_path: Path) -> None:
    file = read_onnx(branches(onnx_models, tmp_path))
    assert file.external == {}
    assert file.sources.keys() == {"model", "more.data", "less.data"}
    x = np.ones(300, np.float32)
    for up, expected in ((True, x + np.arange(300)), (False, x - np.arange(300))):
        np.testing.assert_array_equal(Reference(file).run({"up": np.array(up), "x": x})["y"], expected)


def test_operators_that_draw_random_numbers_are_known(onnx_models: ModuleType, tmp_path: Path) -> None:
    made = product(onnx_models)
    assert read(tmp_path, made).random == ()
    made.graph.node[0].output[0] = "z"
    made.graph.node.append(helper.make_node("Dropout", ["z", "", "trains"], ["y"]))
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.array(False), "trains"))
    assert read(tmp_path, made).random == ()
    made.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(np.array(True), "trains"))
    assert read(tmp_path, made).random == ("Dropout",)


def test_more_than_the_bound_is_refused_before_it_is_read(
    onnx_models: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxfile, "BYTES_MAX", 600)
    with pytest.raises(BuildError, match="bytes with its external data; at most 600 are taken"):
        read_onnx(onnx_models.external(tmp_path))
