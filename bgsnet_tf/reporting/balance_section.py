"""The report's section on the balance of data set and instances: gates, instance weights, and what training did to them."""

from functools import partial

import numpy as np
import pandas as pd

from bgsnet_tf.evaluation import analysis
from bgsnet_tf.reporting import figures

SAMPLED_CHANNELS = 4  # as in the paper's Fig. 3c
TRAINED_BALANCE = {  # column of the table of an epoch to what it is, in the last one, on a few training images
    "gate_order_kept": ("rank correlation of w^d at the start and at the end", "{:.2f}"),
    "error_correlation": ("correlation of the sub-modules' errors on training images, mean over pairs", "{:.2f}"),
    "loss_s": ("L_s in the last epoch", "{:.3g}"),
    "eta_loss_div": ("|η L_div| in the last epoch", "{:.3g}"),
    "gradient_tails": ("norm of the gradient of the tails, mean over its steps", "{:.3g}"),
    "gradient_heads": ("of f_b and f_s", "{:.3g}"),
    "gradient_gates": ("of the gates", "{:.3g}"),
}


def trained_balance(balance):
    """Rows (what, number) of the last epoch of `training.balance_summary`, a mapping or None; what is not known is left out."""
    known = {name: value for name, value in (balance or {}).items() if name in TRAINED_BALANCE and not pd.isna(value)}
    return [[text, form.format(known[name])] for name, (text, form) in TRAINED_BALANCE.items() if name in known]


def section(evidence, draw):
    """The balance of a run as what the report's template shows of it.

    Args:
      evidence: `run_page.Evidence`.
      draw: function from a figure's name, what makes it, a description and a caption to what a template shows.
    """
    gates, balanced = evidence.results["gates"], evidence.weights is not None
    binary = analysis.gate_figures(gates)
    drawn = [draw("gates", partial(figures.gates, gates), "Gate of each sub-module")]
    rows = [
        ["gates over one half", f"{binary['over_half']}/{len(gates)}"],
        [f"gates below {analysis.NEAR_ZERO}", f"{binary['near_zero']}/{len(gates)}"],
        [f"gates above {analysis.NEAR_ONE}", f"{binary['near_one']}/{len(gates)}"],
    ]
    if balanced:
        n, modules, channels = evidence.weights.shape
        count = min(SAMPLED_CHANNELS, channels)
        sampled = np.sort(np.random.default_rng(evidence.results["seed"]).choice(channels, count, replace=False))
        quantiles = np.quantile(evidence.weights[:, :, sampled], [0.05, 0.5, 0.95], axis=0)
        caption = f"Channels drawn at random; over {n} images: the median, and 5 to 95 %."
        of_channels = partial(figures.instance_weights, quantiles, sampled)
        drawn.append(draw("instance_weights", of_channels, "Instance weights of sampled channels", caption))
        of_all = partial(figures.weight_histogram, *np.histogram(evidence.weights, bins=20, range=(0, 1)))
        drawn.append(draw("weight_histogram", of_all, "Histogram of all instance weights", "All weights."))
        numbers = analysis.weight_figures(evidence.weights)
        rows += [
            [f"instance weights below {analysis.NEAR_ZERO}", f"{numbers['near_zero']:.0%}"],
            [f"instance weights above {analysis.NEAR_ONE}", f"{numbers['near_one']:.0%}"],
            ["channels that one sub-module alone attends to (mean weight over .5)", f"{numbers['alone']:.0%}"],
            [f"sub-modules that share a channel: (Σw)²/Σw², from 1 to {modules}", f"{numbers['effective_modules']:.2f}"],
            ["variance of a channel's weights between sub-modules, whatever the image", f"{numbers['fixed']:.0%}"],
            ["between images, for all sub-modules alike", f"{numbers['per_image']:.0%}"],
            ["in their interaction: each sub-module in its own images", f"{numbers['joint']:.0%}"],
        ]
    return {"figures": drawn, "rows": rows + trained_balance(evidence.balance), "instance_balance": balanced}
