"""Export: any registered model as one ONNX graph, from uint8 pixels to label and probabilities."""

from tenfold.export.exporter import export_onnx
from tenfold.export.graph import OPSET
from tenfold.export.outliers import OutlierRule, fit_outlier_rule, held_out_distances, rule_rows
from tenfold.export.quantization import quantize_int8

__all__ = [
    "OPSET",
    "OutlierRule",
    "export_onnx",
    "fit_outlier_rule",
    "held_out_distances",
    "quantize_int8",
    "rule_rows",
]
