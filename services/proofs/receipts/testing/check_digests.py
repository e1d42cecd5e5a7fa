"""Recomputes a receipt's digests from a request and a reply of the Open Inference Protocol, with
nothing but Python and the page that says how: python3 check_digests.py <file> <proof> <verifier key>

The file is JSON: {"inputs": [...], "outputs": [...]}, a tensor {"name", "datatype", "shape", "data"}
with its raw contents in Base64. Prints the receipt's fields when evidence and digests hold.
"""

import base64
import hashlib
import json
import struct
import sys

from check_receipt import check


def digest(tensors):
    text = b"plinth.tensors/1" + struct.pack(">I", len(tensors))
    for tensor in sorted(tensors, key=lambda one: one["name"].encode()):
        for word in (tensor["name"].encode(), tensor["datatype"].encode()):
            text += struct.pack(">H", len(word)) + word
        data = base64.b64decode(tensor["data"])
        text += struct.pack(">H", len(tensor["shape"]))
        text += b"".join(struct.pack(">Q", size) for size in tensor["shape"])
        text += struct.pack(">Q", len(data)) + data
    return hashlib.sha256(text).digest()


if __name__ == "__main__":
    held = json.load(open(sys.argv[1], encoding="utf-8"))
    fields = check(open(sys.argv[2], encoding="utf-8").read(), sys.argv[3])
    for what in ("input", "output"):
        if digest(held[what + "s"]) != fields[what + "Digest"]:
            sys.exit(f"invalid: the receipt is of other {what}s")
    print(fields["inferenceId"].decode())
