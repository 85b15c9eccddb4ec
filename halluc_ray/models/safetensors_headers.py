"""What a safetensors file says of itself: names, dtypes, shapes and places of its tensors.

Reads the header alone, or one tensor's bytes, from any source; knows no model. Imports no torch.
Callers: `checkpoints`, `adapters`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from halluc_ray.errors import InputError
from halluc_ray.models.checkpoint_sources import Source, SourceFile

_MAX_HEADER_BYTES = 100 * 2**20
_DTYPE_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8, "C64": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a safetensors file.

    Attributes:
        dtype: as safetensors names it, such as `BF16`.
        shape: of the stored array; a packed one is smaller than the weights that it holds.
        start: first byte, counted from the file's beginning.
        stop: byte after the last.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def item_bytes(self) -> int:
        """Bytes of one element; 1 for a dtype that this version does not know."""
        return _DTYPE_BYTES.get(self.dtype, 1)


def read_header(source: Source, file: SourceFile) -> dict[str, StoredTensor]:
    """Tensors of a file by name; the file must be as long as its header says.

    Raises:
        InputError: it is no whole safetensors file.
    """
    damaged = InputError(
        f"checkpoint {source.uri}: {file.name} ({file.size} bytes) is no whole safetensors file; copy it again"
    )
    header_bytes = int.from_bytes(b"".join(source.chunks(file, limit=8)), "little")
    if not 2 <= header_bytes <= min(_MAX_HEADER_BYTES, file.size - 8):
        raise damaged
    data = 8 + header_bytes
    try:
        header = json.loads(b"".join(source.chunks(file, limit=data))[8:])
        tensors = {
            name: StoredTensor(
                str(tensor["dtype"]),
                tuple(int(size) for size in tensor["shape"]),
                data + int(tensor["data_offsets"][0]),
                data + int(tensor["data_offsets"][1]),
            )
            for name, tensor in header.items()
            if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise damaged from error
    if max((tensor.stop for tensor in tensors.values()), default=data) != file.size:
        raise damaged
    return tensors
