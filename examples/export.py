"""Turns a trained model into the files that Plinth reads: the ONNX graph and its held-out check.

Training belongs in train.py. This module exists so that every example writes its files in the
same way: a dynamic batch dimension, Plinth's metadata, and reference outputs that come from the
training library and never from the ONNX runtime. Each example folder has the same copy of this
file, so that a folder can be taken away and used on its own; change all the copies together.
"""

import json

import numpy as np
import onnx
import onnxruntime

# The name of the batch dimension in every input and output.
BATCH_DIMENSION = "N"

# How far a float output may be from the training library's value, in proportion to that value.
# Each model adds an absolute tolerance to it, for values that come close to zero.
TOLERANCE = 1e-5

# The Open Inference Protocol's name for each kind of NumPy array that the examples use.
# Floats are FP32 whatever their width here, because that is what the models take and give.
DATATYPES = {"f": "FP32", "i": "INT64", "U": "BYTES", "O": "BYTES"}

# The width of a line in the JSON files.
LINE_COLUMNS_MAX = 100


def save_model(model, path, columns=None, class_labels=None):
    """Names the batch dimension, adds Plinth's metadata, checks the graph and writes it.

    `columns` names the columns of the single [N, k] input, and `class_labels` names the classes
    in the order of the probabilities. Absent metadata is not written.
    """
    # skl2onnx lists the operator sets in the order of a Python set, which changes from run to run,
    # and may list one of them twice.
    opsets = {opset.domain: opset.version for opset in model.opset_import}
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(*opset) for opset in sorted(opsets.items()))
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = BATCH_DIMENSION
    metadata = {"plinth.columns": columns, "plinth.class_labels": class_labels}
    written = {key: json.dumps(names) for key, names in metadata.items() if names is not None}
    onnx.helper.set_model_props(model, written)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def save_held_out(path, source, inputs, outputs, absolute_tolerance, rows=None):
    """Writes the held-out inputs with the outputs that the training library gave for them.

    `inputs` and `outputs` are arrays by tensor name. A served value agrees with an output when
    they differ by no more than `absolute_tolerance` + TOLERANCE * |output|. `rows` repeats the
    first few rows as objects by column name, for people and for calls that send rows.
    """
    held_out = {
        "source": source,
        "tolerance": TOLERANCE,
        "absoluteTolerance": absolute_tolerance,
        "inputs": {name: _tensor(_as_float32(array)) for name, array in inputs.items()},
        "outputs": {name: _tensor(array) for name, array in outputs.items()},
    }
    if rows is not None:
        held_out["rows"] = rows
    save_json(path, held_out)


def save_json(path, value):
    """Writes JSON with two-space indents and with arrays filled up to the line width."""
    path.write_text(_format(value, "", 0) + "\n", encoding="utf-8")


def column_rows(columns, table, count=3):
    """Returns the first `count` rows of a float table as objects by column name."""
    return [dict(zip(columns, _numbers(row))) for row in _as_float32(table[:count])]


def check_model(path, held_out, test, absolute_tolerance):
    """Compares the saved model in the ONNX runtime with the training library, and prints it.

    `held_out` and `test` are pairs of inputs and outputs by tensor name. Raises AssertionError if
    a label of the held-out rows differs or a float is outside the tolerance. The test rows are
    only reported: they say how typical the held-out rows are.
    """
    print(f"{path.name}: {path.stat().st_size} bytes")
    for name, (inputs, outputs) in {"held-out": held_out, "test": test}.items():
        differences = _differences(path, inputs, outputs, absolute_tolerance)
        print(
            f"  {name}: {differences['labels']} labels differ, largest relative error "
            f"{differences['relative']:.1e}, {differences['share']:.0%} of the tolerance"
        )
        if name == "held-out":
            assert differences["labels"] == 0, f"{path.name}: a held-out label differs"
            assert differences["share"] <= 1, f"{path.name}: a held-out value is out of tolerance"


def _differences(path, inputs, outputs, absolute_tolerance):
    """Returns how the runtime differs: unequal labels and the largest errors of the floats.

    `relative` is relative to the library's value and leaves out values that are exactly zero;
    `share` is the error divided by the error allowed, so that 1 is the limit.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        path.read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    feed = {name: _as_float32(array) for name, array in inputs.items()}
    found = {"labels": 0, "relative": 0.0, "share": 0.0}
    for (name, expected), actual in zip(outputs.items(), session.run(list(outputs), feed)):
        assert actual.shape == expected.shape, f"{name}: {actual.shape} is not {expected.shape}"
        if expected.dtype.kind == "i":
            found["labels"] += int(np.sum(actual != expected))
            continue
        error, size = np.abs(actual - expected), np.abs(expected)
        share = error / (absolute_tolerance + TOLERANCE * size)
        relative = error[size > 0] / size[size > 0]
        found["share"] = max(found["share"], float(share.max()))
        found["relative"] = max(found["relative"], float(relative.max()))
    return found


def _as_float32(array):
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _tensor(array):
    return {
        "datatype": DATATYPES[array.dtype.kind],
        "shape": list(array.shape),
        "data": _numbers(array.ravel()),
    }


def _numbers(array):
    """Returns JSON values: for a float32 the shortest decimal that reads back as the same."""
    if array.dtype == np.float32:
        return [float(str(value)) for value in array]
    return array.tolist()


def _format(value, indent, used_columns):
    """Formats one JSON value that starts after `used_columns` columns of its line."""
    inner = indent + "  "
    if isinstance(value, dict) and value:
        members = []
        for name, member in value.items():
            start = f"{inner}{json.dumps(name)}: "
            members.append(start + _format(member, inner, len(start)))
        return "{\n" + ",\n".join(members) + f"\n{indent}}}"
    if isinstance(value, list) and value:
        items = [_format(item, inner, len(inner)) for item in value]
        line = "[" + ", ".join(items) + "]"
        # One column is kept for the comma that may follow.
        if "\n" not in line and used_columns + len(line) < LINE_COLUMNS_MAX:
            return line
        if all(isinstance(item, (int, float)) for item in value):
            lines = _fill(items, LINE_COLUMNS_MAX - len(inner))
        else:
            lines = [f"{item}," for item in items]
        return f"[\n{inner}" + f"\n{inner}".join(lines).rstrip(",") + f"\n{indent}]"
    return _scalar(value)


def _fill(items, columns):
    """Packs items into as few lines as the width allows, each item with a comma after it."""
    lines = [f"{items[0]},"]
    for item in items[1:]:
        if len(lines[-1]) + len(item) + 2 <= columns:
            lines[-1] += f" {item},"
        else:
            lines.append(f"{item},")
    return lines


def _scalar(value):
    """Writes 3.0 as 3 and 1e-05 as 1e-5: the same JSON numbers, as the project formats them."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, float):
        return repr(value).replace("e-0", "e-")
    return json.dumps(value, ensure_ascii=False)
