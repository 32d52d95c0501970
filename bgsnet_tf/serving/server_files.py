"""Files that start TF Serving on an export: models.config, batching.config and compose.yaml, beside the versions.

They name the folder as a container sees it, so the export may move.
"""

import os

from bgsnet_tf import files

MODEL_NAME = "bgsnet"

MODELS_CONFIG = f"""\
model_config_list {{
  config {{
    name: "{MODEL_NAME}"
    base_path: "/models/{MODEL_NAME}"
    model_platform: "tensorflow"
    model_version_policy {{ latest {{ num_versions: 1 }} }}
  }}
}}
"""

# Padding would repeat a request's first value: pixels around a small image, or classes that nobody asked for.
BATCHING_CONFIG = """\
max_batch_size { value: 32 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 64 }
pad_variable_length_inputs: false
"""

COMPOSE = f"""\
services:
  {MODEL_NAME}:
    image: tensorflow/serving:2.15.1
    ports: ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"]
    volumes: [".:/models/{MODEL_NAME}:ro"]
    command:
      - --model_config_file=/models/{MODEL_NAME}/models.config
      - --enable_batching=true
      - --batching_parameters_file=/models/{MODEL_NAME}/batching.config
"""

FILES = {"models.config": MODELS_CONFIG, "batching.config": BATCHING_CONFIG, "compose.yaml": COMPOSE}


def write_missing(directory):
    """Writes the files that `directory` does not hold yet; an edited one stays."""
    for name, content in FILES.items():
        path = os.path.join(directory, name)
        if not os.path.exists(path):
            files.write(path, content)
