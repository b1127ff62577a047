"""Tails and quantiles from scipy.special, which loads in a quarter of the time of scipy.stats.

Those of Student's t and of F are the same bits as in scipy.stats, those of the noncentral t agree to 2e-16.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]


def t_above(t: Floats | float, degrees_of_freedom: Floats | float) -> Floats:
    """P(T > t)."""
    return np.asarray(special.stdtr(degrees_of_freedom, -np.asarray(t)), float)


def t_below(t: Floats | float, degrees_of_freedom: Floats | float) -> Floats:
    """P(T <= t)."""
    return np.asarray(special.stdtr(degrees_of_freedom, t), float)


def t_quantile(probability: Floats | float, degrees_of_freedom: Floats | float) -> Floats:
    """The t with P(T <= t) = `probability`."""
    return np.asarray(special.stdtrit(degrees_of_freedom, probability), float)


def t_critical(level: Floats | float, degrees_of_freedom: Floats | float) -> Floats:
    """The t with P(T > t) = `level`, exact for small levels."""
    return -t_quantile(level, degrees_of_freedom)


def noncentral_t_below(t: Floats | float, degrees_of_freedom: Floats | float, noncentrality: Floats) -> Floats:
    """P(T <= t) of the noncentral t."""
    return np.asarray(special.nctdtr(degrees_of_freedom, noncentrality, t), float)


def f_above(f: float, df1: float, df2: float) -> float:
    """P(F > f)."""
    return float(special.fdtrc(df1, df2, f))


def skewness(values: Floats) -> Floats:
    """The third standardised moment along the last axis; NaN where nothing varies."""
    deviations = values - values.mean(axis=-1, keepdims=True)
    variance = (deviations**2).mean(axis=-1)
    cubes = (deviations**3).mean(axis=-1)
    return np.asarray(np.divide(cubes, variance**1.5, out=np.full(cubes.shape, np.nan), where=variance > 0), float)


def wilson_interval(hits: int, n: int) -> tuple[float, float]:
    """Wilson's (1927) 95 % interval for a share, as in Newcombe (1998)."""
    z, share = float(special.ndtri(0.975)), hits / n
    weight = 2 * (n + z**2)
    centre = (2 * n * share + z**2) / weight
    half = z / weight * float(np.sqrt(4 * n * share * (1 - share) + z**2))
    return (centre - half if hits else 0.0), (centre + half if hits < n else 1.0)
