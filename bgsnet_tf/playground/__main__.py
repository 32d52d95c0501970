"""Opens a page on which an export can be tried: photos, heat maps, classes of one's own.

python -m bgsnet_tf.playground --export_dir=runs/demo/export/1 --examples=runs/demo/examples
"""

import sys
import webbrowser

from absl import flags

from bgsnet_tf import cli
from bgsnet_tf.errors import UserError
from bgsnet_tf.serving.client.asking import find_images

MOST_EXAMPLES = 24


def main():
    values = flags.FLAGS
    if not values.export_dir:
        raise UserError("--export_dir is missing; name a version folder such as runs/demo/export/1")
    examples = find_images(values.examples)[:MOST_EXAMPLES] if values.examples else []
    from bgsnet_tf.exported.model import ExportedModel  # after the flags are read: loading TensorFlow takes seconds
    from bgsnet_tf.playground.answers import Answers
    from bgsnet_tf.playground.connections import Server
    from bgsnet_tf.playground.server import LOOPBACK, Playground

    answers = Answers(ExportedModel(values.export_dir))
    server = Server(values.host, values.port, Playground(answers, examples, values.host))
    if values.host not in LOOPBACK:
        print(f"warning: --host={values.host} lets everyone who reaches this machine use the model; it has no password", file=sys.stderr)
    shown = f"[{values.host}]" if ":" in values.host else values.host
    address = f"http://{shown}:{server.port}/"
    print(f"The playground is at {address} (Ctrl-C ends it)", flush=True)
    if values.browser:
        webbrowser.open(address)
    server.serve_forever()


def command():
    """Defines the flags of this command and runs it."""
    flags.DEFINE_string("export_dir", "", "Version folder of an export.")
    flags.DEFINE_string("examples", "", f"Folder of images to offer on the page, or a pattern; the first {MOST_EXAMPLES} are taken.")
    flags.DEFINE_string("host", "127.0.0.1", "Address to listen on. Any other than this machine's own opens the page to the network.")
    flags.DEFINE_integer("port", 8600, "Port to listen on; 0 for a free one.", 0, 65535)
    flags.DEFINE_bool("browser", False, "Open the page in this machine's browser.")
    cli.run(main)


if __name__ == "__main__":
    command()
