"""Drift measures of the reference vectors by numpy and scipy, as JSON: what ours are held against.

The inputs are made again from the generator that every language has alike:
x = (1664525 x + 1013904223) mod 2^32, value x / 2^32.
"""

import json

import numpy as np
from scipy import stats
from scipy.spatial import distance


def lcg(seed, count):
    values = np.empty(count)
    x = seed
    for i in range(count):
        x = (1664525 * x + 1013904223) % 2**32
        values[i] = x / 2**32
    return values


def filled(shares):
    """Evidently's zero fill."""
    least = shares[shares > 0].min()
    fill = 0.0001 if least > 0.0001 else least / 1e6
    return np.where(shares == 0, fill, shares)


def deciles(a, b):
    edges = np.quantile(a, np.linspace(0.1, 0.9, 9))
    floor = lambda x: np.maximum(np.bincount(np.searchsorted(edges, x, "right"), minlength=10) / len(x), 1e-4)
    p, q = floor(a), floor(b)
    return float(np.sum((p - q) * np.log(p / q)))


def numeric(a, b):
    edges = np.histogram_bin_edges(np.concatenate([a, b]), "sturges")
    p = np.histogram(a, edges)[0] / len(a)
    q = np.histogram(b, edges)[0] / len(b)
    fp, fq = filled(p), filled(q)
    test = stats.ks_2samp(a, b)
    return {
        "psi": float(np.sum((fp - fq) * np.log(fp / fq))),
        "kl_divergence": float(stats.entropy(fp, fq)),
        "jensen_shannon": float(distance.jensenshannon(p, q)),
        "wasserstein": float(stats.wasserstein_distance(a, b) / max(np.std(a), 0.001)),
        "psi_deciles": deciles(a, b),
        "kolmogorov_smirnov": float(test.pvalue),
    }


def categorical(a, b):
    a, b = np.array(a), np.array(b)
    p, q = a / a.sum(), b / b.sum()
    fp, fq = filled(p), filled(q)
    return {
        "psi": float(np.sum((fp - fq) * np.log(fp / fq))),
        "kl_divergence": float(stats.entropy(fp, fq)),
        "jensen_shannon": float(distance.jensenshannon(p, q)),
        "chi_square": float(stats.chisquare(b, a * b.sum() / a.sum()).pvalue),
        "chi_square_contingency": float(stats.chi2_contingency(np.array([a, b])).pvalue),
    }


A, B = lcg(1, 2000), lcg(2, 1500)
print(
    json.dumps(
        {
            "V1": numeric(A, B),
            "V2": numeric(A, B**1.5),
            "V5": categorical([16, 18, 16, 14, 12, 12], [16, 16, 16, 16, 16, 8]),
        }
    )
)
