"""How a generator pulls a version of the weights from learner 0.

The learner sends an offer with /update_weights; every worker of the generator then connects to the offer's address,
sends the token and a newline, and reads the tensors in the order of the offer. Each tensor is its bytes (row-major,
little-endian) followed by their CRC-32 (4 bytes, big-endian); after the last one the learner closes the connection. An
unknown token is answered by closing at once.
"""

from typing import Final

from pydantic import BaseModel, ConfigDict

CHECKSUM_BYTES: Final = 4
TOKEN_LINE_BYTES: Final = 128
"""No token with its newline is longer."""


class _Offer(BaseModel):
    # An unknown field is of a learner with a newer image; nothing may be in one that a generator must heed.
    model_config = ConfigDict(extra="ignore", frozen=True)


class TensorInfo(_Offer):
    name: str
    dtype: str
    """As torch names it, without "torch."."""
    shape: tuple[int, ...]


class WeightOffer(_Offer):
    """One version of the weights: what it consists of and where to fetch it."""

    host: str
    port: int
    token: str
    """Good for this offer until the learner withdraws it: workers of one generator share it."""
    tensors: tuple[TensorInfo, ...]
    total_bytes: int
    """Of all tensors, without checksums."""
    deadline_s: float
    """Seconds after which a pull gives up."""
