"""Checks a receipt with nothing but Python: python3 check_receipt.py <proof> <verifier key>

It shares no line with Plinth: an auditor may write one like it from the comments of receipt.ts,
checkpoint.ts and proof-text.ts. Prints the receipt's fields as JSON, or says what is wrong.
"""

import base64
import hashlib
import json
import sys

P = 2**255 - 19
D = -121665 * pow(121666, P - 2, P) % P
ORDER = 2**252 + 27742317777372353535851937790883648493
NAMES = "keyId workspace deployment modelVersion modelDigest timeUs rows inferenceId context inputDigest outputDigest"


def sha256(data):
    return hashlib.sha256(data).digest()


def fields_of(receipt):
    assert receipt[:16] == b"plinth.receipt/1", "not a receipt"
    rest, fields = receipt[16:], []
    while rest:
        size = int.from_bytes(rest[:2], "big")
        assert len(rest) >= 2 + size, "the receipt is cut"
        fields.append(rest[2 : 2 + size])
        rest = rest[2 + size :]
    assert [len(fields[i]) for i in (0, 4, 5, 6, 9, 10)] == [16, 32, 8, 4, 32, 32], "lengths"
    assert len(fields) == 11 and len(fields[8]) <= 256, "not the eleven fields"
    return dict(zip(NAMES.split(), fields))


def root_from(leaf, index, size, path):
    place, last, node = index, size - 1, leaf
    assert index < size, "the index is past the end"
    for sibling in path:
        assert last > 0, "the path is too long"
        if place & 1 or place == last:
            node = sha256(b"\1" + sibling + node)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = sha256(b"\1" + node + sibling)
        place, last = place >> 1, last >> 1
    assert last == 0, "the path is too short"
    return node


def check(proof, verifier_key):
    head, note = proof.split("\n\n", 1)
    version, extra, index, *path = head.split("\n")
    assert version == "c2sp.org/tlog-proof@v1" and extra[:6] == "extra " and index[:6] == "index "
    receipt, index = base64.b64decode(extra[6:], validate=True), int(index[6:])
    text, signatures = note.split("\n\n", 1)
    origin, size, root, _time = text.split("\n")
    name, key_hash, key = verifier_key.split("+", 2)
    key = base64.b64decode(key, validate=True)
    assert key_hash == sha256(name.encode() + b"\n" + key)[:4].hex() and key[0] == 1, "the key"
    assert origin == name, "the checkpoint is of another log"
    ours = [line.split(" ")[2] for line in signatures.splitlines() if line.startswith("— " + name)]
    ours = [base64.b64decode(line, validate=True) for line in ours]
    ours = [line[4:] for line in ours if line[:4].hex() == key_hash]
    assert ours and verify(ours[0], text.encode() + b"\n", key[1:]), "the signature does not hold"
    fields = fields_of(receipt)
    node = root_from(sha256(b"\0" + receipt), index, int(size), [base64.b64decode(h) for h in path])
    assert node == base64.b64decode(root), "the receipt is not in the log"
    assert origin.endswith("/" + fields["workspace"].decode()), "the receipt is of another workspace"
    return fields


def verify(signature, message, key):
    """Ed25519 of RFC 8032, 5.1.7."""
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % ORDER
    base = point(int.to_bytes(4 * pow(5, P - 2, P) % P, 32, "little"))
    x, y = add(times(s, base), times(h, negative(point(key))))
    return s < ORDER and int.to_bytes(y | (x & 1) << 255, 32, "little") == r


def point(encoded):
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if x * x % P != xx:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert x * x % P == xx and y < P, "no point"
    return (x if x & 1 == sign else P - x), y


def negative(a):
    return P - a[0], a[1]


def add(a, b):
    k = D * a[0] * b[0] * a[1] * b[1]
    x = (a[0] * b[1] + a[1] * b[0]) * pow(1 + k, P - 2, P)
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - k, P - 2, P)
    return x % P, y % P


def times(n, a):
    result = (0, 1)
    while n:
        if n & 1:
            result = add(result, a)
        a, n = add(a, a), n >> 1
    return result


if __name__ == "__main__":
    try:
        found = check(open(sys.argv[1], encoding="utf-8").read(), sys.argv[2])
    except (AssertionError, ValueError, IndexError) as error:
        sys.exit(f"invalid: {error}")
    texts = ("workspace", "deployment", "modelVersion", "inferenceId")
    print(json.dumps({k: v.decode() if k in texts else v.hex() for k, v in found.items()}))
