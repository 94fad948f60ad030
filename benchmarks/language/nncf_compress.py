"""Write an OpenVINO graph again with its weights in 8 bits: `nncf_compress.py FOLDER TARGET`."""

from __future__ import annotations

import sys
from pathlib import Path

import nncf
import openvino

NAME = "openvino_model.xml"
source, target = map(Path, sys.argv[1:])
graph = openvino.Core().read_model(source / NAME)
openvino.save_model(nncf.compress_weights(graph, mode=nncf.CompressWeightsMode.INT8_ASYM), target / NAME)
