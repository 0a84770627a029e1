"""What the gRPC server takes at most, and its certificate."""

from __future__ import annotations

from pathlib import Path

import grpc

from joulebox.runtime.settings import SettingError, Settings, variable

AGE_MS = 3_600_000  # clients then connect again, without a failed call: to all workers, where one was replaced
KEEPALIVE_MS = 60_000
KEEPALIVE_TIMEOUT_MS = 20_000  # a peer that does not answer for so long has gone
PING_MIN_MS = 10_000  # clients that ping more often are sent away
METADATA_BYTES_MAX = 16_384
MESSAGE_BYTES_MAX = 2**31 - 1  # of gRPC itself


def options(settings: Settings) -> list[tuple[str, int]]:
    """Arguments of the server's channels (`grpc/impl/channel_arg_names.h`)."""
    return [
        ("grpc.max_receive_message_length", min(settings.body_bytes_max, MESSAGE_BYTES_MAX)),
        ("grpc.max_send_message_length", min(settings.inflight_bytes_max, MESSAGE_BYTES_MAX)),
        ("grpc.max_metadata_size", METADATA_BYTES_MAX),
        ("grpc.max_allowed_incoming_connections", settings.connections_max),
        ("grpc.max_concurrent_streams", settings.connections_max),
        ("grpc.server_handshake_timeout_ms", round(1e3 * settings.header_timeout_s)),
        ("grpc.max_connection_idle_ms", round(1e3 * settings.idle_timeout_s)),
        ("grpc.max_connection_age_ms", AGE_MS),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", PING_MIN_MS),
        ("grpc.so_reuseport", 1),  # each worker listens; `joulebox serve` has bound the port before them
    ]


def credentials(settings: Settings) -> grpc.ServerCredentials:
    """The certificate of the settings, and whose certificates clients need.

    Raises:
        SettingError: a file cannot be read, or the key has a password, which gRPC cannot take.
    """
    if settings.ssl_keyfile_password:
        raise SettingError(
            f"{variable('ssl_keyfile_password')}: gRPC takes no key with a password; give a key without one,"
            f" or {variable('grpc_port')}=0"
        )
    key, certificate = _read(settings.ssl_keyfile or settings.ssl_certfile), _read(settings.ssl_certfile)
    authorities = _read(settings.ssl_ca_certs) if settings.ssl_ca_certs else None
    return grpc.ssl_server_credentials([(key, certificate)], authorities, authorities is not None)


def _read(path: Path | None) -> bytes:
    try:
        return path.read_bytes() if path else b""
    except OSError as error:
        raise SettingError(f"{path}: {error.strerror}; expected a PEM file for gRPC's certificate") from error
