"""Models as trees of layers, traced into a graph that the compiled core runs.

What a file's `__all__` names is found here.
"""

from whet.nn import activations, containers, embeddings, ensembles, functional, gates, init, layers, normalization
from whet.nn.activations import *
from whet.nn.containers import *
from whet.nn.embeddings import *
from whet.nn.ensembles import *
from whet.nn.gates import *
from whet.nn.layers import *
from whet.nn.module import Module
from whet.nn.normalization import *
from whet.nn.parameter import Buffer, Parameter
from whet.nn.tracing import Value, concatenate

__all__ = ["Buffer", "Module", "Parameter", "Value", "concatenate", "functional", "init"]
__all__ += activations.__all__
__all__ += containers.__all__
__all__ += embeddings.__all__
__all__ += ensembles.__all__
__all__ += gates.__all__
__all__ += layers.__all__
__all__ += normalization.__all__
