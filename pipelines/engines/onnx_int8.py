"""Round the products of an ONNX graph to int8 as they come: weights beforehand, what meets them at each run.

Nothing has to be calibrated, since each tensor is rounded by its own range. It pays where a network is made
of products with weights, as a Conformer is; convolutions and products of two activations stay as they are.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from pathlib import Path

from realtime.core.errors import EngineBuildFailed

from .base import Network

OPERATORS = ("MatMul", "Gemm")


def version() -> str:
    """Return what rounds, for keys: ONNX Runtime's version and the sha256 of this file."""
    import onnxruntime

    own = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    return f"rounded by onnxruntime {onnxruntime.__version__}, {own}"


def rounded(network: Network, content: bytes) -> bytes:
    """Return the graph with int8 products. Raises EngineBuildFailed with ONNX Runtime's reason."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logger = logging.getLogger()
    before = logger.level
    try:
        with tempfile.TemporaryDirectory(prefix="vitascope-int8-") as folder:
            target = Path(folder) / "int8.onnx"
            graph = onnx.load_from_string(content)
            metadata = {one.key: one.value for one in graph.metadata_props}
            flat = {one.name for one in graph.graph.initializer if len(one.dims) == 2}
            others = [
                node.name
                for node in graph.graph.node
                if node.op_type in OPERATORS and node.input[1] not in flat  # it cannot run stacks of matrices
            ]
            logger.setLevel(logging.ERROR)  # it advises on the root logger
            quantize_dynamic(
                graph,
                target,
                op_types_to_quantize=list(OPERATORS),
                per_channel=True,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=others,
            )
            made = onnx.load(target)
    except Exception as error:  # its errors share no base of their own
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        message = f"ONNX Runtime cannot round {network.name} to int8: {first}."
        raise EngineBuildFailed(message) from error
    finally:
        logger.setLevel(before)
    held = {one.key for one in made.metadata_props}
    for key, value in metadata.items():
        if key not in held:
            made.metadata_props.add(key=key, value=value)
    if not any(node.op_type in ("MatMulInteger", "DynamicQuantizeMatMul") for node in made.graph.node):
        raise EngineBuildFailed(f"{network.name} has no product with weights that could be rounded to int8.")
    return bytes(made.SerializeToString())
