"""The real configuration, ResNet101 at 224×224 with N = 10, through all stages on 64 real photos."""

import resource
import subprocess
import sys

import pandas as pd
import pytest

from tests.conftest import ROOT, shared_data

ROWS = {"trainval": 40, "test_seen": 12, "test_unseen": 12}
SHORT = [
    "--dataset=csv",
    "--backbone_weights=none",
    "--finetune_head_epochs=1",
    "--finetune_epochs=1",
    "--meta_epochs=1",
    "--meta_steps=3",
    "--eph_max=1",
    "--balance_epochs=1",
    "--cache_views=2",
]


@pytest.mark.slow
def test_all_stages_at_full_size(tmp_path):
    photos = shared_data("cub_photos")
    data = tmp_path / "photos"
    data.mkdir()
    (data / "images").symlink_to(photos / "images")
    (data / "attributes.csv").write_text((photos / "attributes.csv").read_text())
    table = pd.read_csv(photos / "images.csv")
    chosen = [table[table.split == split].groupby("class").head(-(-rows // 3)).head(rows) for split, rows in ROWS.items()]
    chosen[0] = table[table.split == "trainval"].groupby("class").head(6).head(ROWS["trainval"])
    pd.concat(chosen).to_csv(data / "images.csv", index=False)
    arguments = ["--flagfile=configs/resnet101.flags", *SHORT, f"--data_dir={data}", f"--run_dir={tmp_path / 'run'}"]
    for program in ([*["train.py"], *arguments], ["evaluate.py", f"--run_dir={tmp_path / 'run'}"]):
        result = subprocess.run([sys.executable, *program], cwd=ROOT, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        print(result.stdout, result.stderr.replace("\r", "\n"))
    print("peak memory of a child in GB:", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20)
    assert (tmp_path / "run" / "results.json").exists()
