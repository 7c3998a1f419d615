"""Content Credentials that are made here: whole, broken, damaged, and none; without the network."""

import datetime
import socket
import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from layerfusion.evidence.credentials import NOT_CHECKED
from layerfusion.evidence.metadata import marks

CREDENTIALS = "Content Credentials (C2PA)"


def certificate(name, issuer=None):
    """A certificate and its key; of an authority where no issuer is given."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, name),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, name),
        ]
    )
    by, by_key = (subject, key) if issuer is None else (issuer[0].subject, issuer[1])
    own = issuer is None
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    usage = x509.KeyUsage(not own, False, False, False, False, own, own, False, False)
    builder = (
        x509.CertificateBuilder(by, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.BasicConstraints(ca=own, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(by_key.public_key()), False
        )
    )
    if not own:
        mail = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(mail, False)
    return builder.sign(by_key, hashes.SHA256()), key


@pytest.fixture(scope="module")
def signed():
    """A JPEG with Content Credentials, as bytes."""
    c2pa = pytest.importorskip("c2pa")
    from cryptography.hazmat.primitives import serialization

    authority = certificate("Authority")
    own, key = certificate("Ada <b>Lovelace</b>", authority)
    pem = serialization.Encoding.PEM
    chain = own.public_bytes(pem) + authority[0].public_bytes(pem)
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    info = c2pa.C2paSignerInfo(alg=b"es256", sign_cert=chain, private_key=secret, ta_url=None)
    made = {
        "action": "c2pa.created",
        "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture",
    }
    builder = c2pa.Builder(
        {
            "claim_generator_info": [{"name": "Snapper", "version": "1"}],
            "assertions": [{"label": "c2pa.actions", "data": {"actions": [made]}}],
        }
    )
    plain, out = BytesIO(), BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(plain, "JPEG")
    plain.seek(0)
    builder.sign(c2pa.Signer.from_info(info), "image/jpeg", plain, out)
    return out.getvalue()


def said_of(data, folder):
    path = folder / "picture"
    path.write_bytes(data)
    return {mark.what: mark.says for mark in marks(path)}.get(CREDENTIALS)


def test_a_whole_signature_is_valid_and_its_signer_unchecked(signed, tmp_path):
    assert said_of(signed, tmp_path) == (
        "signed by Ada <b>Lovelace</b>, with Snapper; signature valid, signer not checked"
    )


def test_a_changed_picture_breaks_the_signature(signed, tmp_path):
    changed = bytearray(signed)
    changed[-200] ^= 0x55
    assert "signature broken: assertion.dataHash.mismatch" in said_of(bytes(changed), tmp_path)


@pytest.mark.parametrize("kept", [300, 3000])
def test_what_is_cut_off_is_never_valid(signed, tmp_path, kept):
    said = said_of(signed[:kept], tmp_path)
    assert said is None or "valid," not in said


def test_damage_is_said(tmp_path):
    pytest.importorskip("c2pa")
    said = said_of(b"\xff\xd8\xff\xe1\xff\xffExif\0\0 jumbc2pa", tmp_path)
    assert said == "present, and cannot be read: damaged or cut off"


def test_a_manifest_that_lies_elsewhere_is_not_fetched(tmp_path):
    pytest.importorskip("c2pa")
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.settimeout(0.2)
        url = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/a.c2pa"
        xmp = (
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
            'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
            f'xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="{url}"/>'
            "</rdf:RDF></x:xmpmeta><!-- jumbc2pa -->"
        )
        Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg", xmp=xmp.encode())
        (found,) = [mark for mark in marks(tmp_path / "a.jpg") if mark.what == CREDENTIALS]
        assert "valid," not in found.says
        with pytest.raises(TimeoutError):
            elsewhere.accept()


def test_without_the_library_it_is_named(signed, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert said_of(signed, tmp_path) == NOT_CHECKED
