"""Certificate authority, certificates and passwords of a locked-down pipeline on one machine.

``[KAFKA] tls_dir`` (mode 0700) holds ``ca.pem`` (public), ``ca.key``, ``broker.pem`` and ``web.pem`` (key and
certificates in one file) and ``USER.password`` for each user; all but the first are 0600. What is there stays; what is
missing is made. To renew a certificate, remove its file and type the command again.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lakehouse import atomic_file
from lakehouse.config import Config
from lakehouse.errors import SetupError
from lakehouse.kafka.users import BROKER, USERS, folder, password_file

CA_DAYS, LEAF_DAYS = 3650, 397
"""Life of the authority and of a certificate. A browser accepts no certificate that lives longer than 398 days."""
HOSTS = ("localhost", "127.0.0.1", "::1")
Key = ec.EllipticCurvePrivateKey


def write_private(path: Path, content: bytes) -> None:
    """Create a file that only its owner can read, from the start."""
    atomic_file.write(path, content, mode=0o600)


def make(config: Config, hosts: Sequence[str] = ()) -> list[Path]:
    """Make what is missing; returns what was made. ``hosts`` are names of this machine besides localhost.

    Raises ``SetupError`` when the folder cannot be written, or holds an authority without its key.
    """
    place = folder(config)
    try:
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(0o700)
        made = _certificates(place, (*HOSTS, *hosts))
        for user in USERS:
            path = password_file(config, user)
            if not path.exists():
                write_private(path, secrets.token_urlsafe(24).encode() + b"\n")
                made.append(path)
        return made
    except OSError as error:
        raise SetupError(f"{place} cannot be written: {error}. Set [KAFKA] tls_dir.") from None


def _certificates(place: Path, hosts: Sequence[str]) -> list[Path]:
    made = []
    authority, key_file = place / "ca.pem", place / "ca.key"
    if not authority.exists():
        key, certificate = _authority()
        write_private(key_file, _private(key))
        atomic_file.write(authority, _public(certificate))
        made += [authority, key_file]
    leaves = [place / f"{name}.pem" for name in (BROKER, "web")]
    for leaf in leaves:
        if leaf.exists():
            continue
        if not key_file.exists():
            raise SetupError(f"{authority} is there, and its key {key_file} is not: it can sign no certificate.")
        parent = x509.load_pem_x509_certificate(authority.read_bytes())
        parent_key = load_pem_private_key(key_file.read_bytes(), password=None)
        assert isinstance(parent_key, Key)
        key, certificate = _signed(leaf.stem, hosts, parent, parent_key)
        write_private(leaf, _private(key) + _public(certificate) + _public(parent))
        made.append(leaf)
    return made


def _named(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _blank(subject: x509.Name, issuer: x509.Name, key: Key, days: int, *, ca: bool) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # for a clock that is a little behind
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(usage, critical=True)
    )


def _authority() -> tuple[Key, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named(f"ventes {secrets.token_hex(4)}")  # each authority has a name of its own
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    blank = _blank(name, name, key, CA_DAYS, ca=True).add_extension(identifier, critical=False)
    return key, blank.sign(key, hashes.SHA256())


def _signed(name: str, hosts: Sequence[str], parent: x509.Certificate, parent_key: Key) -> tuple[Key, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    # the brokers show theirs to each other's controllers as well
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, *([ExtendedKeyUsageOID.CLIENT_AUTH] if name == BROKER else [])]
    names = x509.SubjectAlternativeName([_host(host) for host in dict.fromkeys(hosts)])
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(parent_key.public_key())
    blank = (
        _blank(_named(name), parent.subject, key, LEAF_DAYS, ca=False)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(names, critical=False)
        .add_extension(issuer, critical=False)
    )
    return key, blank.sign(parent_key, hashes.SHA256())


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _public(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)
