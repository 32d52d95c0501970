"""How every command starts and fails: flags in, one line out for a user's mistake, never a traceback."""

import gc
import re
import sys

from absl import app, flags, logging

from bgsnet_tf import config, interruption
from bgsnet_tf.config import flagfiles
from bgsnet_tf.errors import Interrupted, UserError

OBJECTS_BEFORE_COLLECTION = 50_000  # 700 as Python comes: tracing graphs makes millions, few of them garbage


def require(*names):
    """Raises a `UserError` where one of these flags has no value."""
    for name in names:
        if not flags.FLAGS[name].value:
            raise UserError(f"--{name} is missing; {', '.join(f'--{name}' for name in names[:-1])} and --{names[-1]} are needed")


def run(main):
    """Parses flags and calls `main()`.

    Exit status: 0 when done, 1 for bad flags or a `UserError` (one line on standard error), 130 and 143 after SIGINT and SIGTERM.
    """

    def guarded(argv):
        logging.set_verbosity(logging.WARNING)  # TensorFlow's notes on every saved model say nothing to a user
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be no UTF-8
        interruption.raise_on_signals()
        gc.set_threshold(OBJECTS_BEFORE_COLLECTION)
        try:
            if len(argv) > 1:
                raise UserError(f"'{argv[1]}' is not a flag; flags look like --seed=0")
            if flags.FLAGS.trust_backbone and not any(re.fullmatch("--?trust_backbone(=.*)?", argument) for argument in sys.argv[1:]):
                raise UserError("--trust_backbone stands in a flagfile; only you can give it, on the command line")
            main()
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except Interrupted as interrupted:
            print("interrupted; the same command continues the run", file=sys.stderr)
            return 128 + interrupted.signal
        return 0

    config.define_flags()
    defined = flags.FLAGS.flags_by_module_dict()
    for flag in [*defined.get(main.__module__, []), *defined[config.__name__]]:
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)  # so that --help lists them
    program = sys.modules["__main__"]
    program.__doc__ = program.__doc__ or sys.modules[main.__module__].__doc__  # with which --help begins; a console script has none
    app.run(guarded, flags_parser=_parse)


def _parse(arguments):
    try:
        return app.parse_flags_with_usage([arguments[0], *flagfiles.expand(arguments[1:])])
    except UserError as error:
        sys.exit(f"error: {error}")
