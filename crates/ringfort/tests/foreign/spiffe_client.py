"""Fetches an SVID over the SPIFFE Workload API by the `spiffe` package and verifies it with `cryptography`.

The socket is in SPIFFE_ENDPOINT_SOCKET. With the argument `watch` it prints a line for each SVID until it is ended.
"""
import datetime
import sys
import threading

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from spiffe import WorkloadApiClient, X509Source


def verify(svid, bundle):
    """Leaf by intermediate by root, in life, for this very key."""
    leaf, *rest = svid.cert_chain
    now = datetime.datetime.now(datetime.timezone.utc)
    roots = list(bundle.x509_authorities)
    assert len(roots) >= 1 and len(rest) >= 1
    for certificate in [leaf, *rest, *roots]:
        assert certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc
    chain = [leaf, *rest]
    for child, issuer in zip(chain, rest):
        child.verify_directly_issued_by(issuer)
    root = next(root for root in roots if root.subject == chain[-1].issuer)
    chain[-1].verify_directly_issued_by(root)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == [str(svid.spiffe_id)] and len(list(names)) == 1, list(names)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical and usage.value.digital_signature and not usage.value.key_cert_sign
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert svid.private_key.public_key().public_bytes(*form) == leaf.public_key().public_bytes(*form)
    signature = svid.private_key.sign(b"proof", ec.ECDSA(leaf.signature_hash_algorithm))
    leaf.public_key().verify(signature, b"proof", ec.ECDSA(leaf.signature_hash_algorithm))


def show(svid):
    print(f"svid {svid.spiffe_id} serial {svid.leaf.serial_number:x}", flush=True)


with WorkloadApiClient() as client:
    context = client.fetch_x509_context()
    svid = context.default_svid
    verify(svid, context.x509_bundle_set.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain))
    bundles = client.fetch_x509_bundles()
    verify(svid, bundles.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain))

if "watch" in sys.argv[1:]:
    changed = threading.Event()
    source = X509Source(timeout_in_seconds=20)
    source.subscribe_for_updates(changed.set)
    while True:
        show(source.svid)
        verify(source.svid, source.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain))
        changed.wait()
        changed.clear()
show(svid)
