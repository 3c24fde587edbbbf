"""What a trained model has learnt: which columns matter, to which rows, and how predictions change with them.

Every function takes an nn.Module with arrays, or a TabularModel with a table: the columns are then those of the table,
those that became several features moving together. Use rows that the model was not trained on. Every result has arrays,
``to_pandas()``, ``plot()`` and a table for notebooks.
"""

from whet.explain.dependence import PartialDependence, partial_dependence
from whet.explain.gradients import Attributions, input_gradients
from whet.explain.integrated import integrated_gradients
from whet.explain.permutation import PermutationImportance, permutation_importance

__all__ = [
    "Attributions",
    "PartialDependence",
    "PermutationImportance",
    "input_gradients",
    "integrated_gradients",
    "partial_dependence",
    "permutation_importance",
]
