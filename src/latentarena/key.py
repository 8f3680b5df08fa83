"""The key of the judge's random numbers: kept secret while a contest runs, published when it has closed. No torch.

Noise, labels, order of rows, batch sizes, choice of train images and bootstrap draws of one evaluation follow from the
key and the bundle's hash by HMAC-SHA256. Who has the key can therefore recompute a score to the bit; who has not cannot
know what a bundle will be asked.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

from latentarena.errors import ConfigError

SIZE = 32  # bytes
PUBLIC = "public"  # the name of the practice key
SHOWN = 12  # hexadecimal digits of a commitment in a name


@dataclass(frozen=True)
class Key:
    """A key of 32 bytes. Printing it shows its name and never its content."""

    content: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.content) != SIZE:
            raise ConfigError(f"a key has {SIZE} bytes, not {len(self.content)}")

    @classmethod
    def new(cls) -> Key:
        """A key that nobody knows."""
        return cls(secrets.token_bytes(SIZE))

    @classmethod
    def parse(cls, text: str) -> Key:
        """The key written as 64 hexadecimal digits.

        Raises:
            ConfigError: it is not; the message does not repeat it.
        """
        if not re.fullmatch(f"[0-9a-fA-F]{{{2 * SIZE}}}", text.strip()):
            raise ConfigError(f"a key is {2 * SIZE} hexadecimal digits; this is no such text")
        return cls(bytes.fromhex(text.strip()))

    @property
    def text(self) -> str:
        """All of it, as `parse` reads it."""
        return self.content.hex()

    @property
    def commitment(self) -> str:
        """SHA-256 of the key: published beforehand, it proves later that the key was this one all along."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def name(self) -> str:
        """What score cards call it: `public`, or `secret` and the first digits of its commitment."""
        return PUBLIC if self == PRACTICE else f"secret {self.commitment[:SHOWN]}"

    def seed(self, bundle: str, *use: int | str) -> int:
        """A seed for one use in the evaluation of one bundle, in [0, 2^63).

        Args:
            bundle: its hash.
            use: what the random numbers are for.
        """
        message = repr((bundle, *use)).encode()
        return int.from_bytes(hmac.digest(self.content, message, "sha256")[:8], "big") >> 1


PRACTICE = Key(hashlib.sha256(b"latentarena: the public key for practice").digest())
"""The key of `arena judge`, `arena check` and `arena train`; everybody knows it."""
