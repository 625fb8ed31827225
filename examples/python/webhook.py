"""Signatures of callbacks (Standard Webhooks, version v1). Standard library only."""

import base64
import hashlib
import hmac
import time


def verify(secret, headers, body, tolerance=300):
    """Raises ValueError unless `body`, octet for octet as it came, was signed with `secret` ("whsec_…") within the last
    `tolerance` seconds. `headers` finds values by lower-case names."""
    identity, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    if identity is None or timestamp is None or not timestamp.isascii() or not timestamp.isdigit():
        raise ValueError("no webhook-id, or no webhook-timestamp")
    if abs(time.time() - int(timestamp)) > tolerance:
        raise ValueError("too old, or from the future")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b"%s.%s.%s" % (identity.encode(), timestamp.encode(), body)
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
    # One signature for each key that the gateway has, so that keys can be changed one after the other.
    for signature in (headers["webhook-signature"] or "").split():
        version, _, value = signature.partition(",")
        if version == "v1" and hmac.compare_digest(value.encode(), expected):
            return
    raise ValueError("no signature that fits")
