#!/usr/bin/env python3
"""Authentication paths from a sealed keymill key directory, without keymill; and what a part of a key holds.

Written from docs/FORMAT.md alone, with nothing but Python's standard library. It opens manifest.toml, the layer files,
the adopted parts of the key and, to check it, ledger.mark; never the secret, and nothing in state/. A web server does
not list the parts that it has, so their names are computed from ticket.toml. It computes no Poseidon hash. So it cannot
give the leaves and siblings that a trimmed key does not store, cannot tell whether nodes are the hashes of their
children, and cannot check the checksums of slices, which are in RocksDB.

With --part it reads a part file instead: its header, and with --check all of it but the tag, which only a holder of the
secret can check. Beside a part, DIR is the key directory or the ticket that the part has to belong to; without it, only
what the file says of itself is compared.

Exit codes: 0 done; 1 --check found damage; 2 wrong usage; 3 the directory is damaged, unfinished, or does not store
what was asked for; 4 the machine failed.
"""

import argparse
import copy
import errno
import hashlib
import http.client
import json
import os
import re
import signal
import ssl
import stat
import struct
import sys
import urllib.parse
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
TICKET_VERSION = 1
TICKET_FIELDS = frozenset(
    "ticket_version key_id scheme activation_epoch active_epochs parameter secret_commitment trim parts part_epochs"
    " fillers checksum".split()
)
PART_HEADER = struct.Struct("<8sII32sQQIIQ")
PART_MAGIC = b"KEYPART\n"
PART_FORMAT = 1
PART_PIECE_NODES = 1024
SHA3_BYTES = TAG_BYTES = 32
LEVEL_MAX = 32
# How the epochs of a key are divided into parts.
PARTS_MAX = 10000
BLOCKS_OF_A_PART = 64
# What is asked for of a file that is served, at least: the leaf and its sibling, or those of a few epochs in a row.
BLOCK_BYTES = 4096
# A server that does not know ranges sends a file whole. A larger one than this is not taken.
WHOLE_BYTES_MAX = 65536

KINDS = {int: "an integer", str: "a string", list: "an array"}

DONE, NO, USAGE, DIRECTORY, MACHINE = 0, 1, 2, 3, 4


class Refused(Exception):
    """Why nothing more can be done, and the exit code that says so."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Absent(Refused):
    """There is no such file."""


def damaged(path, offset, what):
    return Refused(DIRECTORY, f"{path}, offset {offset}: {what}")


def first_faults(path, faults):
    """Lines for the first of the faults of a file, each of which is (offset, what)."""
    for number, (offset, what) in enumerate(faults):
        if number == DAMAGE_LISTED_PER_FILE:
            yield f"{path}: and more"
            return
        yield f"{path}, offset {offset}: {what}"


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

    def close(self):
        os.close(self.descriptor)

    def view(self):
        return self

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


class Directory:
    """A key directory on this machine."""

    def __init__(self, path):
        self.path = path

    def place(self, name):
        return os.path.join(self.path, name)

    def open(self, name):
        return RegularFile(self.place(name))

    def small(self, name, bytes_max):
        """Where a short file is, and all that it holds."""
        return self.place(name), read_small(self.place(name), bytes_max)

    def adopted(self, manifest):
        """Every adopted part as (first epoch, end, name), as the names say; None if the key has no adopted parts."""
        folder = self.place(parts_folder(manifest))
        if not os.path.lexists(folder):
            return None
        try:
            names = os.listdir(folder)
        except OSError as error:
            is_other = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
            raise Refused(DIRECTORY if is_other else MACHINE, f"{folder}: {error.strerror}") from None
        epoch = "(0|[1-9][0-9]{0,9})"
        form = re.compile(rf"{manifest.key_id.hex()}-{epoch}-{epoch}-t{manifest.trim}\.part")
        found = [form.fullmatch(name) for name in names]
        parts = [(int(name[1]), int(name[2]), name[0]) for name in found if name]
        return [part for part in parts if part[0] < part[1]]


class Served:
    """A key that a web server has below an address, asked for over one connection: manifest.toml and layers/NN.nodes,
    and if it has adopted parts, those and ticket.toml."""

    def __init__(self, url, timeout_s):
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise Refused(USAGE, f"{url!r}: {error}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refused(USAGE, f"{url!r} is not an address such as https://example.org/key")
        if "@" in parts.netloc or parts.fragment:
            raise Refused(USAGE, f"{url!r}: an address with a user or a fragment is not taken")
        if re.search(r"[^!-~]", url):
            raise Refused(USAGE, f"{url!r}: write what is not ASCII, and blanks, as %XX")
        self.timeout_s, self.is_open = timeout_s, False
        self.opened = {}
        self.root, self.query = parts.path.rstrip("/"), "?" + parts.query if parts.query else ""
        self.shown = f"{parts.scheme}://{parts.netloc}{self.root}"
        if parts.scheme == "https":
            self.connection = http.client.HTTPSConnection(parts.hostname, port, context=ssl.create_default_context())
        else:
            self.connection = http.client.HTTPConnection(parts.hostname, port)

    def open(self, name):
        return self.opened.pop(name, None) or ServedFile(self, name)

    def adopted(self, manifest):
        """Every adopted part as (first epoch, end, name), as the ticket has them; None if the key has no adopted parts.

        A server does not list what it has. The lowest layer file tells: a key with adopted parts does not have it.
        """
        lowest = layer_name(manifest.trim)
        try:
            # It is read next, and is not asked for twice.
            self.opened[lowest] = ServedFile(self, lowest)
            return None
        except Absent as absent:
            missing = str(absent)
        try:
            ticket = Ticket(*self.small("ticket.toml", MANIFEST_BYTES_MAX))
        except Absent:
            raise Absent(DIRECTORY, f"{missing}. If the key has adopted parts, ticket.toml is needed too: it says how the"
                                    " key is divided, and the names of the parts follow from that. The server does"
                                    " not have it") from None  # fmt: skip
        for key in ("key_id", "trim"):
            if ticket.fields[key] != manifest.fields[key]:
                raise ticket.wrong(key, "is not that of the manifest, so the names of adopted parts do not follow from the"
                                        f" ticket; and {missing}")  # fmt: skip
        return [(start, end, part_name(manifest, start, end)) for start, end in ticket.intervals()]

    def small(self, name, bytes_max):
        """Where a short file is, and all that it holds."""
        status, headers, data = self.get(name, {}, bytes_max + 1)
        if status != 200:
            raise self.wrong(name, f"the server answers {status} to a request without a range")
        if len(data) > bytes_max or headers.get("Content-Length", str(len(data))) != str(len(data)):
            raise damaged(self.place(name), len(data), "what is sent ends here, too early, or is too long")
        return self.place(name), data

    def place(self, name):
        return f"{self.shown}/{name}"

    def wrong(self, name, what):
        return Refused(MACHINE, f"{self.place(name)}: {what}")

    def get(self, name, headers, bytes_max):
        """Status, headers, and at most so many bytes of what is sent. What takes too long in all is given up."""
        target = f"{self.root}/{name}{self.query}"
        headers = {"User-Agent": "keymill-lookup", "Accept-Encoding": "identity", **headers}
        signal.signal(signal.SIGALRM, self.give_up)
        for attempt in (0, 1):
            # A server may close a connection that was kept open, at any time: then one new one is tried.
            is_kept, self.is_open = self.is_open, True
            signal.setitimer(signal.ITIMER_REAL, self.timeout_s)
            try:
                self.connection.request("GET", target, headers=headers)
                answer = self.connection.getresponse()
                return self.take(name, answer, bytes_max)
            except ConnectionError as error:
                self.close()
                if not is_kept or attempt:
                    raise self.wrong(name, error.strerror or str(error)) from None
            except http.client.HTTPException as error:
                raise self.wrong(name, f"the server does not answer as HTTP has it: {error!r}") from None
            except Refused:
                self.close()
                raise
            except TimeoutError:
                raise self.wrong(name, f"no answer within {self.timeout_s} seconds") from None
            except OSError as error:
                raise self.wrong(name, error.strerror or str(error)) from None
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)

    def take(self, name, answer, bytes_max):
        if answer.status in (404, 410):
            raise Absent(DIRECTORY, f"{self.place(name)}: the server has no such file ({answer.status})")
        if 300 <= answer.status < 400:
            raise self.wrong(name, f"it is elsewhere: {answer.headers.get('Location', 'the server does not say where')!r}."
                                   " Name that address")  # fmt: skip
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise self.wrong(name, "the server sends it compressed, though it was not asked to")
        # Of what is too long nothing is read: then the length says what the server would have sent.
        is_long = answer.status == 200 and answer.length is not None and answer.length > bytes_max
        data = b"" if is_long else answer.read(bytes_max)
        if not answer.isclosed():
            self.close()
        return answer.status, answer.headers, data

    def close(self):
        self.connection.close()
        self.is_open = False

    @staticmethod
    def give_up(_signal, _frame):
        raise TimeoutError


class ServedFile:
    """A file of a web server, read by ranges."""

    def __init__(self, served, name):
        self.served, self.name = served, name
        self.path = served.place(name)
        self.bytes, self.first, self.block = None, 0, b""
        self.fetch(0, BLOCK_BYTES)

    def close(self):
        self.block = b""

    def view(self):
        """The same file for a reader of another place in it: what each of them was sent last is kept."""
        return copy.copy(self)

    def read(self, offset, count):
        if offset + count > self.bytes:
            raise damaged(self.path, self.bytes, "the file ends here, too early")
        if not (self.first <= offset and offset + count <= self.first + len(self.block)):
            start = offset // BLOCK_BYTES * BLOCK_BYTES
            end = -(-(offset + count) // BLOCK_BYTES) * BLOCK_BYTES
            self.fetch(start, min(end, self.bytes) - start)
        return self.block[offset - self.first :][:count]

    def fetch(self, start, count):
        last = start + count - 1
        most = max(count, WHOLE_BYTES_MAX)
        status, headers, data = self.served.get(self.name, {"Range": f"bytes={start}-{last}"}, most)
        if status == 200:
            self.take_whole(headers, data)
        elif status == 206:
            self.take_range(start, last, headers.get("Content-Range", ""), data)
        elif status == 416:
            raise damaged(self.path, start, f"the file ends before it ({headers.get('Content-Range')})")
        else:
            raise self.served.wrong(self.name, f"the server answers {status}")

    def take_whole(self, headers, data):
        """What a server sends that does not know ranges, or sees that the range is the whole file."""
        length = headers.get("Content-Length")
        if length != str(len(data)):
            size = f"all {length} bytes" if length else "the whole file"
            raise self.served.wrong(self.name, f"the server ignores ranges: it was asked for {BLOCK_BYTES} bytes, and"
                                               f" sends {size}. Paths need a server or a bucket that knows"
                                               " HTTP ranges (RFC 9110, section 14)")  # fmt: skip
        self.keep(0, len(data), data)

    def take_range(self, start, last, text, data):
        said = re.fullmatch(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})", text)
        right = said and (int(said[1]), int(said[2])) == (start, min(last, int(said[3]) - 1))
        if not right or len(data) != int(said[2]) - start + 1:
            raise self.served.wrong(self.name, f"bytes {start} to {last} were asked for, and the server sends"
                                               f" {len(data)} and calls them {text!r}")  # fmt: skip
        self.keep(start, int(said[3]), data)

    def keep(self, first, file_bytes, data):
        if self.bytes not in (None, file_bytes):
            raise self.served.wrong(self.name, f"the file had {self.bytes} bytes, and now has {file_bytes}")
        self.bytes, self.first, self.block = file_bytes, first, data


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


class Description:
    """A text that says everything public of a key, with all checked that follows from the rest of it."""

    def __init__(self, path, text):
        self.path, self.text = path, text
        self.version = self.first_line()
        self.check_checksum()
        self.fields = self.parse()
        for key in self.fields.keys() - self.KNOWN:
            raise self.wrong(key, "is not known here")
        self.read_fields()
        self.check_key_id()

    def first_line(self):
        version = re.match(rb"%s = ([0-9]{1,9})\n" % self.VERSION.encode(), self.text)
        if not version:
            raise damaged(self.path, 0, f"the first line does not say {self.VERSION} = N")
        return int(version[1])

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
        self.parameter = self.elements("parameter", self.fields.get("parameter"), self.parameter_bytes)
        self.secret_commitment = self.digits("secret_commitment", self.fields.get("secret_commitment"), 32)
        self.batch_roots_level = min(BATCH_ROOTS_LEVEL, self.h)
        self.trim = self.number("trim", self.batch_roots_level)
        self.read_fillers()

    def read_fillers(self):
        fillers = self.value("fillers", list)
        nodes = self.geometry.fillers
        if len(fillers) != len(nodes):
            raise self.wrong("fillers", f"are {len(fillers)}, and should be {len(nodes)}")
        self.fillers = {node: self.elements("fillers", text, self.digest_bytes) for node, text in zip(nodes, fillers)}

    def check_key_id(self):
        scheme = self.scheme.encode()
        numbers = (self.activation_epoch, self.active_epochs, self.geometry.start, self.geometry.end)
        binding = sha3(b"keymill/1 binding" + struct.pack("<Q", len(scheme)) + scheme + struct.pack("<4Q", *numbers))
        binding.update(self.parameter + self.secret_commitment + b"".join(self.fillers.values()))
        self.binding = binding.digest()
        self.key_id = self.digits("key_id", self.fields.get("key_id"), 16)
        if self.key_id != self.binding[:16]:
            raise self.wrong("key_id", "does not follow from the rest")


class Manifest(Description):
    """manifest.toml."""

    KNOWN, VERSION = FIELDS, "format_version"

    def first_line(self):
        version = super().first_line()
        if version == 0:
            raise damaged(self.path, 0, "the directory is still being created (format version 0)")
        if version not in FORMAT_VERSIONS:
            raise damaged(self.path, 0, f"format version {version} is not known here, only 1 to {FORMAT_VERSIONS[-1]}")
        return version

    def read_fields(self):
        super().read_fields()
        for key, right in (("stored_start", self.geometry.start), ("stored_end", self.geometry.end)):
            if self.number(key, 1 << self.h) != right:
                raise self.wrong(key, f"is not {right}, which follows from the epochs asked for")
        if "fingerprint" in self.fields:
            self.digits("fingerprint", self.fields["fingerprint"], 32)
            if self.version < FINGERPRINT_VERSION:
                raise self.wrong("fingerprint", f"is not of format version {self.version}")
        if self.value("origin", str) not in ("fresh", "seed", "prf-key"):
            raise self.wrong("origin", "is not one that is known")
        self.read_state()

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


    def compare_public_key(self, text):
        wanted = text.lower().removeprefix("0x")
        if not re.fullmatch(r"[0-9a-f]+", wanted):
            raise Refused(USAGE, f"--public-key is not hex: {text!r}")
        if not self.sealed:
            raise self.wrong("state", "is generating: the key is not finished, and has no public key yet")
        if wanted != self.fields["public_key"]:
            raise self.wrong("public_key", f"is {self.fields['public_key']}, and not the one that was asked for")


class Ticket(Description):
    """ticket.toml, which those who make parts of a key are given."""

    KNOWN, VERSION, sealed = TICKET_FIELDS, "ticket_version", False

    def first_line(self):
        version = super().first_line()
        if version != TICKET_VERSION:
            raise damaged(self.path, 0, f"ticket version {version} is not known here, only {TICKET_VERSION}")
        return version

    def read_fields(self):
        super().read_fields()
        if ("parts" in self.fields) == ("part_epochs" in self.fields):
            raise self.wrong("parts", "or part_epochs has to be there, and only one of them")

    def intervals(self):
        """The epochs of each part, as (first, end)."""
        lowest, start, end = self.batch_roots_level, self.geometry.start, self.geometry.end

        def blocks(height):
            return start >> height, ((end - 1) >> height) + 1

        if "parts" in self.fields:
            first, last = blocks(lowest)
            parts = self.number("parts", min(PARTS_MAX, last - first))
            if not parts:
                raise self.wrong("parts", "is 0")
            is_fine = [height for height in range(lowest, self.h + 1)
                       if blocks(height)[1] - blocks(height)[0] >= BLOCKS_OF_A_PART * parts]  # fmt: skip
            height = max(is_fine, default=lowest)
            first, last = blocks(height)
            cuts = [first + index * (last - first) // parts for index in range(parts + 1)]
        else:
            epochs = self.number("part_epochs", 1 << 63)
            height = epochs.bit_length() - 1
            if height < lowest or epochs != 1 << height:
                raise self.wrong("part_epochs", f"is {epochs}, and should be a power of two from {1 << lowest} on")
            first, last = blocks(height)
            if last - first > PARTS_MAX:
                raise self.wrong("part_epochs", f"makes {last - first} parts, and a key has at most {PARTS_MAX}")
            cuts = range(first, last + 1)
        return [(max(cut << height, start), min(after << height, end)) for cut, after in zip(cuts, cuts[1:])]


def layer_name(level):
    return f"layers/{level:02}.nodes"


def parts_folder(manifest):
    return f"layers/parts-t{manifest.trim}"


def part_name(manifest, start, end):
    return f"{manifest.key_id.hex()}-{start}-{end}-t{manifest.trim}.part"


class Nodes:
    """The nodes of a level from `first` on, in a file where they begin at an offset."""

    def __init__(self, manifest, level, first, file, begin):
        self.manifest, self.level, self.first, self.file, self.begin = manifest, level, first, file, begin
        self.digest_bytes = manifest.digest_bytes

    def offset(self, index):
        return self.begin + (index - self.first) * self.digest_bytes

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


class Layer(Nodes):
    """A layer file whose header and length are as the manifest demands."""

    def __init__(self, source, manifest, level):
        first, self.end = manifest.geometry.stored[level]
        super().__init__(manifest, level, first, source.open(layer_name(level)), HEADER_BYTES)
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


class Part:
    """A part file whose header, length and levels go together, and fit the key if there is one."""

    def __init__(self, file, key):
        self.file, self.key = file, key
        self.path = path = file.path
        least = HEADER_BYTES + SHA3_BYTES + TAG_BYTES
        if self.file.bytes < least:
            raise damaged(path, self.file.bytes, f"the file has {self.file.bytes} bytes, and a part at least {least}")
        self.read_header()
        if key:
            self.compare_with_key()
        layouts = self.layouts_that_fit()
        if not layouts:
            raise damaged(path, 72, "the length is not that of the levels of these epochs")
        self.levels = layouts[0] if len(layouts) == 1 else min(layouts, key=lambda own: len(list(self.faults_of(own))))

    def read_header(self):
        header = self.file.read(0, HEADER_BYTES)
        fields = PART_HEADER.unpack_from(header)
        magic, form, self.digest_bytes, self.binding, self.start, self.end, self.trim, self.top, length = fields
        crc = zlib.crc32(header[: PART_HEADER.size])
        for offset, is_right, what in (
            (0, magic == PART_MAGIC, "magic is not that of a part"),
            (8, form == PART_FORMAT, f"part format {form} is not known here, only {PART_FORMAT}"),
            (80, header[80:84] == struct.pack("<I", crc), "CRC-32 is not that of the bytes before it"),
            (84, not any(header[84:]), "zeros after the header are not zeros"),
            (12, self.digest_bytes in (LEANVM_BYTES, 28, 32), f"no scheme has digests of {self.digest_bytes} bytes"),
            (48, self.start < self.end <= 1 << LEVEL_MAX, f"[{self.start}, {self.end}) are not epochs"),
            (64, self.trim <= min(self.top, BATCH_ROOTS_LEVEL), f"the lowest level cannot be {self.trim}"),
            (68, self.top <= LEVEL_MAX, f"the highest level cannot be {self.top}"),
            (72, length == self.file.bytes, f"the file has {self.file.bytes} bytes, and should have {length}"),
        ):
            if not is_right:
                raise damaged(self.path, offset, what)

    def compare_with_key(self):
        first, end = self.key.geometry.start, self.key.geometry.end
        inner = [epoch for epoch, edge in ((self.start, first), (self.end, end)) if epoch != edge]
        top = max(level for level in range(self.key.h + 1) if not any(epoch % (1 << level) for epoch in inner))
        for offset, is_right, what in (
            (16, self.binding == self.key.binding, f"it is a part of the key {self.binding[:16].hex()}, not of this one"),
            (12, self.digest_bytes == self.key.digest_bytes, "bytes of a digest are not those of the key"),
            (48, first <= self.start and self.end <= end, f"the key has the epochs [{first}, {end}) only"),
            (64, self.trim == self.key.trim, f"the lowest level is {self.trim}, and that of the key is {self.key.trim}"),
            (68, self.top == top, f"the highest level is {self.top}, and should be {top}"),
        ):
            if not is_right:
                raise damaged(self.path, offset, what)

    def layouts_that_fit(self):
        """Lists of (level, first node, end, offset), from the highest level down, with which the length comes out.

        At an end of the key a level goes on to an even node, for a filler. Without the key, a part does not say whether
        it has one of the ends; its length tells nearly always, and else the table of checksums.
        """
        is_first, is_last = (False, True), (False, True)
        if self.key:
            is_first, is_last = (self.start == self.key.geometry.start,), (self.end == self.key.geometry.end,)
        found = []
        for firsts in (self.bounds(self.start, 0, is_end) for is_end in is_first):
            for ends in (self.bounds(self.end, 1, is_end) for is_end in is_last):
                layout = self.layout(firsts, ends) if firsts and ends else None
                if layout and layout not in found and self.bytes_of(layout) == self.file.bytes:
                    found.append(layout)
        return found

    def bounds(self, epoch, up, is_end):
        """Where the nodes of each level begin, or with `up` = 1 end; None if a node would be cut."""
        if not is_end:
            return None if epoch % (1 << self.top) else [epoch >> level for level in range(self.top + 1)]
        found = []
        for _ in range(self.top + 1):
            found.append((epoch + up) & ~1)
            epoch = found[-1] // 2
        return found

    def layout(self, firsts, ends):
        levels, place = [], HEADER_BYTES
        for level in range(self.top, self.trim - 1, -1):
            levels.append((level, firsts[level], ends[level], place))
            place += self.padded_bytes(ends[level] - firsts[level])
        return levels

    def padded_bytes(self, count):
        return -(-count * self.digest_bytes // HEADER_BYTES) * HEADER_BYTES

    def bytes_of(self, layout):
        return self.table_offset(layout) + 4 * self.pieces(layout) + SHA3_BYTES + TAG_BYTES

    def table_offset(self, layout):
        _, first, end, place = layout[-1]
        return place + self.padded_bytes(end - first)

    def pieces(self, layout):
        return sum(-(-(end - first) // PART_PIECE_NODES) for _, first, end, _ in layout)

    def faults(self):
        """All that is wrong behind the header, as (offset, what)."""
        yield from self.faults_of(self.levels)
        digest, place, end = sha3(b""), 0, self.file.bytes - SHA3_BYTES - TAG_BYTES
        while place < end:
            piece = self.file.read(place, min(end - place, 1 << 20))
            digest.update(piece)
            place += len(piece)
        if self.file.read(end, SHA3_BYTES) != digest.digest():
            yield end, "the SHA3-256 is not that of the bytes before it"

    def faults_of(self, layout):
        entry, table = self.table_offset(layout), self.file.view()
        for level, first, level_end, offset in layout:
            for start in range(first, level_end, PART_PIECE_NODES):
                end = min(start + PART_PIECE_NODES, level_end)
                place = offset + (start - first) * self.digest_bytes
                data = self.file.read(place, (end - start) * self.digest_bytes)
                nodes = f"nodes [{start}, {end}) of level {level}"
                if table.read(entry, 4) != struct.pack("<I", zlib.crc32(data)):
                    yield place, f"{nodes} do not have the CRC-32 of the table, at {entry}"
                element = None if self.digest_bytes == LEANVM_BYTES else first_noncanonical(data)
                if element is not None:
                    yield place + element * ELEMENT_BYTES, f"{nodes} have an element that is not below {P}"
                for index, digest in self.known_nodes(level):
                    at = (index - start) * self.digest_bytes
                    if start <= index < end and data[at : at + self.digest_bytes] != digest:
                        yield place + at, f"node ({level}, {index}) is not that of the key"
                entry += 4
            used = (level_end - first) * self.digest_bytes
            padding = self.padded_bytes(level_end - first) - used
            if any(self.file.read(offset + used, padding)):
                yield offset + used, f"zeros after level {level} are not zeros"

    def known_nodes(self, level):
        """What the key says of nodes of a level: fillers, and the root of a finished one."""
        if not self.key:
            return
        yield from ((index, digest) for (of, index), digest in self.key.fillers.items() if of == level)
        if self.key.sealed and level == self.key.h:
            yield 0, self.key.root

    def nodes(self, below):
        """The nodes of each level from the trim on, below this one."""
        levels = [level for level in reversed(self.levels) if level[0] < below]
        return [Nodes(self.key, level, first, self.file.view(), place) for level, first, _, place in levels]

    def description(self):
        levels = [
            {"level": level, "first": first, "end": end, "offset": offset} for level, first, end, offset in self.levels
        ]
        return {
            "key_id": self.binding[:16].hex(), "start": self.start, "end": self.end, "trim": self.trim, "top": self.top,
            "digest_bytes": self.digest_bytes, "file_bytes": self.file.bytes, "levels": levels,
            "sha3_256": self.file.read(self.file.bytes - SHA3_BYTES - TAG_BYTES, SHA3_BYTES).hex(),
        }  # fmt: skip


class AdoptedParts:
    """The parts that hold what a key stores below the roots of its batches, in the place of layer files."""

    def __init__(self, source, manifest, parts):
        self.source, self.manifest, self.parts = source, manifest, sorted(parts)
        self.folder = source.place(parts_folder(manifest))
        self.part, self.alone_until, self.nodes = None, 0, []

    def nodes_of(self, epoch):
        """The nodes of the levels of one part, of all that are below the batches' roots."""
        if not (self.part and self.part.start <= epoch < self.alone_until):
            if self.part:
                self.part.file.close()
            self.part = self.open(*self.having(epoch))
            self.alone_until = min([self.part.end] + [start for start, _, _ in self.parts if start > epoch])
            self.nodes = self.part.nodes(self.manifest.batch_roots_level)
        return self.nodes

    def having(self, epoch):
        """The one part that has an epoch."""
        having = [part for part in self.parts if part[0] <= epoch < part[1]]
        if not having:
            before = [end for start, end, _ in self.parts if start < end <= epoch]
            behind = [start for start, end, _ in self.parts if epoch < start < end]
            key = self.manifest.geometry
            raise self.gap(max(before, default=key.start), min(behind, default=key.end))
        if len(having) > 1:
            raise self.overlap(having[0], having[1])
        return having[0]

    def gap(self, start, end):
        return Refused(DIRECTORY, f"{self.folder}: no part there has the epochs [{start}, {end})")

    def overlap(self, one, other):
        start, end = max(one[0], other[0]), min(one[1], other[1])
        return Refused(DIRECTORY, f"{self.folder}: {one[2]} and {other[2]} both have the epochs [{start}, {end});"
                                  " only one of them may be there")  # fmt: skip

    def open(self, start, end, name):
        try:
            file = self.source.open(f"{parts_folder(self.manifest)}/{name}")
        except Absent as absent:
            raise Absent(DIRECTORY, f"{absent}, and no {layer_name(self.manifest.trim)} either. The name of the part follows"
                                    " from ticket.toml. If the key was joined from other parts, their names cannot be known"
                                    " without a listing") from None  # fmt: skip
        try:
            part = Part(file, self.manifest)
            if (part.start, part.end) != (start, end):
                raise damaged(part.path, 48, f"the epochs are [{part.start}, {part.end}), and the name says others")
            if part.top < self.manifest.batch_roots_level:
                raise damaged(part.path, 68, f"the highest level is {part.top}, so the part begins or ends within a batch")
        except Refused:
            file.close()
            raise
        return part

    def faults(self):
        """Lines for the first of all that is wrong, as far as that shows without the secret."""
        found, refusals = [], 0
        for part in self.parts:
            try:
                part = self.open(*part)
                found += first_faults(part.path, part.faults())
                part.file.close()
            except Refused as refused:
                if refused.code == MACHINE:
                    raise
                found.append(str(refused))
                refusals += 1
            if refusals == DAMAGE_LISTED_PER_FILE:
                return found + [f"{self.folder}: and more"]
        faults = list(self.gaps_and_overlaps()) if self.manifest.sealed else []
        found += map(str, faults[:DAMAGE_LISTED_PER_FILE])
        return found + [f"{self.folder}: and more"] * (len(faults) > DAMAGE_LISTED_PER_FILE)

    def gaps_and_overlaps(self):
        reached, last = self.manifest.geometry.start, None
        for part in self.parts:
            start, end, _ = part
            if start > reached:
                yield self.gap(reached, start)
            if last and start < reached:
                yield self.overlap(last, part)
            if end > reached:
                reached, last = end, part
        if reached < self.manifest.geometry.end:
            yield self.gap(reached, self.manifest.geometry.end)


def adopted_parts(source, manifest):
    """The adopted parts of a key; None if it has none, and layer files hold all that it stores."""
    if manifest.trim == manifest.batch_roots_level:
        return None
    parts = source.adopted(manifest)
    return None if parts is None else AdoptedParts(source, manifest, parts)


def lowest_layer(manifest, adopted):
    """The lowest level that has a layer file."""
    return manifest.batch_roots_level if adopted else manifest.trim


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


def check(source, manifest):
    """Damage that can be seen without hashing nodes and without RocksDB, a line each; and the adopted parts."""
    found, adopted = [], None
    try:
        if isinstance(source, Directory):
            check_mark(source.path, manifest)
    except Refused as refused:
        found.append(str(refused))
    try:
        adopted = adopted_parts(source, manifest)
    except Refused as refused:
        if refused.code == MACHINE:
            raise
        found.append(str(refused))
    for level in range(lowest_layer(manifest, adopted), manifest.h + 1):
        try:
            layer = Layer(source, manifest, level)
            found += first_faults(layer.file.path, layer.faults() if manifest.sealed else ())
            layer.file.close()
        except Refused as refused:
            if refused.code == MACHINE:
                raise
            found.append(str(refused))
    return found + (adopted.faults() if adopted else []), adopted


def parent(manifest, level, index, left, right):
    """Node (level, index) of a key of leanVM (docs/SCHEMES.md, "Hash and tweaks")."""
    if manifest.scheme.endswith("-b0"):
        tweak = struct.pack("<BII7x", 2, level, index)
    else:
        tweak = struct.pack("<xB2xI4xI", 3, level, index)
    return hashlib.blake2s(tweak + manifest.parameter + left + right).digest()[:LEANVM_BYTES]


def fold(manifest, epoch, leaf, siblings):
    """The root that follows from a path."""
    node = leaf
    for level, sibling in enumerate(siblings):
        left, right = (sibling, node) if epoch >> level & 1 else (node, sibling)
        node = parent(manifest, level + 1, epoch >> (level + 1), left, right)
    return node


def look_up(source, manifest, first, count):
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
    adopted = adopted_parts(source, manifest)
    layers = [Layer(source, manifest, level) for level in range(lowest_layer(manifest, adopted), manifest.h + 1)]
    layers[-1].node(0)
    for epoch in range(first, first + count):
        levels = (adopted.nodes_of(epoch) if adopted else []) + layers
        siblings = [nodes.node((epoch >> nodes.level) ^ 1) for nodes in levels[: manifest.h]]
        leaf = levels[0].node(epoch)
        if manifest.of_leanvm and fold(manifest, epoch, leaf, siblings) != manifest.root:
            place = levels[0].file.path
            raise damaged(place, levels[0].offset(epoch), f"the path of epoch {epoch} does not lead to the root")
        yield epoch, leaf, siblings


def print_path(epoch, leaf, siblings, as_json):
    if as_json:
        path = {"epoch": epoch, "leaf": leaf.hex(), "siblings": [sibling.hex() for sibling in siblings]}
        print(json.dumps(path, sort_keys=True, separators=(",", ":")))
        return
    print(f"epoch {epoch}\nleaf {leaf.hex()}")
    for level, sibling in enumerate(siblings):
        print(f"sibling ({level}, {(epoch >> level) ^ 1}) {sibling.hex()}")


def print_part(part, as_json):
    description = part.description()
    if as_json:
        print(json.dumps(description, sort_keys=True, separators=(",", ":")))
        return
    levels = description.pop("levels")
    for name, value in description.items():
        print(name, value)
    for level in levels:
        print("level {level}: nodes [{first}, {end}) at offset {offset}".format(**level))


def print_faults(path, faults):
    """Says what is wrong with a file, and whether anything is."""
    lines = list(first_faults(path, faults))
    for line in lines:
        print(f"lookup.py: {line}", file=sys.stderr)
    return bool(lines)


def described(path):
    """The key directory or the ticket that was named beside a part."""
    if os.path.isdir(path):
        source = Directory(path)
        place, text = source.small("manifest.toml", MANIFEST_BYTES_MAX)
        # A key that was split is still being created until its parts are joined; its ticket says the same of it.
        is_split = text.startswith(b"format_version = 0\n") and os.path.lexists(source.place("ticket.toml"))
        return Ticket(*source.small("ticket.toml", MANIFEST_BYTES_MAX)) if is_split else Manifest(place, text)
    return Ticket(path, read_small(path, MANIFEST_BYTES_MAX))


def run_part(chosen):
    key = described(chosen.directory) if chosen.directory else None
    part = Part(RegularFile(chosen.part), key)
    if chosen.check:
        if print_faults(part.path, part.faults()):
            return NO
        beside = "" if key else "; whether the key is the right one was not looked at, without its directory or ticket"
        print("lookup.py: no damage found in what can be checked without the secret. The tag at the end of a part is"
              f" checked by `keymill join` alone, which has the secret{beside}", file=sys.stderr)  # fmt: skip
    print_part(part, chosen.json)
    return DONE


def whole_number(text):
    if not re.fullmatch("[0-9]{1,10}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)


def arguments():
    parser = argparse.ArgumentParser(prog="lookup.py", description=__doc__, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("directory", metavar="DIR", nargs="?", help="a key directory; beside a part, also a ticket")
    parser.add_argument("--url", help="where a web server or a bucket has the directory's manifest.toml and layers; of a"
                        " key with adopted parts, ticket.toml as well")  # fmt: skip
    parser.add_argument("--timeout", type=whole_number, metavar="SECONDS", default=30,
                        help="how long a request may take, 30 if not given")  # fmt: skip
    parser.add_argument("--public-key", metavar="HEX", help="the public key that the key must have")
    parser.add_argument("--part", metavar="FILE", help="a part of a key, which is described instead of paths looked up")
    parser.add_argument("--epoch", type=whole_number, metavar="N", help="the first epoch to look up")
    parser.add_argument("--count", type=whole_number, metavar="M", default=1, help="how many epochs, 1 if not given")
    parser.add_argument("--json", action="store_true", help="an object a line, as `keymill path` prints it")
    parser.add_argument("--check", action="store_true", help="look at everything that can be checked first")
    chosen = parser.parse_args()
    if chosen.part is not None:
        for flag in ("epoch", "url", "public_key"):
            if getattr(chosen, flag) is not None:
                parser.error(f"--{flag.replace('_', '-')} is not for a part")
        return chosen
    if (chosen.directory is None) == (chosen.url is None):
        parser.error("DIR, --url or --part is needed, and only one of them")
    if chosen.epoch is None and not chosen.check:
        parser.error("--epoch, --check or both are needed")
    if not chosen.count or not chosen.timeout:
        parser.error("--count and --timeout have to be at least 1")
    return chosen


def run(chosen):
    if chosen.part is not None:
        return run_part(chosen)
    source = Served(chosen.url, chosen.timeout) if chosen.url else Directory(chosen.directory)
    manifest = Manifest(*source.small("manifest.toml", MANIFEST_BYTES_MAX))
    if chosen.public_key is not None:
        manifest.compare_public_key(chosen.public_key)
    if chosen.check:
        found, adopted = check(source, manifest)
        for line in found:
            print(f"lookup.py: {line}", file=sys.stderr)
        if found:
            return NO
        unfinished = "" if manifest.sealed else "; the key is not finished, so nodes were not looked at"
        tags = "; the tags of its parts, which only a holder of the secret can check, were not looked at" if adopted else ""
        print(f"lookup.py: no damage found in what can be checked without hashing{unfinished}{tags}", file=sys.stderr)
    if chosen.epoch is not None:
        for epoch, leaf, siblings in look_up(source, manifest, chosen.epoch, chosen.count):
            print_path(epoch, leaf, siblings, chosen.json)
        say_what_was_verified(manifest, chosen)
    return DONE


def say_what_was_verified(manifest, chosen):
    """To those who asked a server, which they may not trust."""
    if not chosen.url:
        return
    whose = "the manifest that the server has" if chosen.public_key is None else "the public key that was given"
    if manifest.of_leanvm:
        said = f"verified: each of these paths leads to the root of {whose}"
    else:
        said = f"not verified: lookup.py computes no Poseidon hash, and cannot fold a path to the root of {whose}"
    print(f"lookup.py: {said}", file=sys.stderr)


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
