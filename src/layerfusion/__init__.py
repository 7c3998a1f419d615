"""Layer-wise CLIP feature fusion for synthetic-image detection.

A reproduction of J. W. J. Lean, "Layer-Wise CLIP Feature Fusion for Synthetic Image Detection"
(MediaEval 2026), and the library behind it. Images are labelled 0 (real) or 1 (synthetic).
"""

import warnings
from importlib.metadata import version

# OpenCLIP imports tqdm, which in a kernel without widgets leaves this complaint on the page.
warnings.filterwarnings("ignore", message="IProgress not found")

__version__ = version("layerfusion")
