# SPDX-License-Identifier: Apache-2.0

import json
import math

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from tributary.errors import Malformed, ModelMismatch
from tributary.tensors import (
    Layout,
    add_into,
    copy_into,
    problems,
    require,
    subtract_into,
)

TYPES = ("float64", "float32", "float16", "int64", "uint8", "bool", "int16")


@given(
    st.dictionaries(
        st.text("abc.", min_size=1, max_size=6),
        st.tuples(st.sampled_from(TYPES), st.lists(st.integers(0, 4), max_size=3)),
        min_size=1,
        max_size=6,
    )
)
def test_a_file_of_the_safetensors_library_is_read_as_that_reads_it(shapes):
    tensors = {
        name: (np.arange(math.prod(shape)) % 2).astype(dtype).reshape(shape)
        for name, (dtype, shape) in shapes.items()
    }
    data = safetensors.numpy.save(tensors)
    layout = Layout.parse(data, "model")
    views = layout.views(data)
    assert layout.length == len(data)
    assert views.keys() == tensors.keys()
    for name, expected in safetensors.numpy.load(data).items():
        np.testing.assert_array_equal(views[name], expected)
        assert views[name].dtype == expected.dtype
        assert not views[name].flags.writeable


def layout(**tensors):
    return Layout.parse(safetensors.numpy.save(tensors), "model")


def test_bf16_needs_no_copy():
    data = safetensors.numpy.save({"w": np.array([1.5, -2], ml_dtypes.bfloat16)})
    assert Layout.parse(data, "m").views(data)["w"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize(
    "fields",
    [
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}},
        {"w": {"dtype": "F31", "shape": [2], "data_offsets": [0, 8]}},
        {"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
        {"w": {"dtype": "F32", "shape": [True, 2], "data_offsets": [0, 8]}},
        {"w": 7},
        [],
    ],
)
def test_a_header_that_does_not_fit_its_data_is_rejected(fields):
    header = json.dumps(fields).encode()
    with pytest.raises(Malformed):
        Layout.parse(len(header).to_bytes(8, "little") + header + bytes(8), "model")


def test_a_name_that_is_there_twice_is_rejected():
    tensor = '{"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}'
    header = f'{{"w": {tensor}, "w": {tensor}}}'.encode()
    with pytest.raises(Malformed, match="twice"):
        Layout.parse(len(header).to_bytes(8, "little") + header + bytes(8), "model")


def test_problems_are_named():
    model = layout(w=np.zeros((2, 3), np.float32), b=np.zeros(3, np.float32))
    good = {"w": np.ones((2, 3)), "b": np.ones(3)}
    assert not list(problems(model, good))
    bad = good["w"].copy()
    bad[1, 2] = np.nan
    assert list(problems(model, {**good, "w": bad})) == [
        "tensor 'w' has nan at [1, 2], expected finite values"
    ]
    assert list(problems(model, {"w": np.ones((3, 2)), "c": np.ones(3)})) == [
        "the model has no tensor 'c'",
        "tensor 'b' is missing",
        "tensor 'w' has shape [3, 2], the model has [2, 3]",
    ]
    with pytest.raises(ModelMismatch, match="and 2 more"):
        require("update", iter(map(str, range(7))))


def test_a_nan_is_found_beyond_what_is_looked_at_at_once():
    big = np.zeros((1 << 20) + 8, np.float32)
    big[-1] = np.inf
    assert "at [1048583]" in next(problems(layout(w=np.zeros_like(big)), {"w": big}))


@pytest.mark.parametrize(
    ("target", "source", "kept"),
    [
        (np.float32, np.float64, True),
        (np.float32, np.int64, True),
        (np.int64, np.int32, True),
        (np.int64, np.float32, False),
        (np.uint8, np.bool_, True),
        (ml_dtypes.bfloat16, np.float32, True),
        (np.float32, ml_dtypes.bfloat16, True),
    ],
)
def test_types_are_converted_only_without_surprise(target, source, kept):
    to = np.zeros(2, target)
    value = np.ones(2, source)
    if kept:
        copy_into(to, "w", value)
        assert to.astype(float).tolist() == [1, 1]
    else:
        with pytest.raises(ModelMismatch, match="elements of"):
            copy_into(to, "w", value)


def test_shapes_are_never_broadcast():
    with pytest.raises(ModelMismatch, match=r"shape \[\], the model has \[2\]"):
        copy_into(np.zeros(2), "w", 1.0)


def test_differences_and_sums():
    base = np.array([1, 2], np.float32)
    to = np.zeros(2, np.float32)
    subtract_into(to, "w", [3, 1], base)
    assert to.tolist() == [2, -1]
    add_into(to, "w", np.array([2, -1], np.float32), base)
    assert to.tolist() == [3, 1]
    with pytest.raises(ModelMismatch, match="no differences"):
        subtract_into(np.zeros(2, np.uint8), "n", np.zeros(2, np.uint8), np.zeros(2, np.uint8))


def test_differences_and_sums_of_integers_never_wrap():
    low = np.array([-100], np.int8)
    with pytest.raises(ModelMismatch, match="differences that int8 cannot hold"):
        subtract_into(np.zeros(1, np.int8), "n", np.array([100], np.int8), low)
    with pytest.raises(ModelMismatch, match="sums that int8 cannot hold"):
        add_into(np.zeros(1, np.int8), "n", np.array([100], np.int8), -low)
    with pytest.raises(ModelMismatch, match="sums that uint8 cannot hold"):
        add_into(np.zeros(1, np.uint8), "n", np.array([100], np.uint8), np.array([200], np.uint8))
    to = np.zeros(1, np.int64)
    subtract_into(to, "n", np.array([5]), np.array([7]))
    assert to.tolist() == [-2]
