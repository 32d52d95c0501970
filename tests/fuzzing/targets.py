"""What is fuzzed: each target takes any bytes, and gives data that is well formed or fails in a way that a user understands.

A target is a function that returns (seeds, function from bytes to nothing); it imports what it tests, so that a fuzzer may watch it.
"""

import pathlib
import socket

import numpy as np
import scipy.io

from tests.data import generated_images, generated_xlsa17, hard_images
from tests.serving.client import raw_server

CSV_IMAGES = b"path,class,split,xmin,ymin,xmax,ymax\n0.jpg,cat,trainval,0,0,9,9\n1.jpg,dog,trainval,,,,\n2.jpg,yak,test_unseen,,,,\n"
CSV_ATTRIBUTES = b"class,furry,big\ncat,1,0\ndog,1,0.5\nyak,0,1e3\n"


def one_line(error):
    assert str(error) and len(str(error).splitlines()) == 1, repr(error)


def images(folder):
    """Image files, as training and serving read them."""
    from bgsnet_tf.data import decoding
    from bgsnet_tf.errors import UserError

    path = folder / "image"

    def read(contents):
        path.write_bytes(contents)
        try:
            pixels, same = decoding.read(str(path))
        except UserError as error:
            return one_line(error)
        height, width, channels = pixels.shape
        assert channels == 3 and 0 < height * width <= decoding.MAX_PIXELS and same == contents

    seeds = [contents for cases in (hard_images.REFUSED, hard_images.DAMAGED) for contents, _ in cases.values() if len(contents) < 1 << 17]
    for form, options in (("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {})):
        seeds += [hard_images.encoded(hard_images.RGB.convert(mode), form, **options) for mode in ("RGB", "L")]
    return seeds, read


def answers(folder):
    """What a server sends to the client, from the first byte on; the bytes' number says to which request."""
    from bgsnet_tf.errors import UserError
    from bgsnet_tf.exported.refusals import Refused
    from bgsnet_tf.serving.client import failures, rest

    listener = socket.create_server(("127.0.0.1", 0))

    class Answered(rest.RestTransport):
        def _connected(self, end):
            """The real connection; the other end has answered before it is asked."""
            connected = super()._connected(end)
            with listener.accept()[0] as server:
                server.sendall(self.answer)
                server.shutdown(socket.SHUT_WR)
                server.settimeout(0.001)
            return connected

    transport = Answered("127.0.0.1", listener.getsockname()[1], "bgsnet", 5.0)
    calls = [
        lambda: transport.classify([b"a", b"b"]),
        lambda: transport.zero_shot([b"a", b"b"], np.ones((2, 3))),
        lambda: transport.attributes(),
    ]

    def read(contents):
        transport.answer = contents
        for call in calls:
            try:
                answer = call()
            except (failures.Overloaded, failures.Lost, failures.Garbled, Refused, UserError):
                continue
            assert isinstance(answer, int) or len(answer) == 2

    bodies = [
        b'{"outputs": {"scores": [[1, 2], [3, 4.5]], "class_index": [1, 1]}}',
        b'{"metadata": {"signature_def": {"signature_def": {"zero_shot": {"inputs": {"class_attributes": '
        b'{"tensor_shape": {"dim": [{"size": "-1"}, {"size": "3"}]}}}}}}}}',
    ]
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(bodies[0]), bodies[0])
    refused = b'HTTP/1.1 400 Bad\r\nContent-Length: 14\r\n\r\n{"error": "a"}'
    short = [contents for contents in raw_server.NO_ANSWERS.values() if len(contents) < 1000]
    return [raw_server.classified(2), *map(raw_server.http, bodies), chunked, refused, *short], read


def tables(folder):
    """The tables of a data set; the first byte says which of the two."""
    from bgsnet_tf.config import DataConfig
    from bgsnet_tf.data import check

    generated_images.write_images(folder, ["0.jpg", "1.jpg", "2.jpg"])
    whole = {"images.csv": CSV_IMAGES, "attributes.csv": CSV_ATTRIBUTES}
    config = DataConfig(dataset="csv", data_dir=str(folder))

    def read(contents):
        damaged = list(whole)[contents[:1] < b"\x80"]
        for name, table in whole.items():
            (folder / name).write_bytes(contents[1:] if name == damaged else table)
        for problem in check.check(config, quick=True).problems:
            one_line(problem)

    strange = [b'"ca\nt"', "ca\u2028t".encode(), "ca\u0301t".encode(), b"$ca^{t$", b"c\x1bt", b"ca\xe9", "c\uffff".encode()]
    seeds = [b"\xff" + CSV_IMAGES, b"\0" + CSV_ATTRIBUTES, b"\xff\xef\xbb\xbf" + CSV_IMAGES.replace(b"\n", b"\r\n"), b"\xff\0"]
    seeds += [start + table.replace(b"cat", cell) for cell in strange for start, table in ((b"\xff", CSV_IMAGES), (b"\0", CSV_ATTRIBUTES))]
    seeds += [b"\xff" + CSV_IMAGES.replace(b"9,9", edges) for edges in (b"3e9,9", b"1e39,9", b"nan,9", b"-1,9", b",")]
    return seeds, read


def vectors(folder):
    """The vectors of classes that `make_tables` takes."""
    from bgsnet_tf.data.make_tables import read_vectors
    from bgsnet_tf.errors import UserError

    path, names = folder / "vectors.npy", folder / "names.txt"
    names.write_text("cat\ndog\n")
    whole = []
    for array in (
        np.eye(2),
        np.float32([[1, 2], [3, np.inf]]),
        np.array([[1, 1e39], [0, 1]]),
        np.array([["a", "b"]]),
        np.eye(2, dtype=complex),
    ):
        np.save(path, array)
        whole.append(path.read_bytes())

    def read(contents):
        path.write_bytes(contents)
        try:
            found = read_vectors(str(path), str(names))[1]
        except UserError as error:
            return one_line(error)
        assert np.isfinite(np.array(list(found.values()), np.float32)).all() and list(found) == ["cat", "dog"]

    return [*whole, b"", b"PK\x03\x04", whole[0][:20]], read


def mat_files(folder):
    """The .mat files of xlsa17; the first byte says which of the two."""
    from bgsnet_tf.config import DataConfig
    from bgsnet_tf.data import check

    generated_xlsa17.save(folder, generated_xlsa17.fields())
    paths = [next(pathlib.Path(folder).rglob(name)) for name in ("att_splits.mat", "res101.mat")]
    whole = [path.read_bytes() for path in paths]
    config = DataConfig(dataset="sun", data_dir=str(folder))

    def read(contents):
        damaged = int(contents[:1] < b"\x80")
        paths[damaged].write_bytes(contents[1:])
        paths[1 - damaged].write_bytes(whole[1 - damaged])
        for problem in check.check(config, quick=True).problems:
            one_line(problem)

    seeds = [b"\xff" + whole[0], b"\0" + whole[1], b"\xff", b"\xff" + whole[0][:200]]
    for path, start, name in zip(paths, (b"\xff", b"\0"), generated_xlsa17.fields()):  # uncompressed, damage reaches the reader itself
        scipy.io.savemat(path, generated_xlsa17.fields()[name], do_compression=False)
        seeds.append(start + path.read_bytes())
    return seeds, read


def configs(folder):
    """The flags of a run folder."""
    from absl import flags

    from bgsnet_tf import config
    from bgsnet_tf.errors import UserError

    path = folder / "config.flags"
    config.Config(run=config.RunConfig(run_dir=str(folder))).write(str(path))
    whole = path.read_bytes()

    def read(contents):
        path.write_bytes(contents)
        values = flags.FlagValues()
        config.define_flags(values)
        values(["program", f"--run_dir={folder}"])
        try:
            settings = config.of_run(values)
        except UserError as error:
            return one_line(error)
        assert settings.run.run_dir == str(folder)

    lines = whole.splitlines()
    return [whole, b"\n".join(lines[:3]), b"--eta=nan", b"--seed", b"--no_such=1", b"\xff\xfe", b"--flagfile=/proc/self/environ"], read


TARGETS = {target.__name__: target for target in (images, answers, tables, vectors, mat_files, configs)}
