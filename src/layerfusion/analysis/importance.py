r"""What each block is worth to a trained head: its weight, and what the logit loses without it.

A weight alone is no importance: one shared projection leaves the scale of each block to its class
tokens, and a block of the same weight may add little or much. So alpha stands beside what becomes
of the logit when a block's token no longer says which image it is of:

.. math:: e_l = \frac{1}{n} \sum_i \big| f(h_1, ..., h_L)(x_i)
          - f(h_1, ..., \bar h_l, ..., h_L)(x_i) \big|, \qquad
          \bar h_l = \frac{1}{n} \sum_i h_l(x_i)
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerfusion.model.detector import Detector


@torch.inference_mode()
def replacement_effects(detector: Detector, h: Tensor) -> NDArray[np.float64]:
    """Return e of every block that the head reads, in logits, float64.

    Parameters
    ----------
    h
        Class tokens of n images after every block of the encoder, shape (n, blocks, width), as
        `layerfusion.model.detector.extract` returns them.
    """
    tokens = detector.blocks_read(h.to(detector.mean.device))
    whole, means = detector.head(tokens), tokens.mean(dim=0)
    effects = []
    for block, mean in enumerate(means):
        replaced = tokens.clone()
        replaced[:, block] = mean
        effects.append(float((whole - detector.head(replaced)).abs().double().mean()))
    return np.array(effects)
