"""Bundles made to harm: each is refused with one clear line, in bounded memory, and never run."""

import os
import pickle
import stat
import struct
import tracemalloc
import zipfile

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from linear_graph import make_graph
from tenfold.bundle import load_bundle
from tenfold.bundle.content import LIMITS, OPTIONAL, sums_of
from tenfold.errors import BundleError

MEMORY = 48 * 2**20


def refused(path, match):
    """Return the one line that a bundle is refused with, and see that little memory was used."""
    tracemalloc.start()
    try:
        with pytest.raises(BundleError, match=match) as caught:
            load_bundle(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEMORY
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    assert isinstance(caught.value, ValueError)
    return text


def sealed(folder, **files):
    """Replace files of a bundle and give it sums that fit, as an attacker would."""
    names = {"model": "model.onnx", "info": "bundle.json", "card": "MODEL_CARD.md"}
    names["learned"] = "learned.bin"
    for key, content in files.items():
        (folder / names[key]).write_bytes(content)
    (folder / "SHA256SUMS").write_bytes(
        sums_of({name: (folder / name).read_bytes() for name in names.values()})
    )
    return folder


def zipped(path, entries, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def entries_of(folder):
    return [(name, (folder / name).read_bytes()) for name in sorted(LIMITS)]


@pytest.mark.parametrize("name", sorted(LIMITS))
@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 0.999])
def test_a_flipped_byte_in_any_file_is_refused(written, name, place):
    path = written / name
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 1
    path.write_bytes(content)
    refused(written, r"does not have the SHA-256|names other files")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(data=st.data())
def test_a_flipped_bit_in_a_zip_is_refused_or_changes_nothing(written, tmp_path, data):
    path = zipped(tmp_path / "x.zip", entries_of(written))
    whole = bytearray(path.read_bytes())
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(whole)
    try:
        info = load_bundle(path).info
    except BundleError:
        return
    assert info == load_bundle(written).info


@pytest.mark.parametrize("name", sorted(set(LIMITS) - OPTIONAL))
def test_a_missing_file_is_refused(written, tmp_path, name):
    entries = [entry for entry in entries_of(written) if entry[0] != name]
    (written / name).unlink()
    refused(written, f"it has no {name}")
    refused(zipped(tmp_path / "x.zip", entries), f"it has no {name}")


def test_sums_that_leave_a_file_out_are_refused(written):
    lines = (written / "SHA256SUMS").read_text().splitlines()
    (written / "SHA256SUMS").write_text("\n".join(lines[:-1]))
    refused(written, r"model.onnx does not have the SHA-256")


def test_taking_the_digests_of_learned_images_out_is_noticed(written):
    (written / "learned.bin").unlink()
    refused(written, "SHA256SUMS names other files than MODEL_CARD.md")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"1234567", "learned.bin: it has 7 bytes, which are no digests of 8"),
        (bytes(16), "learned.bin: its digests are not in rising order"),
    ],
)
def test_digests_that_are_none_are_refused(written, content, match):
    refused(sealed(written, learned=content), match)


def test_sums_of_files_elsewhere_are_refused(written):
    with (written / "SHA256SUMS").open("a") as file:
        file.write(f"{'0' * 64}  ../../secret\n")
    refused(written, "SHA256SUMS names other files")


@pytest.mark.parametrize("name", ["extra.txt", ".hidden", "model.onnx.data", "MODEL.ONNX"])
def test_a_file_that_is_not_expected_is_refused(written, tmp_path, name):
    path = zipped(tmp_path / "x.zip", [*entries_of(written)[:3], (name, b"x")])
    (written / name).write_bytes(b"x")
    refused(written, f"it holds '{name}'; allowed are MODEL_CARD.md")
    refused(path, f"it holds '{name}'; allowed are MODEL_CARD.md")


@pytest.mark.parametrize(
    "name",
    ["../model.onnx", "/etc/model.onnx", "a/model.onnx", "..\\model.onnx", "model.onnx/", "C:x"],
)
def test_a_path_out_of_the_folder_is_refused(written, tmp_path, name):
    others = [entry for entry in entries_of(written) if entry[0] != "model.onnx"]
    refused(zipped(tmp_path / "x.zip", [*others, (name, b"x")]), "it holds ")
    assert not (tmp_path / "model.onnx").exists()


def test_a_folder_inside_is_refused(written):
    (written / "model.onnx").unlink()
    (written / "model.onnx").mkdir()
    refused(written, "model.onnx is no plain file")


@pytest.mark.parametrize("target", ["/etc/passwd", "../elsewhere", "bundle.json"])
def test_a_symbolic_link_is_refused(written, tmp_path, target):
    (tmp_path / "elsewhere").write_bytes((written / "MODEL_CARD.md").read_bytes())
    (written / "MODEL_CARD.md").unlink()
    (written / "MODEL_CARD.md").symlink_to(target)
    refused(written, "MODEL_CARD.md is a link")


def test_a_symbolic_link_in_a_zip_is_refused(written, tmp_path):
    link = zipfile.ZipInfo("model.onnx")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    others = [entry for entry in entries_of(written) if entry[0] != "model.onnx"]
    refused(zipped(tmp_path / "x.zip", [*others, (link, b"/etc/passwd")]), "is no plain file")


def test_a_pipe_is_refused_and_not_waited_for(written):
    (written / "model.onnx").unlink()
    os.mkfifo(written / "model.onnx")
    refused(written, "model.onnx is no plain file")


def test_the_same_name_twice_is_refused(written, tmp_path):
    entries = entries_of(written)
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = zipped(tmp_path / "x.zip", [*entries[:3], entries[0]])
    refused(path, "it has MODEL_CARD.md twice")


def test_a_zip_bomb_is_refused_before_it_is_unpacked(written, tmp_path):
    entries = [*entries_of(written)[:3], ("model.onnx", bytes(LIMITS["model.onnx"]))]
    path = zipped(tmp_path / "x.zip", entries, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**20
    refused(path, "more than 100 times as many")


@pytest.mark.parametrize(
    ("compression", "method"), [(zipfile.ZIP_BZIP2, 12), (zipfile.ZIP_LZMA, 14)]
)
def test_a_compression_that_unpacks_without_bounds_is_refused(
    written, tmp_path, compression, method
):
    """A few hundred bytes of it become 64 MB at the first byte that is asked for."""
    entries = [*entries_of(written)[1:], ("MODEL_CARD.md", bytes(64 * 2**20))]
    path = zipped(tmp_path / "x.zip", entries, compression=compression)
    content = path.read_bytes().replace(struct.pack("<L", 64 * 2**20), struct.pack("<L", 100))
    path.write_bytes(content)
    assert len(content) < 2**20
    refused(path, f"is compressed by method {method}; allowed are Stored")


def test_a_zip_that_declares_too_much_is_refused(written, tmp_path):
    entries = [*entries_of(written)[1:], ("MODEL_CARD.md", bytes(2**20 + 1))]
    path = zipped(tmp_path / "x.zip", entries, compression=zipfile.ZIP_DEFLATED)
    refused(path, "MODEL_CARD.md has 1,048,577 bytes, allowed are 1,048,576")


def test_a_zip_that_unpacks_to_more_than_it_declares_is_refused(written, tmp_path):
    entries = [*entries_of(written)[1:], ("MODEL_CARD.md", bytes(2**20))]
    path = zipped(tmp_path / "x.zip", entries, compression=zipfile.ZIP_DEFLATED)
    content = path.read_bytes().replace(struct.pack("<L", 2**20), struct.pack("<L", 100))
    path.write_bytes(content)
    refused(path, "it cannot be unpacked|does not have the SHA-256")


def test_a_zip_with_a_directory_of_thousands_is_refused_before_it_is_read(tmp_path):
    path = zipped(tmp_path / "x.zip", [(f"{number}", b"") for number in range(30_000)])
    refused(path, "at most 5 are allowed")
    content = bytearray(path.read_bytes())
    content[-12:-10] = struct.pack("<H", 4)  # the number is a lie, the size is not
    path.write_bytes(content)
    refused(path, "at most 5 are allowed")


def test_a_64_bit_directory_that_hides_behind_a_small_one_is_refused(written, tmp_path):
    path = zipped(tmp_path / "x.zip", entries_of(written))
    content = path.read_bytes()
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, 0, 1)
    path.write_bytes(content[:-22] + locator + content[-22:])
    refused(path, "neither a folder nor a plain .zip")


def test_an_encrypted_zip_is_refused(written, tmp_path):
    path = zipped(tmp_path / "x.zip", entries_of(written))
    content = bytearray(path.read_bytes())
    for start in range(len(content)):
        if content[start : start + 4] == b"PK\x01\x02":
            content[start + 8] |= 1
    path.write_bytes(content)
    refused(path, "links and secrets are refused")


@pytest.mark.parametrize("content", [b"", b"PK", b"no bundle at all" * 10])
def test_what_is_neither_folder_nor_zip_is_refused(tmp_path, content):
    (tmp_path / "x.zip").write_bytes(content)
    refused(tmp_path / "x.zip", "neither a folder nor a plain .zip")


def test_what_is_not_there_or_is_no_file_is_refused(tmp_path):
    refused(tmp_path / "nowhere", "there is no bundle")
    os.mkfifo(tmp_path / "pipe.zip")
    refused(tmp_path / "pipe.zip", "there is no bundle")


def test_a_file_of_many_gigabytes_is_refused_and_not_read(written):
    with (written / "model.onnx").open("r+b") as file:
        file.truncate(20 * 2**30)  # takes no space
    refused(written, "model.onnx has 21,474,836,480 bytes, allowed are 536,870,912")


class Harm:
    """A pickle of this makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_in_place_of_the_graph_is_refused_and_never_loaded(written, tmp_path, protocol):
    content = pickle.dumps(Harm(tmp_path / "harm"), protocol=protocol)
    refused(sealed(written, model=content), "model.onnx: it")
    assert not (tmp_path / "harm").exists()
    pickle.loads(content)
    assert (tmp_path / "harm").exists()


def external(tensor, location="../../../etc/passwd"):
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def in_initializer():
    model = make_graph()
    external(model.graph.initializer[0])
    return model


def in_attribute():
    value = external(numpy_helper.from_array(np.zeros(3, np.float32), "secret"))
    return make_graph(nodes=[helper.make_node("Identity", ["images"], ["secret"], value=value)])


def in_subgraph():
    value = external(numpy_helper.from_array(np.zeros(3, np.float32), "secret"))
    inner = helper.make_graph([], "inner", [], [], [value])
    condition = numpy_helper.from_array(np.array(True), "yes")
    node = helper.make_node("If", ["yes"], [], then_branch=inner, else_branch=inner)
    return make_graph(nodes=[node], initializers=[condition])


def in_function():
    model = make_graph()
    value = external(numpy_helper.from_array(np.zeros(3, np.float32), "secret"))
    node = helper.make_node("Constant", [], ["y"], value=value)
    opset = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("mine", "F", [], ["y"], [node], opset))
    return model


def in_training():
    model = make_graph()
    model.training_info.add().initialization.initializer.append(
        external(numpy_helper.from_array(np.zeros(3, np.float32), "secret"))
    )
    return model


def by_location_alone():
    model = make_graph()
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    return model


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (in_initializer, "its tensor has external data"),
        (in_attribute, "its attribute has a tensor of its own"),
        (by_location_alone, "its tensor has external data"),
        (in_subgraph, "its operator 'If' is not one of those allowed"),
        (in_function, "its model has functions of its own"),
        (in_training, "its model has training"),
    ],
)
def test_external_data_are_refused_wherever_they_hide(written, make, match):
    refused(sealed(written, model=make().SerializeToString()), f"model.onnx: .*{match}")


def test_a_subgraph_of_an_allowed_operator_is_refused(written):
    inner = helper.make_graph([], "inner", [], [])
    node = helper.make_node("Identity", ["images"], ["more"], body=inner)
    model = make_graph(nodes=[node])
    refused(sealed(written, model=model.SerializeToString()), "its attribute has a graph inside")


@pytest.mark.parametrize("dims", [[2_500_000_000], [50_000, 50_000], [2**40, 2**40], [-1], [0, -1]])
def test_a_tensor_of_ten_gigabytes_is_refused_in_little_memory(written, dims):
    huge = TensorProto(name="huge", data_type=TensorProto.FLOAT, dims=dims, raw_data=b"\0" * 16)
    content = make_graph(initializers=[huge]).SerializeToString()
    refused(
        sealed(written, model=content),
        "its tensor of type 1 declares .* values and has 4|its tensor has the shape",
    )


def test_a_constant_that_would_be_made_of_little_is_refused(written):
    """Two columns of 40,000 numbers, whose product of 6 GB onnxruntime computes when it loads."""
    sides = [np.ones((40_000, 1), np.float32), np.ones((1, 40_000), np.float32)]
    initializers = [numpy_helper.from_array(side, f"s{i}") for i, side in enumerate(sides)]
    node = helper.make_node("MatMul", ["s0", "s1"], ["huge"])
    content = make_graph(nodes=[node], initializers=initializers).SerializeToString()
    refused(sealed(written, model=content), "its operator 'MatMul' computes nothing from the")


def test_an_output_that_is_left_out_makes_no_constant_of_another_node_an_image(written):
    """Two of the three outputs have no name, and neither has what Clip is not given."""
    sides = [np.ones((40_000, 1), np.float32), np.ones((1, 40_000), np.float32)]
    initializers = [numpy_helper.from_array(side, f"s{i}") for i, side in enumerate(sides)]
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["scaled"], ["small", "", ""]),
        helper.make_node("Clip", ["s0", "", "s1"], ["huge"]),
    ]
    content = make_graph(nodes=nodes, initializers=initializers).SerializeToString()
    refused(sealed(written, model=content), "its operator 'Clip' computes nothing from the")


def casts(*chain, size=1):
    """Return a graph that casts a tensor, or what was made of it."""
    tensors = [numpy_helper.from_array(np.zeros(size, np.uint8), "t0")]
    nodes = [
        helper.make_node("Cast", [before], [after], to=TensorProto.DOUBLE)
        for before, after in chain
    ]
    return make_graph(nodes=nodes, initializers=tensors).SerializeToString()


def test_a_constant_is_cast_once_and_no_further(written):
    assert load_bundle(sealed(written, model=casts(("t0", "a")))).info.name == "tiny"
    match = "its operator 'Cast' computes nothing from the images"
    refused(sealed(written, model=casts(("t0", "a"), ("a", "b"))), match)
    refused(sealed(written, model=casts(("nowhere", "a"))), match)


def test_constants_that_grow_past_a_bound_are_refused(written):
    """A megabyte that is cast to eight times its size again and again."""
    often = [("t0", f"a{number}") for number in range(65)]
    refused(sealed(written, model=casts(*often, size=2**20)), "grow by more than 536,870,912 bytes")


@pytest.mark.parametrize(
    "tensor",
    [
        TensorProto(name="x", data_type=1, dims=[3], raw_data=b"\0" * 11),
        TensorProto(name="x", data_type=1, dims=[3]),
        TensorProto(name="x", data_type=1, dims=[2], float_data=[1.0]),
        TensorProto(name="x", data_type=1, dims=[1], float_data=[1.0], raw_data=b"\0" * 4),
        TensorProto(name="x", data_type=7, dims=[2], int64_data=[300]),
        TensorProto(name="x", data_type=7, dims=[1], int32_data=[3]),
        TensorProto(name="x", data_type=8, dims=[1], string_data=[b"text"]),
        TensorProto(name="x", data_type=99, dims=[1], raw_data=b"\0"),
        TensorProto(name="x", dims=[1], raw_data=b"\0"),
        TensorProto(name="x", data_type=1, dims=[1] * 9, raw_data=b"\0" * 4),
    ],
)
def test_a_tensor_that_contradicts_itself_is_refused(written, tensor):
    model = make_graph(initializers=[tensor])
    refused(sealed(written, model=model.SerializeToString()), "model.onnx: it.* tensor")


@pytest.mark.parametrize(
    "tensor",
    [
        TensorProto(name="x", data_type=1, dims=[2], float_data=[1.0, 2.0]),
        TensorProto(name="x", data_type=7, dims=[2], int64_data=[300, -1]),
        TensorProto(name="x", data_type=6, dims=[2], int32_data=[300, -1]),
        TensorProto(name="x", data_type=11, dims=[1], double_data=[300.0]),
        TensorProto(name="x", data_type=2, dims=[], raw_data=b"\0"),
        TensorProto(name="x", data_type=7, dims=[0]),
    ],
)
def test_a_tensor_may_hold_its_values_in_every_way_that_onnx_knows(written, tensor):
    model = make_graph(initializers=[tensor])
    assert load_bundle(sealed(written, model=model.SerializeToString())).info.name == "tiny"


def with_metadata():
    model = make_graph()
    model.metadata_props.add(key="ort_config", value="{}")
    return model


def with_two_inputs():
    model = make_graph()
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.UINT8, ["n", 12]))
    return model


def with_other_outputs():
    model = make_graph()
    model.graph.output[0].name = "best"
    return model


def with_a_fixed_batch():
    model = make_graph()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    return model


def with_a_sequence():
    model = make_graph()
    model.graph.output[0].CopyFrom(helper.make_tensor_sequence_value_info("label", 7, ["n"]))
    return model


def with_a_sparse_tensor():
    model = make_graph()
    model.graph.sparse_initializer.add()
    return model


def with_format(version):
    def make():
        model = make_graph()
        model.ir_version = version
        return model

    return make


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: make_graph(**{"": 99}), "of 'ONNX', version 99; known are ONNX's of versions 17"),
        (lambda: make_graph(**{"": 12}), "of 'ONNX', version 12"),
        (lambda: make_graph(mine=1), "of 'mine', version 1"),
        (lambda: make_graph(**{"": 17, "com.microsoft": 1}), "operators of 2 domains, not of 1"),
        (lambda: make_graph(**{"": 17, "ai.onnx": 17}), "operators of 2 domains, not of 1"),
        (lambda: make_graph(**{"": 17, "ai.onnx.ml": 3}), "operators of 2 domains, not of 1"),
        (
            lambda: make_graph(nodes=[helper.make_node("Gelu", ["x"], ["y"], domain="mine")]),
            "its operator 'mine.Gelu' is not one",
        ),
        (
            lambda: make_graph(nodes=[helper.make_node("ConstantOfShape", ["x"], ["y"])]),
            "its operator 'ConstantOfShape' is not one",
        ),
        (with_metadata, "its model has metadata"),
        (with_a_sparse_tensor, "its graph has sparse tensors"),
        (with_two_inputs, "it takes or gives images, more, where images must be"),
        (with_other_outputs, "it takes or gives best, probabilities"),
        (with_a_fixed_batch, r"'images' is of type 2 and shape \[1, 12\]"),
        (with_a_sequence, "its type has a value that is no plain tensor"),
        (with_format(1), "its format has version 1"),
        (with_format(200), "its format has version 200"),
    ],
)
def test_what_a_bundle_does_not_need_is_refused(written, make, match):
    refused(sealed(written, model=make().SerializeToString()), f"model.onnx: .*{match}")


def test_a_graph_with_millions_of_parts_is_refused_quickly(written):
    content = make_graph().SerializeToString() + b"\x42\x00" * 1_000_000
    refused(sealed(written, model=content), "it has more than 100,000 parts")


def test_two_graphs_of_which_one_would_be_merged_are_refused(written):
    content = make_graph().SerializeToString()
    refused(sealed(written, model=content + content), "its model has two of")


def test_bytes_that_onnxruntime_takes_for_its_own_format_are_refused(written):
    content = b"\x12\x06\x00\x00ORTM" + make_graph().SerializeToString()
    assert onnx.load_from_string(content).producer_name
    refused(sealed(written, model=content), "onnxruntime's own format")


def test_a_graph_that_onnxruntime_refuses_is_refused(written):
    node = helper.make_node("MatMul", ["images", "nowhere"], ["never"])
    content = make_graph(nodes=[node]).SerializeToString()
    refused(sealed(written, model=content), "model.onnx cannot be opened: .*")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"row_bytes": Infinity}', "{", "\x00"])
def test_what_a_graph_says_of_itself_harms_nobody(written, text):
    model = make_graph()
    model.graph.doc_string = text
    try:
        said = load_bundle(sealed(written, model=model.SerializeToString())).info.name
    except BundleError as error:
        said = str(error)
    assert said.count("\n") == 0


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_cut_graph_is_refused(written, share):
    content = (written / "model.onnx").read_bytes()
    refused(sealed(written, model=content[: int(len(content) * share)]), "model.onnx: it")


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (b'"name"', b'"nmae"', "bundle.json: name: Field required"),
        (b'"name": "tiny"', b'"name": "../tiny"', "bundle.json: name: String should match"),
        (b'"format": 1', b'"format": 2', "bundle.json: format: Input should be 1"),
        (b'"licence"', b'"more": 1, "licence"', "bundle.json: more: Extra inputs"),
        (b"    3,\n", b"    1000000,\n", "image_shape.0: Input should be less"),
        (b"    3,\n", b"    5,\n", r"'images' is of type 2 and shape \[n, 12\]"),
        (b'"two"', b'"one"', "class_names must differ"),
        (b'"two"', b'"\\u001b[2J"', "class_names.2: String should match"),
        (b"0.85", b"NaN", "scores.accuracy.low"),
        (b'"opset": 17', b'"opset": 18', "gives the opset 18, model.onnx has 17"),
        (b"{", b"", "bundle.json: top level: Invalid JSON"),
        (b'"solver": ', b'"solver": ' + b"[" * 100_000, "bundle.json: top level"),
    ],
)
def test_information_that_breaks_a_rule_is_refused(written, old, new, match):
    content = (written / "bundle.json").read_bytes()
    assert old in content
    refused(sealed(written, info=content.replace(old, new, 1)), match)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(data=st.data())
def test_damage_anywhere_in_the_graph_never_raises_anything_else(written, parts, data):
    content = bytearray(parts.model)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        said = load_bundle(sealed(written, model=bytes(content))).info.name
    except BundleError as error:
        said = str(error)
    assert said.count("\n") == 0
