"""A network as LiteRT runs it, without TensorFlow: the one wrapper of its interpreter."""

from __future__ import annotations

import contextlib
import re
import threading
from typing import Any, ClassVar

import numpy as np

from hematovision.program.console import UserError, quiet_stderr

MOST_SHAPES = 4  # of inputs, for which an interpreter is kept
NUMBERED = re.compile(r"_\d+$")  # what the export adds to a layer's name


class Network:
    """A .tflite network of one input, for one thread at a time."""

    _said_hello: ClassVar[bool] = False  # which LiteRT does on stderr, once a process

    def __init__(self, model: bytes, threads: int | None = 1) -> None:
        """`threads` of LiteRT's own (None: as many as it likes). ValueError where `model` is
        damaged."""
        self._model, self._threads = model, threads
        self._ready: dict[tuple[int, ...], Any] = {}
        self._fresh = self._open()
        self.input_shape = tuple(self._fresh.get_input_details()[0]["shape"].tolist())
        shapes = [tuple(o["shape"].tolist()) for o in self._fresh.get_output_details()]
        self.output_shapes = sorted(shapes, key=len, reverse=True)

    def __call__(self, inputs: np.ndarray) -> list[np.ndarray]:
        """The outputs for float32 inputs (n, ...), those of most dimensions first.

        UserError where they aren't all numbers: its weights are damaged, or it never learnt.
        """
        interpreter = self._prepare(inputs.shape)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
        interpreter.invoke()
        outputs = [interpreter.get_tensor(o["index"]) for o in interpreter.get_output_details()]
        if not all(np.isfinite(output).all() for output in outputs):
            raise UserError("the model: it answers with what is no number; train it anew")
        return sorted(outputs, key=np.ndim, reverse=True)

    def _open(self) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(model_content=self._model, num_threads=self._threads)

    def _prepare(self, shape: tuple[int, ...]) -> Any:
        """An interpreter for inputs of `shape`: to change one's takes as long as to use it."""
        if shape not in self._ready:
            if len(self._ready) >= MOST_SHAPES:
                self._ready.pop(next(iter(self._ready)))
            interpreter, self._fresh = self._fresh or self._open(), None
            if shape != self.input_shape:
                interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], shape)
            with contextlib.nullcontext() if Network._said_hello else quiet_stderr():
                interpreter.allocate_tensors()
            Network._said_hello = True
            self._ready[shape] = interpreter
        return self._ready[shape]


class ThreadedNetwork:
    """The same network for several threads, each with an interpreter of its own."""

    def __init__(self, model: bytes) -> None:
        self._model, self._local = model, threading.local()
        self.input_shape, self.output_shapes = self._own().input_shape, self._own().output_shapes
        self(np.zeros(self.input_shape, np.float32))  # a damaged one shows here, not in a thread

    def __call__(self, inputs: np.ndarray) -> list[np.ndarray]:
        return self._own()(inputs)

    def _own(self) -> Network:
        if not hasattr(self._local, "network"):
            self._local.network = Network(self._model)
        return self._local.network


def read_weights(model: bytes) -> dict[str, tuple[np.ndarray, ...]]:
    """The weights in a .tflite by the name of their layer, as Keras's layers hold them: kernel and,
    where there is one, bias, float32.

    Of convolutions, depthwise ones and dense layers, in no order. ValueError or LookupError where
    `model` is damaged.
    """
    from ai_edge_litert import schema_py_generated as schema

    operators = schema.BuiltinOperator
    weighted = {operators.CONV_2D, operators.DEPTHWISE_CONV_2D, operators.FULLY_CONNECTED}
    kinds = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.FLOAT16: np.float16}
    whole = schema.Model.GetRootAs(model, 0)
    graph = whole.Subgraphs(0)
    codes = [whole.OperatorCodes(i).BuiltinCode() for i in range(whole.OperatorCodesLength())]
    steps = [graph.Operators(i) for i in range(graph.OperatorsLength())]
    stored = {
        step.Outputs(0): step.Inputs(0)
        for step in steps
        if codes[step.OpcodeIndex()] == operators.DEQUANTIZE
    }  # what is in half precision is made float32 on the way to where it's used

    def read(index: int) -> np.ndarray:
        tensor = graph.Tensors(stored.get(index, index))
        data = whole.Buffers(tensor.Buffer()).DataAsNumpy()
        if tensor.Type() not in kinds or not isinstance(data, np.ndarray):
            raise ValueError("its weights are no floating point numbers")
        array = data.view(kinds[tensor.Type()]).reshape(tensor.ShapeAsNumpy())
        if not np.isfinite(array).all():
            raise ValueError("some of its weights are no numbers")
        return array.astype(np.float32)

    found: dict[str, tuple[np.ndarray, ...]] = {}
    for step in steps:
        if codes[step.OpcodeIndex()] not in weighted:
            continue
        # "hematovision_1/upper_1/block_12_project_1/convolution1", of the layer before the last
        *_, layer, _ = graph.Tensors(step.Inputs(1)).Name().decode().split("/")
        kernel = np.moveaxis(read(step.Inputs(1)), 0, -1)  # LiteRT has outputs first
        has_bias = step.InputsLength() > 2 and step.Inputs(2) >= 0
        found[NUMBERED.sub("", layer)] = (kernel, *([read(step.Inputs(2))] if has_bias else []))
    return found
