"""A thesis you can run: self-supervised video representation learning in seven methods.

Importing the package is cheap on purpose: nothing heavy is loaded here, so that
``thesislib --help`` answers at once. Import what you need from the rooms, for example
``from thesislib.methods.dpc import DPC``.
"""

import warnings

__version__ = "0.1.0"

# tqdm misses widgets for its bars in notebooks; our pages have no bars, on purpose.
warnings.filterwarnings("ignore", message="IProgress not found")
