"""The curve over the number of seen classes: its points, what they are read from, and what is refused."""

import contextlib
import io

import pytest

from bgsnet_tf.errors import UserError
from bgsnet_tf.experiments import learning_curve
from tests.experiments.trained import trained_stages
from tests.whole_runs import SMALL


@pytest.fixture
def general(tiny_config):
    """Settings of GNet alone, on a backbone that comes trained."""
    return tiny_config.replace(bsnet=False, meta=False, finetune_epochs=0)


def test_every_point_is_a_run_on_so_many_classes_and_the_same_command_trains_nothing(general, tmp_path):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        table = learning_curve.run(general, [3], 1)
    whole = int(table["seen classes"].iloc[-1])
    root = tmp_path / "run"
    assert table["seen classes"].tolist() == [3, whole] and whole > 3
    assert trained_stages(root) == {f"seen{count}/seed0": ["finetune"] for count in (3, whole)}
    assert "--seen_classes=3" in (root / "seen3/seed0/config.flags").read_text()
    assert "--seen_classes=0" in (root / f"seen{whole}/seed0/config.flags").read_text()
    assert (root / "figures" / "learning_curve.svg").exists() and "| seen classes |" in (root / "learning_curve.md").read_text()
    times = {path: path.stat().st_mtime_ns for path in root.glob("seen*/seed0/**/*")}
    with contextlib.redirect_stdout(io.StringIO()):
        assert learning_curve.run(general, [3], 1).equals(table)
    assert {path: path.stat().st_mtime_ns for path in root.glob("seen*/seed0/**/*")} == times


def test_what_gives_no_curve_is_refused(general):
    with pytest.raises(UserError, match="--counts=1000 is not below"):
        learning_curve.run(general, [3, 1000], 1)
    with pytest.raises(UserError, match="starts at random"):
        learning_curve.run(general.replace(**SMALL), [3], 1)
