"""All that is used of Keras and TensorFlow although it is not public, since nothing public does it.

Tried with TensorFlow 2.15.1 (Keras 2.15, tensorflow-addons 0.23) and 2.21 (tf-keras 2.21).
"""


def create_slots(optimizer, variables):
    """Creates the state that an optimizer keeps of its variables, so that a checkpoint can fill it.

    `build` of Keras's optimizers is public; those of tensorflow-addons, and of `tf.keras.optimizers.legacy`, have nothing but this.
    """
    build = getattr(optimizer, "build", None) or optimizer._create_all_weights
    build(variables)


def take_tensors(callback):
    """Lets a Keras callback get its logs as tensors, for which the host does not wait for the device. Keras's own say so in this way."""
    callback._supports_tf_logs = True


def gpu_memory_limit(device):
    """Bytes of a GPU that TensorFlow may take. Its public functions say what is in use, and only where a user has set a limit, which.

    Args:
      device: a `tf.config.LogicalDevice`.
    """
    from tensorflow.python.client import device_lib

    return {local.name: local.memory_limit for local in device_lib.list_local_devices()}[device.name]
