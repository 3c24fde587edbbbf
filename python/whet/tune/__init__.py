"""What to train with: a learning-rate range test, and searches over arguments of model, optimizer and fit."""

from whet.tune.range_test import *
from whet.tune.results import *
from whet.tune.searching import *
from whet.tune.space import *
from whet.tune.studies import *

from . import range_test, results, searching, space, studies  # isort: skip

__all__ = [*range_test.__all__, *results.__all__, *searching.__all__, *space.__all__, *studies.__all__]
