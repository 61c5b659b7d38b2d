"""The wall between what a layer says and who computes it: the only code that looks at what an array is.

`Ops` is an engine as an object: the functions of the array API standard (2024.12) and what layers need besides, each in
its plain form. NumPy and JAX have forms of their own where those are faster. A rule is handed one and never asks which.
"""

from purenet.engine.ops import Ops
from purenet.engine.select import engine_of, engine_of_any, engine_of_both, joined_by, ops_for

__all__ = ["Ops", "engine_of", "engine_of_any", "engine_of_both", "joined_by", "ops_for"]
