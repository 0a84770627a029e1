"""TLS as the settings have it."""

from __future__ import annotations

import ssl

from joulebox.runtime.settings import SettingError, Settings, variable


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """What the server's sockets speak; None is plain HTTP. TLS 1.2 at least; with CA certificates, clients need one of theirs.

    Raises:
        SettingError: a file is missing, is no PEM, or does not fit the others.
    """
    if settings.ssl_certfile is None:
        for field in ("ssl_keyfile", "ssl_keyfile_password", "ssl_ca_certs"):
            if getattr(settings, field) is not None:
                raise SettingError(
                    f"{variable(field)} is set and {variable('ssl_certfile')} is not; TLS needs a certificate"
                )
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    password = settings.ssl_keyfile_password or ""  # or OpenSSL would ask the terminal for it
    try:
        context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile, password=lambda: password)
    except (OSError, ValueError) as error:
        files = f"{settings.ssl_certfile} with the key in {settings.ssl_keyfile or 'the same file'}"
        raise SettingError(
            f"cannot use the certificate {files}: {_reason(error)};"
            " expected PEM files that belong together, and the password of an encrypted key"
        ) from error
    if settings.ssl_ca_certs is not None:
        try:
            context.load_verify_locations(settings.ssl_ca_certs)
        except (OSError, ValueError) as error:
            raise SettingError(
                f"cannot use the CA certificates in {settings.ssl_ca_certs}: {_reason(error)}; expected a PEM file"
            ) from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
