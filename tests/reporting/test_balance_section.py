"""The report's section on the balance."""

import numpy as np

from bgsnet_tf.reporting import balance_section


def test_the_trained_balance_leaves_out_what_is_not_known():
    rows = balance_section.trained_balance(
        {"epoch": 4, "gate_order_kept": 0.25, "loss_s": 0.5, "eta_loss_div": 0.125, "gradient_gates": np.nan}
    )
    assert rows == [
        ["rank correlation of w^d at the start and at the end", "0.25"],
        ["L_s in the last epoch", "0.5"],
        ["|η L_div| in the last epoch", "0.125"],
    ]
    assert balance_section.trained_balance(None) == []
