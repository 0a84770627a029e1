"""API keys: who a client is, and how many requests it may have under way.

Keys come from a file and from the environment, one a line or between commas, as `KEY` or `NAME:KEY`; several may share a name,
so that a new key works before the old one is taken away. `#` starts a comment.

How a key is compared: by looking its BLAKE2b digest up in a dictionary. The digest is keyed with random bytes that are drawn at
start and never leave the process, so that a client cannot know the digest of any key, not even of its own; how far a lookup gets
before it fails thus tells nothing of a key, and its time does not depend on which key was sent, nor on how many there are.
Comparing against each key by `hmac.compare_digest` would be as safe and cost as many comparisons as there are keys.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from hashlib import blake2b
from pathlib import Path

from joulebox.runtime.errors import TooManyRequests, Unauthorized
from joulebox.runtime.settings import SettingError, Settings

log = logging.getLogger("joulebox.keys")

OPEN_PATHS = frozenset({"/livez", "/readyz", "/healthz", "/v2/health/live", "/v2/health/ready"})
"""What needs no key: probes of a supervisor or a load balancer carry none, and learn one bit each."""
CHALLENGE = (b"www-authenticate", b'Bearer realm="joulebox"')
"""The header that an answer with status 401 has to have (RFC 9110, 11.6.1)."""

CHECK_S = 1.0  # the file is looked at no more often
KEYS_MAX = 10_000
FILE_BYTES_MAX = 4 * 2**20
KEY_CHARACTERS = (16, 512)
_ENTRY = re.compile(r"(?:(?P<name>[A-Za-z0-9._-]{1,64}):)?(?P<key>[A-Za-z0-9._~+/=-]+)")  # what a bearer token may hold


class Keys:
    """The keys that are good now. A changed file counts within a second; a broken one is logged, and the old keys stay."""

    def __init__(self, file: Path | None = None, listed: str | None = None) -> None:
        """Reads the keys; `listed` is the text of `JOULEBOX_API_KEYS`.

        Raises:
            SettingError: the file cannot be read, a key is malformed or too short, or there are none.
        """
        self._secret = os.urandom(32)
        self._file = file
        self._listed = self._parse("JOULEBOX_API_KEYS", (listed or "").replace(",", "\n"))
        self._names = dict(self._listed)
        self._seen: tuple[int, ...] | None = None
        self._next_check_s = time.monotonic() + CHECK_S
        if file is not None:
            self._seen = _signature(file)
            self._names |= self._read(file)
        if not self._names:
            raise SettingError("JOULEBOX_API_KEYS holds no key; expected keys as KEY or NAME:KEY, separated by commas")

    def client(self, authorization: bytes, api_key: bytes) -> str:
        """The name of the client with this `Authorization: Bearer …` or `X-API-Key` header; empty bytes are no header.

        Raises:
            Unauthorized: there is no key, or it is not known.
        """
        if self._file is not None and time.monotonic() >= self._next_check_s:
            self._refresh(self._file)
        key = api_key or _bearer(authorization)
        if not key:
            raise Unauthorized(
                "there is no API key; expected the header 'Authorization: Bearer KEY' or 'X-API-Key: KEY'"
            )
        name = self._names.get(self._digest(key)) if len(key) <= KEY_CHARACTERS[1] else None
        if name is None:
            raise Unauthorized("the API key is not known; it may have been replaced: ask whoever runs this server")
        return name

    def _digest(self, key: bytes) -> bytes:
        return blake2b(key, key=self._secret, digest_size=32).digest()

    def _refresh(self, file: Path) -> None:
        self._next_check_s = time.monotonic() + CHECK_S
        seen = _signature(file)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._names = self._listed | self._read(file)
            log.info("API keys read again from %s: %d keys", file, len(self._names))
        except SettingError as error:
            log.error("the API keys stay as they were, since their file is broken: %s", error)

    def _read(self, file: Path) -> dict[bytes, str]:
        try:
            with file.open("rb") as opened:
                mode = os.fstat(opened.fileno()).st_mode
                content = opened.read(FILE_BYTES_MAX + 1)
            text = content.decode("ascii")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it holds more than ASCII"
            raise SettingError(
                f"API keys cannot be read from {file}: {reason}"
            ) from None  # the cause quotes the content
        if len(content) > FILE_BYTES_MAX:
            raise SettingError(f"{file} has more than {FILE_BYTES_MAX} bytes; expected a file of API keys")
        if mode & stat.S_IROTH:
            log.warning("everybody on this machine can read the API keys in %s: chmod o= %s", file, file)
        names = self._parse(str(file), text)
        if not names:
            raise SettingError(f"{file} holds no API key; expected KEY or NAME:KEY on each line")
        return names

    def _parse(self, where: str, text: str) -> dict[bytes, str]:
        names: dict[bytes, str] = {}
        for number, line in enumerate(text.splitlines(), 1):
            entry = line.partition("#")[0].strip()
            if not entry:
                continue
            name, key = _entry(f"{where}, line {number}", entry, number)
            if names.setdefault(self._digest(key), name) != name:
                raise SettingError(f"{where}, line {number}: the key stands there already under another name")
        if len(names) > KEYS_MAX:
            raise SettingError(f"{where} has {len(names)} keys; at most {KEYS_MAX} are kept")
        return names


class ClientLimit:
    """How many requests each client, by the name of its key or by its address, has under way. Holds only who has some."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: dict[str, int] = {}

    def enter(self, client: str) -> None:
        """Counts a request; each one that was counted has to `leave`.

        Raises:
            TooManyRequests: the client has as many under way as it may; it is not counted.
        """
        count = self._counts.get(client, 0)
        if count >= self._most:
            raise TooManyRequests(f"this client has {count} requests under way; at most {self._most} are taken at once")
        self._counts[client] = count + 1

    def leave(self, client: str) -> None:
        count = self._counts[client] - 1
        if count:
            self._counts[client] = count
        else:
            del self._counts[client]

    def __len__(self) -> int:
        """Clients with requests under way."""
        return len(self._counts)


def open_keys(settings: Settings) -> Keys | None:
    """The keys that the settings name; None where they name none.

    Raises:
        SettingError: see `Keys`.
    """
    if not settings.api_keys_file and not settings.api_keys:
        return None
    return Keys(settings.api_keys_file, settings.api_keys)


def _bearer(authorization: bytes) -> bytes:
    scheme, _, token = authorization.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def _entry(where: str, entry: str, number: int) -> tuple[str, bytes]:
    """Name and key. No message quotes the entry: it may be a key."""
    match = _ENTRY.fullmatch(entry)
    if match is None:
        raise SettingError(f"{where}: expected KEY or NAME:KEY, of letters, digits and -._~+/=")
    key = match["key"]
    least, most = KEY_CHARACTERS
    if not least <= len(key) <= most:
        raise SettingError(
            f"{where}: the key has {len(key)} characters; expected {least} to {most}: openssl rand -hex 32"
        )
    return match["name"] or f"key-{number}", key.encode()


def _signature(file: Path) -> tuple[int, ...] | None:
    try:
        info = file.stat()
    except OSError:
        return None
    return info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_size
