"""Models as trees of layers, traced into a graph that the compiled core runs."""

from whet.nn import init
from whet.nn.activations import ELU, GELU, Identity, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from whet.nn.containers import MLP, Sequential
from whet.nn.layers import Dropout, Linear
from whet.nn.module import Module
from whet.nn.parameter import Parameter
from whet.nn.tracing import Value, concatenate

__all__ = [
    "ELU",
    "GELU",
    "MLP",
    "Dropout",
    "Identity",
    "LeakyReLU",
    "Linear",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Tanh",
    "Value",
    "concatenate",
    "init",
]
