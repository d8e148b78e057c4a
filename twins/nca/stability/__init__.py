"""How sensitive an automaton is to its start: the worst and the most harmless change of it, found by gradients.

settings = SearchSettings(seek="largest", bound=Bound(size=1.0))
found = finished(seek_start(model, frames, settings=settings, seed=1))
found.deviation, found.random_deviation         by frame, of the change that was found and of random ones of its size
"""

from __future__ import annotations

from twins.nca.stability.bound import Bound
from twins.nca.stability.result import SearchEvent, SearchUpdate, SoughtStart
from twins.nca.stability.seek import seek_start
from twins.nca.stability.settings import SearchSettings

__all__ = ["Bound", "SearchEvent", "SearchSettings", "SearchUpdate", "SoughtStart", "seek_start"]
