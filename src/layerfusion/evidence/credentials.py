"""What a file's Content Credentials (C2PA) say, and whether their signature holds; offline."""

import json
from pathlib import Path
from typing import Any

NOT_CHECKED = (
    "present; who signed them is not checked here (pip install 'layerfusion[c2pa]' reads them)"
)
# Nothing is fetched: not a manifest that lies elsewhere, not whether a certificate was revoked, and
# not a list of whom to trust.
OFFLINE: dict[str, Any] = {
    "verify": {"verify_trust": False, "remote_manifest_fetch": False, "ocsp_fetch": False},
    "core": {"allowed_network_hosts": []},
}


def credentials(path: Path) -> str:
    """Return in words what a file's Content Credentials are worth, without the network.

    A valid signature says that the file is as its signer left it. Anybody can make a certificate
    with any name on it: who the signer is remains unchecked. Never fails.
    """
    try:
        import c2pa
    except (ImportError, OSError):  # not installed, or its library is not for this machine
        return NOT_CHECKED
    try:
        with (
            c2pa.Context(c2pa.Settings.from_dict(OFFLINE)) as context,
            path.open("rb") as file,
            c2pa.Reader(file, context=context) as reader,
        ):
            return _in_words(json.loads(reader.json()))
    except Exception:  # hostile bytes meet a library of another language
        return "present, and cannot be read: damaged or cut off"


def _in_words(store: dict[str, Any]) -> str:
    manifest = store.get("manifests", {}).get(store.get("active_manifest"), {})
    signature = manifest.get("signature_info") or {}
    signer = signature.get("common_name") or signature.get("issuer") or "a signer without a name"
    programs = [program.get("name") for program in manifest.get("claim_generator_info") or []]
    by = f", with {programs[0]}" if programs and programs[0] else ""
    if store.get("validation_state") in ("Valid", "Trusted"):
        return f"signed by {signer}{by}; signature valid, signer not checked"
    failed = store.get("validation_status") or []
    why = ", ".join(sorted({str(one.get("code")) for one in failed})) or "it does not validate"
    return f"signed by {signer}{by}; signature broken: {why}"
