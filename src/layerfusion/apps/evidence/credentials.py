"""What a file's Content Credentials (C2PA) say, and whether their signature holds; offline."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from layerfusion.apps.evidence.source_types import source_type

NOT_CHECKED = (
    "present; what they claim and who signed them is not read here (pip install "
    "'layerfusion[c2pa]' reads them)"
)
# Nothing is fetched: not a manifest that lies elsewhere, not whether a certificate was revoked, and
# not a list of whom to trust.
OFFLINE: dict[str, Any] = {
    "verify": {"verify_trust": False, "remote_manifest_fetch": False, "ocsp_fetch": False},
    "core": {"allowed_network_hosts": []},
}


class Credentials(NamedTuple):
    """What Content Credentials are worth, and what they claim, which is another matter.

    Attributes
    ----------
    signature
        Who signed, and whether the file is as it was then.
    claims
        The actions by which the picture came about, and from what; empty where none are named.
    """

    signature: str
    claims: str = ""


def credentials(path: Path) -> Credentials:
    """Return in words what a file's Content Credentials are worth and claim, without the network.

    A valid signature says that the file is as its signer left it. Anybody can make a certificate
    with any name on it: who the signer is remains unchecked, and so is what is claimed. Never
    fails.
    """
    try:
        import c2pa
    except (ImportError, OSError):  # not installed, or its library is not for this machine
        return Credentials(NOT_CHECKED)
    try:
        with (
            c2pa.Context(c2pa.Settings.from_dict(OFFLINE)) as context,
            path.open("rb") as file,
            c2pa.Reader(file, context=context) as reader,
        ):
            store = json.loads(reader.json())
            return Credentials(_in_words(store), _claims(store))
    except Exception:  # hostile bytes meet a library of another language
        return Credentials("present, and cannot be read: damaged or cut off")


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


def _claims(store: dict[str, Any]) -> str:
    """List the actions of the manifest, then those of its ingredients', which were before it."""
    manifests = dict(store.get("manifests", {}))
    active = manifests.pop(store.get("active_manifest"), {})
    earlier = [
        f"before that, {claim}" for manifest in manifests.values() for claim in _actions(manifest)
    ]
    return "; ".join([*_actions(active), *earlier])


def _actions(manifest: dict[str, Any]) -> list[str]:
    """Return a manifest's actions, each with its digital source type if it names one."""
    actions = [
        action
        for assertion in manifest.get("assertions") or []
        if str(assertion.get("label")).startswith("c2pa.actions")
        for action in assertion.get("data", {}).get("actions") or []
    ]
    names = [str(action.get("action")).removeprefix("c2pa.") for action in actions]
    types = [action.get("digitalSourceType") for action in actions]
    return [
        name if kind is None else f"{name}: {source_type(str(kind))}"
        for name, kind in zip(names, types, strict=True)
    ]
