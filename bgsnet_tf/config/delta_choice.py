"""What a validation run chooses for the final one: δ, which is taken off the scores of seen classes, and where fine-tuning stops."""

import os

from bgsnet_tf import files

FLAGS = {"fused": "delta", "general": "delta_general", "special": "delta_special"}
NOT_CALIBRATED = "0 without calibration, so seen classes keep their advantage; --calibrate chooses δ on the validation split"


def validation_run(config):
    """Settings of the run that chooses δ for `config`: the same flags on the validation split, in a folder below the run's."""
    return config.replace(split="validation", calibrate=False, run_dir=os.path.join(config.run.run_dir, "validation"))


def with_choices(config, results):
    """`config` with all that its validation run chose as its flags.

    Args:
      config: of the final split.
      results: the content of the `results.json` of `validation_run`.
    """
    return config.replace(calibrate=False, **choices(results))


def choices(results):
    """Flag name to value of all that a validation run chose: where fine-tuning stops, and the δ of every branch, in thousandths.

    Args:
      results: the content of its `results.json`.
    """
    ausuc = {int(epoch): scores["AUSUC"] for epoch, scores in results.get("finetuning", {}).items()}
    best = max(ausuc, key=ausuc.get, default=0)
    deltas = {FLAGS[name]: round(delta, 3) for name, delta in results["deltas"].items() if name in FLAGS}
    return {"finetune_stop": 0 if best == len(ausuc) else best, **deltas}


def _earlier_results(config):
    """The results of the validation run of `config`; None where they are not there, or damaged."""
    found = files.read_json(os.path.join(validation_run(config).run.run_dir, "results.json"))
    return found if isinstance(found, dict) and "deltas" in found else None


def with_earlier_choices(config):
    """`config` with all that its validation run chose, where that has ended before; else as it is, but for --calibrate."""
    found = _earlier_results(config)
    return with_choices(config, found) if found else config.replace(calibrate=False)


def is_calibrated(config):
    """Whether the δ of `config` are those that its validation run chose."""
    found = _earlier_results(config)
    return found is not None and with_choices(config, found) == config.replace(calibrate=False)


def source(config):
    """Where the δ among the flags of `config` came from, as the end of a sentence."""
    if is_calibrated(config):
        return "the best H on the validation split of the same run"
    return "a constant of the flags, to be chosen on the validation split" if config.evaluation.delta else NOT_CALIBRATED
