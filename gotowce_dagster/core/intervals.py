"""Confidence intervals."""


def wilson(hits: int, count: int, level: float) -> tuple[float, float]:
    """Wilson's interval (1927) of a share, which holds for few cases and for none or all hits too.

    Args:
        count: at least 1.
        level: confidence level, between 0 and 1.
    """
    from scipy.stats import binomtest

    interval = binomtest(hits, count).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)
