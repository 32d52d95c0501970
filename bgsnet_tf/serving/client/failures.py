"""How a request can fail, beside being `Refused`. Only what is `Overloaded` or `Lost` is worth another try."""


class Overloaded(Exception):
    """The server has no room for the request now; the same request may pass later."""


class Lost(Exception):
    """The connection broke before the answer was whole; the same request may pass later."""


class Garbled(Exception):
    """What came is no answer to the request."""
