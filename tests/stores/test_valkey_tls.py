"""A Valkey behind TLS: `valkeys://`, with an authority of our own, and with certificates of clients.

The server of the tests has no TLS, so a relay terminates it.
"""

from __future__ import annotations

import datetime
import functools
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.stores.contract import record
from tests.stores.valkey import ValkeyProcess
from trimcp.errors import UsageError
from trimcp.stores import Valkey

PATIENT = 5.0


class Authority:
    """A certificate authority, and the files of its certificates."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of the tests")])
        self.file = directory / "authority.pem"
        self._write(self.file, self._certificate(self._name, self._key, is_authority=True))

    def issue(self, name: str) -> tuple[str, str]:
        """Issue a certificate for an address or a name; return its file and that of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        alternative: x509.GeneralName = x509.DNSName(name)
        if name[0].isdigit():
            alternative = x509.IPAddress(ipaddress.ip_address(name))
        certificate = self._certificate(subject, key, alternative=alternative)
        cert_file, key_file = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        self._write(cert_file, certificate)
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return str(cert_file), str(key_file)

    def _certificate(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        alternative: x509.GeneralName | None = None,
        is_authority: bool = False,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            # From 3.13 on Python wants these two of each certificate.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if is_authority:
            # It signs certificates and lists of revoked ones, and nothing else.
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        if alternative is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, path: Path, certificate: x509.Certificate) -> None:
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@asynccontextmanager
async def behind_tls(valkey: ValkeyProcess, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Relay connections with TLS to a Valkey; the port of the relay."""

    async def relay(stream: trio.SocketStream) -> None:
        try:
            async with (
                trio.SSLStream(stream, context, server_side=True) as ours,
                await trio.open_tcp_stream("127.0.0.1", valkey.port) as theirs,
                trio.open_nursery() as nursery,
            ):

                async def copy(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
                    while data := await source.receive_some():
                        await sink.send_all(data)
                    nursery.cancel_scope.cancel()

                nursery.start_soon(copy, ours, theirs)
                nursery.start_soon(copy, theirs, ours)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client does not trust the relay, or has gone

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(functools.partial(trio.serve_tcp, relay, 0, host="127.0.0.1"))
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def context_of(authority: Authority, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.file)
    context.load_cert_chain(*authority.issue(name))
    return context


async def works(url: str) -> None:
    """Keep and find a session, and hear the bus."""
    store = Valkey(url, deadline=PATIENT)
    with trio.fail_after(60):
        async with store.open(), store.bus.subscribe(1) as messages:
            kept = record(url)
            await store.sessions.add(kept)
            assert await store.sessions.find(kept.id) == kept
            await store.bus.publish(b"news")
            assert await messages.receive() == b"news"


async def refused(url: str, why: str = "cannot be reached") -> None:
    with trio.fail_after(60), pytest.raises(UsageError, match=why) as caught:
        async with Valkey(url, deadline=PATIENT).open():
            pass
    assert "\n" not in str(caught.value)


async def test_a_server_is_trusted_by_the_given_authority_alone(valkey: ValkeyProcess, authority: Authority) -> None:
    async with behind_tls(valkey, context_of(authority)) as port:
        await works(f"valkeys://127.0.0.1:{port}/tls?ca_file={authority.file}")
        await refused(f"valkeys://127.0.0.1:{port}/tls", r"UnknownIssuer.*check .* certificates")
        await refused(f"valkey://127.0.0.1:{port}/tls")


async def test_a_server_with_the_certificate_of_another_is_refused(valkey: ValkeyProcess, authority: Authority) -> None:
    async with behind_tls(valkey, context_of(authority, "other.example")) as port:
        await refused(f"valkeys://127.0.0.1:{port}/tls?ca_file={authority.file}")


async def test_a_server_that_wants_a_certificate_gets_it(valkey: ValkeyProcess, authority: Authority) -> None:
    context = context_of(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    cert_file, key_file = authority.issue("client.example")
    async with behind_tls(valkey, context) as port:
        url = f"valkeys://127.0.0.1:{port}/tls?ca_file={authority.file}"
        await works(f"{url}&cert_file={cert_file}&key_file={key_file}")
        await refused(url)


async def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "authority.pem"
    await refused(f"valkeys://127.0.0.1/tls?ca_file={file}", "cannot be read")
    file.write_text("-----BEGIN PRIVATE KEY-----")
    await refused(f"valkeys://127.0.0.1/tls?ca_file={file}", "has no certificate")
