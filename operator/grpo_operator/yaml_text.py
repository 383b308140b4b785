"""JSON that is YAML as well: the API server reads applied manifests as YAML, which takes fewer characters than JSON."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

REPLACEMENT: Final = "\ufffd"

_HALF: Final = re.compile("[\ud800-\udfff]")
"""Of a character beyond U+FFFF: alone it is none, and has no UTF-8."""

_TAKEN_ESCAPED: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What YAML calls unprintable or, up to version 1.1, the end of a line, and JSON lets stand as it is."""


def yaml_text(manifest: Mapping[str, Any]) -> bytes:
    """UTF-8, for YAML has no pairs of escapes for one character, which JSON in ASCII has for those beyond U+FFFF."""
    text = json.dumps(manifest, ensure_ascii=False, separators=(",", ":"))
    return _TAKEN_ESCAPED.sub(_escaped, _HALF.sub(REPLACEMENT, text)).encode()


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
