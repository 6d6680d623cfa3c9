"""Who may ask: whoever knows the token, under a name of this server.

The token keeps other users of the machine and other pages of the browser out. The name is checked because a page
from elsewhere may let its own name point to this machine: its requests would carry that name.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass

_TOKEN_BYTES = 24


def new_token() -> str:
    """Make a token that nobody can guess."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a request must bring.

    Attributes:
        token: First part of every path.
        names: Names, in lower case, by which the server may be called besides addresses of loopback.
        any_address: Whether any plain IP address will do, for a server that others can reach.
    """

    token: str
    names: frozenset[str] = frozenset({"localhost"})
    any_address: bool = False

    def has_token(self, given: str) -> bool:
        """Whether a token is ours; takes equally long for every wrong one."""
        return hmac.compare_digest(given.encode(), self.token.encode())

    def allows_host(self, header: str | None) -> bool:
        """Whether a Host header names this server.

        >>> access = Access(token="t")
        >>> [access.allows_host(name) for name in ("127.0.0.1:80", "localhost", "[::1]:80")]
        [True, True, True]
        >>> [access.allows_host(name) for name in ("evil.example:80", "", None)]
        [False, False, False]
        """
        if not header:
            return False
        name = _without_port(header).lower()
        if name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.any_address or address.is_loopback


def access_for(host: str) -> Access:
    """What requests to a server that listens on an address must bring, with a new token."""
    if is_loopback(host):
        return Access(token=new_token())
    own = _own_names([host, socket.gethostname(), socket.getfqdn()])
    return Access(token=new_token(), names=frozenset({"localhost", *own}), any_address=True)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _own_names(names: Iterable[str]) -> set[str]:
    return {name.lower() for name in names if name}


def _without_port(header: str) -> str:
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]
