"""Laws: distributions over theta. Each is a function of one network's key.

`sample` and `log_density` take the law's specification (its traced fields may be tracers)
and the layout of theta; `support` says in words where its mass lies.
"""

from sweep_engine.laws.laws import log_density, sample, support

__all__ = ["log_density", "sample", "support"]
