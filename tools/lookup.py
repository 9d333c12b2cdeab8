#!/usr/bin/env python3
"""Authentication paths from a sealed keymill key directory, without keymill.

Written from docs/FORMAT.md alone, with nothing but Python's standard library. It opens manifest.toml, the layer files
and, to check it, ledger.mark; never the secret, and nothing in state/. It computes no Poseidon hash. So it cannot give
the leaves and siblings that a trimmed key does not store, cannot tell whether nodes are the hashes of their children,
and cannot check the checksums of slices, which are in RocksDB.

Exit codes: 0 done; 1 --check found damage; 2 wrong usage; 3 the directory is damaged, unfinished, or does not store
what was asked for; 4 the machine failed.
"""

import argparse
import errno
import hashlib
import json
import os
import re
import signal
import stat
import struct
import sys
import zlib
from array import array

try:
    import tomllib
except ImportError:
    print("lookup.py: Python 3.11 or later is needed, for tomllib", file=sys.stderr)
    sys.exit(4)

P = 2**31 - 2**24 + 1
ELEMENT_BYTES = 4
PARAMETER_BYTES = 20
HEADER_BYTES = 4096
HEADER = struct.Struct("<8sII16sQQII")
MAGIC = b"KEYMILL\n"
LAYER_FORMAT = 1
FORMAT_VERSIONS = (1, 2, 3)
FINGERPRINT_VERSION = 3
BATCH_ROOTS_LEVEL = 10
FIELDS = frozenset(
    "format_version key_id scheme activation_epoch active_epochs stored_start stored_end parameter secret_commitment"
    " fingerprint origin trim state expected_root root public_key fillers checksum".split()
)
LONG_DIGESTS = (
    re.compile(r"leansig-.*-l(32|8)-.*"),
    re.compile(r"hashsig-p2-l20-(ts-v20-w256(-off10)?|wots-v22-w256)"),
)
# Their digests and parameters are any bytes, and they store the epochs that were asked for.
OF_LEANVM = re.compile(r"leanvm-blake2s-l32-ts-v42-w8(?:-s1|-b0)?")
LEANVM_BYTES = 16
# No scheme has more than 66 fillers of 64 hex digits, so a whole manifest takes less than 8 KiB.
MANIFEST_BYTES_MAX = 65536
MARK_BYTES_MAX = 4096
DAMAGE_LISTED_PER_FILE = 20
PIECE_NODES = 65536

KINDS = {int: "an integer", str: "a string", list: "an array"}

DONE, NO, USAGE, DIRECTORY, MACHINE = 0, 1, 2, 3, 4


class Refused(Exception):
    """Why nothing more can be done, and the exit code that says so."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def damaged(path, offset, what):
    return Refused(DIRECTORY, f"{path}, offset {offset}: {what}")


class RegularFile:
    """A regular file, read at offsets. What is not one, such as a pipe, is refused and not waited for."""

    def __init__(self, path):
        self.path = path
        try:
            self.descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            absent = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
            raise Refused(DIRECTORY if absent else MACHINE, f"{path}: {error.strerror}") from None
        status = os.fstat(self.descriptor)
        self.bytes = status.st_size
        if not stat.S_ISREG(status.st_mode):
            raise Refused(DIRECTORY, f"{path}: not a regular file")

    def read(self, offset, count):
        parts = []
        while count:
            try:
                part = os.pread(self.descriptor, count, offset)
            except OSError as error:
                raise Refused(MACHINE, f"{self.path}, offset {offset}: {error.strerror}") from None
            if not part:
                raise damaged(self.path, offset, "the file ends here, too early")
            parts.append(part)
            offset += len(part)
            count -= len(part)
        return b"".join(parts)


def read_small(path, bytes_max):
    file = RegularFile(path)
    if file.bytes > bytes_max:
        raise damaged(path, bytes_max, f"it has {file.bytes} bytes, and cannot have more than {bytes_max}")
    text = file.read(0, file.bytes)
    os.close(file.descriptor)
    return text


def first_noncanonical(data):
    """The index of the first element that is not below p, None if all are."""
    elements = array("I", data)
    if sys.byteorder == "big":
        elements.byteswap()
    if not elements or max(elements) < P:
        return None
    return next(index for index, element in enumerate(elements) if element >= P)


def sha3(data):
    return hashlib.sha3_256(data)


class Geometry:
    """Which nodes each level computes and stores, from the interval that was asked for."""

    def __init__(self, h, activation_epoch, active_epochs, widened):
        self.start, self.end = activation_epoch, activation_epoch + active_epochs
        if widened:
            self.widen(1 << h, 1 << (h // 2))
        self.stored, self.fillers = [], []
        low, high = self.start, self.end
        for level in range(h + 1):
            first, last = low & ~1, (high + 1) & ~1
            self.stored.append((first, last))
            self.fillers += [(level, index) for index in (first,) if first < low]
            self.fillers += [(level, index) for index in (high,) if high < last]
            low, high = first // 2, last // 2

    def widen(self, whole, bottom):
        """To whole bottom trees, at least two of them."""
        start = self.start // bottom * bottom
        end = max(-(-self.end // bottom) * bottom, start + 2 * bottom)
        beyond = max(end - whole, 0)
        self.start, self.end = start - beyond, end - beyond


class Manifest:
    """manifest.toml, with everything checked that follows from the rest of it."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "manifest.toml")
        self.text = read_small(self.path, MANIFEST_BYTES_MAX)
        version = re.match(rb"format_version = ([0-9]{1,9})\n", self.text)
        if not version:
            raise damaged(self.path, 0, "the first line does not say format_version = N")
        self.version = int(version[1])
        if self.version == 0:
            raise damaged(self.path, 0, "the directory is still being created (format version 0)")
        if self.version not in FORMAT_VERSIONS:
            raise damaged(self.path, 0, f"format version {self.version} is not known here, only 1 to {FORMAT_VERSIONS[-1]}")
        self.check_checksum()
        self.fields = self.parse()
        for key in self.fields.keys() - FIELDS:
            raise self.wrong(key, "is not known here")
        self.read_fields()
        self.check_key_id()

    def check_checksum(self):
        place = self.text.rfind(b"checksum = ")
        if place < 0:
            raise damaged(self.path, len(self.text), "there is no checksum")
        if self.text[place:] != b'checksum = "%s"\n' % sha3(self.text[:place]).hexdigest().encode():
            raise damaged(self.path, place, "the checksum is not that of the bytes before it")

    def parse(self):
        try:
            return tomllib.loads(self.text.decode())
        except UnicodeDecodeError as error:
            raise damaged(self.path, error.start, "not UTF-8") from None
        except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
            raise Refused(DIRECTORY, f"{self.path}: not TOML: {error or 'nested too deeply'}") from None

    def wrong(self, key, what):
        place = re.search(rb"^%s\b" % re.escape(key.encode()), self.text, re.MULTILINE)
        return damaged(self.path, place.start() if place else 0, f"{key} {what}")

    def value(self, key, kind):
        if key not in self.fields:
            raise self.wrong(key, "is missing")
        value = self.fields[key]
        if type(value) is not kind:
            raise self.wrong(key, f"should be {KINDS[kind]}")
        return value

    def number(self, key, most):
        value = self.value(key, int)
        if not 0 <= value <= most:
            raise self.wrong(key, f"is {value}, and should be from 0 to {most}")
        return value

    def digits(self, key, text, count):
        if type(text) is not str or not re.fullmatch(r"[0-9a-f]*", text) or len(text) != 2 * count:
            raise self.wrong(key, f"should be {2 * count} hex digits in lower case")
        return bytes.fromhex(text)

    def elements(self, key, text, count):
        data = self.digits(key, text, count)
        if self.first_noncanonical(data) is not None:
            raise self.wrong(key, f"has an element that is not below {P}")
        return data

    def first_noncanonical(self, data):
        return None if self.of_leanvm else first_noncanonical(data)

    def read_fields(self):
        self.scheme = self.value("scheme", str)
        self.of_leanvm = bool(OF_LEANVM.fullmatch(self.scheme))
        h = re.fullmatch(r"(?:lean|hash)sig-p[12]-l([0-9]{1,2})-[a-z]+-v[0-9]+-w[0-9]+(?:-off10)?", self.scheme, re.A)
        self.h = 32 if self.of_leanvm else int(h[1]) if h else 0
        if self.h % 2 or not 2 <= self.h <= 32:
            raise self.wrong("scheme", "is not the identifier of one")
        self.digest_bytes = 32 if any(form.fullmatch(self.scheme) for form in LONG_DIGESTS) else 28
        self.parameter_bytes = PARAMETER_BYTES
        if self.of_leanvm:
            self.digest_bytes = self.parameter_bytes = LEANVM_BYTES
        self.activation_epoch = self.number("activation_epoch", (1 << self.h) - 1)
        self.active_epochs = self.number("active_epochs", (1 << self.h) - self.activation_epoch)
        if not self.active_epochs:
            raise self.wrong("active_epochs", "is 0")
        self.geometry = Geometry(self.h, self.activation_epoch, self.active_epochs, not self.of_leanvm)
        for key, right in (("stored_start", self.geometry.start), ("stored_end", self.geometry.end)):
            if self.number(key, 1 << self.h) != right:
                raise self.wrong(key, f"is not {right}, which follows from the epochs asked for")
        self.parameter = self.elements("parameter", self.fields.get("parameter"), self.parameter_bytes)
        self.secret_commitment = self.digits("secret_commitment", self.fields.get("secret_commitment"), 32)
        if "fingerprint" in self.fields:
            self.digits("fingerprint", self.fields["fingerprint"], 32)
            if self.version < FINGERPRINT_VERSION:
                raise self.wrong("fingerprint", f"is not of format version {self.version}")
        if self.value("origin", str) not in ("fresh", "seed", "prf-key"):
            raise self.wrong("origin", "is not one that is known")
        self.trim = self.number("trim", min(BATCH_ROOTS_LEVEL, self.h))
        self.read_fillers()
        self.read_state()

    def read_fillers(self):
        fillers = self.value("fillers", list)
        nodes = self.geometry.fillers
        if len(fillers) != len(nodes):
            raise self.wrong("fillers", f"are {len(fillers)}, and should be {len(nodes)}")
        self.fillers = {node: self.elements("fillers", text, self.digest_bytes) for node, text in zip(nodes, fillers)}

    def read_state(self):
        state = self.value("state", str)
        if state not in ("generating", "sealed"):
            raise self.wrong("state", "is neither generating nor sealed")
        self.sealed = state == "sealed"
        for key in ("expected_root",) if self.sealed else ("root", "public_key"):
            if key in self.fields:
                raise self.wrong(key, f"is of a key that is not {state}")
        if "expected_root" in self.fields:
            self.elements("expected_root", self.fields["expected_root"], self.digest_bytes)
        if self.sealed:
            self.root = self.elements("root", self.fields.get("root"), self.digest_bytes)
            public_key = self.digits("public_key", self.fields.get("public_key"), self.digest_bytes + self.parameter_bytes)
            if public_key != self.root + self.parameter:
                raise self.wrong("public_key", "is not root and parameter")

    def check_key_id(self):
        self.key_id = self.digits("key_id", self.fields.get("key_id"), 16)
        scheme = self.scheme.encode()
        numbers = (self.activation_epoch, self.active_epochs, self.geometry.start, self.geometry.end)
        binding = sha3(b"keymill/1 binding" + struct.pack("<Q", len(scheme)) + scheme + struct.pack("<4Q", *numbers))
        binding.update(self.parameter + self.secret_commitment + b"".join(self.fillers.values()))
        if self.key_id != binding.digest()[:16]:
            raise self.wrong("key_id", "does not follow from the rest")


class Layer:
    """A layer file whose header and length are as the manifest demands."""

    def __init__(self, directory, manifest, level):
        self.manifest, self.level = manifest, level
        self.first, self.end = manifest.geometry.stored[level]
        self.digest_bytes = manifest.digest_bytes
        self.file = RegularFile(os.path.join(directory, "layers", f"{level:02}.nodes"))
        count = self.end - self.first
        length = HEADER_BYTES + count * self.digest_bytes
        if self.file.bytes != length:
            place = min(self.file.bytes, length)
            raise damaged(self.file.path, place, f"the file has {self.file.bytes} bytes, and should have {length}")
        header = self.file.read(0, HEADER_BYTES)
        fields = (MAGIC, LAYER_FORMAT, level, manifest.key_id, self.first, count, self.digest_bytes)
        right = HEADER.pack(*fields, zlib.crc32(HEADER.pack(*fields, 0)[:-4]))
        self.check_header(header, right + bytes(HEADER_BYTES - len(right)))

    def check_header(self, header, right):
        names = ((0, "magic"), (8, "layer format"), (12, "level"), (16, "key id"), (32, "index of the first node"))
        names += ((40, "number of nodes"), (48, "bytes of a digest"), (52, "CRC-32"), (56, "zeros after the header"))
        for (start, name), (end, _) in zip(names, names[1:] + ((HEADER_BYTES, ""),)):
            if header[start:end] != right[start:end]:
                raise damaged(self.file.path, start, f"{name} is not what the manifest demands")

    def offset(self, index):
        return HEADER_BYTES + (index - self.first) * self.digest_bytes

    def fault(self, index, digest):
        """What is wrong with a node and where, as far as that shows without its children."""
        element = self.manifest.first_noncanonical(digest)
        offset = self.offset(index)
        name = f"node ({self.level}, {index})"
        if element is not None:
            return offset + element * ELEMENT_BYTES, f"{name} has an element that is not below {P}"
        if self.manifest.fillers.get((self.level, index), digest) != digest:
            return offset, f"{name} is not the filler of the manifest"
        if (self.level, index) == (self.manifest.h, 0) and digest != self.manifest.root:
            return offset, f"{name} is not the root of the manifest"
        return None

    def node(self, index):
        digest = self.file.read(self.offset(index), self.digest_bytes)
        fault = self.fault(index, digest)
        if fault:
            raise damaged(self.file.path, *fault)
        return digest

    def faults(self):
        """All nodes that are not sound, as (offset, what)."""
        known = [0] + [index for level, index in self.manifest.fillers if level == self.level]
        for start in range(self.first, self.end, PIECE_NODES):
            end = min(start + PIECE_NODES, self.end)
            data = self.file.read(self.offset(start), (end - start) * self.digest_bytes)
            sound = self.manifest.first_noncanonical(data) is None
            indices = (index for index in known if start <= index < end) if sound else range(start, end)
            for index in indices:
                fault = self.fault(index, data[(index - start) * self.digest_bytes :][: self.digest_bytes])
                if fault:
                    yield fault


def check_mark(directory, manifest):
    """ledger.mark, whose own checksum and key id can be checked; what it says of the ledger cannot."""
    path = os.path.join(directory, "ledger.mark")
    if not os.path.lexists(path):
        return
    text = read_small(path, MARK_BYTES_MAX)
    form = (rb"keymill-ledger-mark [12]\nkey_id ([0-9a-f]{32})\n(stage (?:creating|begun|not-begun)\n)?"
            rb"first_epoch (0|[1-9][0-9]*)\nspent (0|[1-9][0-9]*)\nhighest (none|0|[1-9][0-9]*)\n"
            rb"digest [0-9a-f]{64}\nchecksum ([0-9a-f]{64})\n")  # fmt: skip
    lines = re.fullmatch(form, text)
    # The first version of the text has no stage, all later ones have.
    if not lines or text.startswith(b"keymill-ledger-mark 1\n") == bool(lines[2]):
        raise damaged(path, 0, "the text is not that of a mark")
    if lines[6] != sha3(text[: text.rindex(b"checksum ")]).hexdigest().encode():
        raise damaged(path, lines.start(6), "the checksum is not that of the bytes before it")
    if lines[1] != manifest.key_id.hex().encode():
        raise damaged(path, lines.start(1), "it is another key's mark")


def check(directory, manifest):
    """Damage that can be seen without hashing nodes and without RocksDB, a line each."""
    found = []
    try:
        check_mark(directory, manifest)
    except Refused as refused:
        found.append(str(refused))
    for level in range(manifest.trim, manifest.h + 1):
        try:
            layer = Layer(directory, manifest, level)
            faults = layer.faults() if manifest.sealed else ()
            for number, (offset, what) in enumerate(faults):
                if number == DAMAGE_LISTED_PER_FILE:
                    found.append(f"{layer.file.path}: and more")
                    break
                found.append(f"{layer.file.path}, offset {offset}: {what}")
            os.close(layer.file.descriptor)
        except Refused as refused:
            if refused.code == MACHINE:
                raise
            found.append(str(refused))
    return found


def look_up(directory, manifest, first, count):
    """(epoch, leaf, siblings) of each epoch."""
    if not manifest.sealed:
        raise manifest.wrong("state", "is generating: the key is not finished, and has no paths yet")
    if manifest.trim:
        levels = "level 0 is" if manifest.trim == 1 else f"levels 0 to {manifest.trim - 1} are"
        raise Refused(
            DIRECTORY,
            f"{manifest.path}: the key is trimmed: {levels} not stored. The leaf and the siblings there have to be hashed"
            " from the secret, which lookup.py cannot do; `keymill path` can",
        )
    start, end = manifest.geometry.start, manifest.geometry.end
    if not start <= first <= first + count <= end:
        raise Refused(USAGE, f"the key stores the epochs [{start}, {end}), not all of [{first}, {first + count})")
    layers = [Layer(directory, manifest, level) for level in range(manifest.h + 1)]
    layers[manifest.h].node(0)
    for epoch in range(first, first + count):
        siblings = [layer.node((epoch >> layer.level) ^ 1) for layer in layers[: manifest.h]]
        yield epoch, layers[0].node(epoch), siblings


def print_path(epoch, leaf, siblings, as_json):
    if as_json:
        path = {"epoch": epoch, "leaf": leaf.hex(), "siblings": [sibling.hex() for sibling in siblings]}
        print(json.dumps(path, sort_keys=True, separators=(",", ":")))
        return
    print(f"epoch {epoch}\nleaf {leaf.hex()}")
    for level, sibling in enumerate(siblings):
        print(f"sibling ({level}, {(epoch >> level) ^ 1}) {sibling.hex()}")


def whole_number(text):
    if not re.fullmatch("[0-9]{1,10}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)


def arguments():
    parser = argparse.ArgumentParser(prog="lookup.py", description=__doc__, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("directory", metavar="DIR", help="a key directory")
    parser.add_argument("--epoch", type=whole_number, metavar="N", help="the first epoch to look up")
    parser.add_argument("--count", type=whole_number, metavar="M", default=1, help="how many epochs, 1 if not given")
    parser.add_argument("--json", action="store_true", help="an object a line, as `keymill path` prints it")
    parser.add_argument("--check", action="store_true", help="look at everything that can be checked first")
    chosen = parser.parse_args()
    if chosen.epoch is None and not chosen.check:
        parser.error("--epoch, --check or both are needed")
    if not chosen.count:
        parser.error("--count has to be at least 1")
    return chosen


def run(chosen):
    manifest = Manifest(chosen.directory)
    if chosen.check:
        found = check(chosen.directory, manifest)
        for line in found:
            print(f"lookup.py: {line}", file=sys.stderr)
        if found:
            return NO
        unfinished = "" if manifest.sealed else "; the key is not finished, so nodes were not looked at"
        print(f"lookup.py: no damage found in what can be checked without hashing{unfinished}", file=sys.stderr)
    if chosen.epoch is not None:
        for epoch, leaf, siblings in look_up(chosen.directory, manifest, chosen.epoch, chosen.count):
            print_path(epoch, leaf, siblings, chosen.json)
    return DONE


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        code = run(arguments())
        sys.stdout.flush()
        return code
    except Refused as refused:
        print(f"lookup.py: {refused}", file=sys.stderr)
        return refused.code
    except (OSError, MemoryError) as error:
        print(f"lookup.py: {error or 'out of memory'}", file=sys.stderr)
        return MACHINE


if __name__ == "__main__":
    sys.exit(main())
