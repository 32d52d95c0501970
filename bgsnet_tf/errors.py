"""What ends a command early: a mistake that a user can mend, which `cli` prints as a single line, or a signal."""

from bgsnet_tf.names import shown


class UserError(Exception):
    """Says what is wrong, where (file, row, flag) and what to do about it, in one line."""

    def __init__(self, message):
        super().__init__(shown(message))


class Interrupted(KeyboardInterrupt):
    """A signal asked the process to end; nothing is lost by it.

    Attributes:
      signal: its number.
    """

    def __init__(self, signal):
        super().__init__()
        self.signal = signal
