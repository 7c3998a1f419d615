r"""A number that was measured with several seeds on images of several sources, and how sure it is.

Images of one source are alike, and a reader wants to know about images from elsewhere. So the
interval is over other sources and other seeds; beside it stands the one over other images *of the
same sources*, as what it is.

Sources of a class are one draw, those of the other class another, seeds a third. Their variances
add:

.. math:: \mathrm{SE}^2 = \frac{s^2}{n} + \sum_k \frac{G_k - 1}{G_k}
          \sum_{g=1}^{G_k} \left(\hat\theta_{(-g)} - \bar\theta_{(-)}\right)^2

with the standard deviation s between n seeds, and the mean over seeds :math:`\hat\theta_{(-g)}`
without source g: the jackknife over whole sources (MacKinnon, Nielsen and Webb 2023, CV3), for the
:math:`G_k` sources of each stratum k, a class of a split. The parts have n - 1 and
:math:`(\sum_g m_g)^2 / \sum_g m_g^2 - 1` degrees of freedom, the number of sources of equal size
that sources of :math:`m_g` images are worth (Kish 1965) less one; their sum has those of
Satterthwaite (1946):

.. math:: \nu = \Big(\sum_i v_i\Big)^2 \Big/ \sum_i \frac{v_i^2}{\nu_i}

The interval is Student's on the scale of :math:`\ln\frac{\theta - a}{b - \theta}`, with a and b the
least and the largest value that there can be, so that it never leaves them. How often such
intervals hold the truth is measured in ``benchmarks/coverage.py``. Where a rate is 0, or 1, without
any source nothing varies; its interval is then Wilson's of so many of as many sources, as if each
were one trial, for no source says how far others may lie. Assumed: sources and seeds are
independent draws. Other training images, encoders or benchmarks are not in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit, logit

from layerfusion.metrics.uncertainty import (
    LEVEL,
    Interval,
    Values,
    image_interval,
    share_interval,
)

Over = Literal["sources and seeds", "sources", "images and seeds", "images"]


@dataclass(frozen=True)
class MeasuredInterval(Interval):
    """The mean over seeds with its interval, over what that is, and what it is made of.

    Attributes
    ----------
    over
        What other draws the interval is about. Where a class has one source, or nobody knows the
        sources, it is about images.
    images
        The percentile interval over other images of the same sources.
    seeds
        How many.
    seed_sd
        Standard deviation of the estimates between seeds, NaN of one.
    image_se
        Standard error of the mean over seeds from the images, NaN if not known.
    parts
        The variances that add up to that of the mean, each with its degrees of freedom.
    p_value
        Two-sided, against 0; NaN where nothing varies.
    """

    over: Over
    images: Interval
    seeds: int
    seed_sd: float
    image_se: float
    parts: tuple[tuple[float, float], ...]
    p_value: float

    @property
    def standard_error(self) -> float:
        """Standard error of the mean over seeds."""
        return float(np.sqrt(sum(variance for variance, _ in self.parts)))

    def row(self, name: str = "estimate") -> dict[str, Any]:
        """Return also over what the interval is, and the one over images, as columns."""
        images = {"images_low": self.images.low, "images_high": self.images.high}
        return super().row(name) | {"over": self.over} | images

    def minus(self, value: float, error: float) -> Interval:
        """Return the interval of the mean less a value that has a standard error of its own."""
        parts = [*self.parts, (error**2, np.inf)]
        low, high, _ = student(self.estimate - value, parts, (-np.inf, np.inf))
        return Interval(self.estimate - value, low, high)


@dataclass(frozen=True)
class Measured:
    """A metric, or a signed sum of metrics, on all images, on resamples, and without each source.

    Attributes
    ----------
    estimates
        Of each seed on all images, shape (seeds,).
    replicates
        On each bootstrap resample of the images, shape (seeds, resamples).
    left_out
        A row a seed, a column a source, named by its stratum (the class of a split) and itself: the
        metric without this source. No columns where the sources are not known.
    images
        How many images a source has, by the same names.
    bounds
        The least and the largest value that there can be.
    """

    estimates: Values
    replicates: Values
    left_out: pd.DataFrame
    images: "pd.Series[int]"
    bounds: tuple[float, float] = (0.0, 1.0)

    def __neg__(self) -> "Measured":
        low, high = self.bounds
        values = (-self.estimates, -self.replicates, -self.left_out)
        return Measured(*values, self.images, (-high, -low))

    def __add__(self, other: "Measured | float") -> "Measured":
        """Add value by value, of the same seed, resample and source; or a number to all."""
        if not isinstance(other, Measured):
            low, high = self.bounds
            return replace(
                self,
                estimates=self.estimates + other,
                replicates=self.replicates + other,
                left_out=self.left_out + other,
                bounds=(low + other, high + other),
            )
        sources = self.left_out.columns.union(other.left_out.columns)
        return Measured(
            self.estimates + other.estimates,
            self.replicates + other.replicates,
            self._without(sources) + other._without(sources),
            self.images.combine(other.images, max, fill_value=0),
            (self.bounds[0] + other.bounds[0], self.bounds[1] + other.bounds[1]),
        )

    def __sub__(self, other: "Measured") -> "Measured":
        return self + -other

    def interval(self) -> MeasuredInterval:
        """Return the mean over seeds with the interval that the module describes.

        Of one seed, and of sources that are not known, it is the percentile interval over images.
        """
        mean, seeds = float(self.estimates.mean()), len(self.estimates)
        drawn = self.replicates.mean(axis=0)
        images = image_interval(np.append(mean, drawn))
        drawn = drawn[~np.isnan(drawn)]
        image_se = float(drawn.std(ddof=1)) if len(drawn) > 1 else np.nan
        seed_sd = float(self.estimates.std(ddof=1)) if seeds > 1 else np.nan
        sources = self._source_variances()
        parts = [*([(seed_sd**2 / seeds, seeds - 1.0)] if seeds > 1 else [])]
        parts += sources or [(image_se**2, np.inf)]
        over = _OVER[bool(sources), seeds > 1]
        low, high, p_value = student(mean, parts, self.bounds)
        if over == "images":
            low, high = images.low, images.high
        elif sources and low == high and self.bounds == (0, 1) and mean in self.bounds:
            fewest = round(min(freedom for _, freedom in sources)) + 1
            low, high = _share_of(int(mean) * fewest, fewest)
        return MeasuredInterval(
            mean, low, high, over, images, seeds, seed_sd, image_se, tuple(parts), p_value
        )

    def without_sources(self) -> "Measured":
        """Return the same as if nobody knew the sources."""
        return replace(self, left_out=self.left_out.iloc[:, :0], images=self.images[:0])

    def _without(self, sources: pd.Index) -> pd.DataFrame:
        """Return the values without each of some sources, those on all images without others."""
        places = self.left_out.columns.get_indexer(sources)  # -1, the last column, of others
        values = np.column_stack([self.left_out.to_numpy(), self.estimates])[:, places]
        return pd.DataFrame(values, columns=sources)

    def _source_variances(self) -> list[tuple[float, float]]:
        """Return each stratum's variance and degrees of freedom; none if one has a lone source."""
        found = []
        for _, own in self.left_out.mean(axis=0, skipna=False).groupby(level=0):
            if len(own) < 2 or own.isna().any():
                return []
            images = self.images[own.index].to_numpy(dtype=np.float64)
            effective = images.sum() ** 2 / (images**2).sum()
            found.append(((len(own) - 1) * float(own.var(ddof=0)), effective - 1))
        return found


def _share_of(part: int, sources: int) -> tuple[float, float]:
    """Return Wilson's interval of a share of sources."""
    found = share_interval(part, sources)
    return found.low, found.high


_OVER: dict[tuple[bool, bool], Over] = {
    (True, True): "sources and seeds",
    (True, False): "sources",
    (False, True): "images and seeds",
    (False, False): "images",
}


def student(
    mean: float, parts: Sequence[tuple[float, float]], bounds: tuple[float, float]
) -> tuple[float, float, float]:
    """Return Student's interval of a mean whose variance is a sum, and the p-value against 0.

    Parameters
    ----------
    mean
        Within the bounds.
    parts
        Of each summand its value and its degrees of freedom.
    bounds
        What the mean cannot leave; -inf and inf where there are none.

    Returns
    -------
    tuple
        Low, high and the p-value, NaN where a variance is; the p-value also where nothing varies.
    """
    variances, freedoms = np.array(parts, dtype=np.float64).T
    error = float(np.sqrt(variances.sum()))
    if not error > 0:
        return (mean, mean, np.nan) if error == 0 else (np.nan, np.nan, np.nan)
    shared = float((variances**2 / freedoms).sum())
    freedom = error**4 / shared if shared > 0 else np.inf
    reach, (least, largest) = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error, bounds
    if np.isfinite(bounds).all() and least < mean < largest:
        slope = (largest - least) / ((mean - least) * (largest - mean))
        place, zero = logit(np.clip((np.array([mean, 0.0]) - least) / (largest - least), 0, 1))
        ends = expit(place + np.array([-reach, reach]) * slope)
        low, high = least + (largest - least) * ends
        distance = abs(place - zero) / slope
    else:
        low, high = np.clip([mean - reach, mean + reach], least, largest)
        distance = abs(mean)
    return float(low), float(high), float(2 * stats.t.sf(distance / error, freedom))
