"""From an address to a transport: what speaks to a server, by REST or gRPC."""

import urllib.parse

from bgsnet_tf.errors import UserError
from bgsnet_tf.serving.client.rest import RestTransport
from bgsnet_tf.serving.client.rpc import GrpcTransport


def connect(server, model, timeout):
    """A transport to `server`: http://HOST:PORT for REST, grpc://HOST:PORT for gRPC.

    Args:
      server: the address.
      model: name that the server serves the model as.
      timeout: seconds that a request may take.

    Raises:
      UserError: for another kind of address, or without the packages that gRPC needs.
    """
    kinds = {"http": RestTransport, "grpc": GrpcTransport}
    try:
        address = urllib.parse.urlsplit(server)
        host, port, kind = address.hostname, address.port, kinds[address.scheme]
        host.encode("idna")
        if not port or "@" in address.netloc or not server.isprintable() or address.path.strip("/") or address.query:
            raise ValueError("it names more, or less, than a host and a port")
    except (ValueError, KeyError, AttributeError) as error:
        raise UserError(f"--server={server} is no address; give http://HOST:8501 for REST or grpc://HOST:8500 for gRPC") from error
    try:
        model.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"--model={model} is no UTF-8; give the name that the server serves the model as") from error
    return kind(host, port, model, timeout)
