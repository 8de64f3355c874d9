"""Effects: of what preference, how much is put there by which factor, over the rows of a sweep."""

from sweep_engine.atlas.analysis import Effect, Effects, ResponseEffects, effects

__all__ = ["Effect", "Effects", "ResponseEffects", "effects"]
