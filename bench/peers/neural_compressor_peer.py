"""Intel Neural Compressor's static int8 of an ONNX model, by its own defaults. Run in its own environment.

neural_compressor_peer.py MODEL.onnx SAMPLES.npy OUT.onnx
"""

import sys

import numpy as np
from neural_compressor import PostTrainingQuantConfig, quantization

BATCH = 50


class Samples:
    """Batches of encoded inputs, as it wants them: with a label, which it does not look at."""

    def __init__(self, samples: np.ndarray) -> None:
        self.samples, self.batch_size = samples, BATCH

    def __iter__(self):
        for start in range(0, len(self.samples), BATCH):
            yield self.samples[start : start + BATCH], 0


given, samples, out = sys.argv[1], np.load(sys.argv[2]), sys.argv[3]
settings = PostTrainingQuantConfig(approach="static", calibration_sampling_size=[len(samples)])
made = quantization.fit(given, settings, calib_dataloader=Samples(samples))
made.save(out)
