#!/usr/bin/env python3
"""Makes an NSS database that trusts certificate authorities: where Chromium on Linux looks for those of its user.

    trust.py LIBRARIES HOME CA.pem...

writes HOME/.pki/nssdb. It calls the libnss3 in the folder LIBRARIES, as `certutil -A -t C,,` would; certutil itself comes with
distributions only.
"""

import ctypes
import os
import pathlib
import re
import ssl
import sys

CERTDB_TRUSTED_CA = 1 << 4  # certdb.h
CERTDB_VALID_CA = 1 << 3
CK_INVALID_HANDLE = 0


class Item(ctypes.Structure):
    """SECItem: bytes of some type, 0 for a buffer."""

    _fields_ = [("type", ctypes.c_uint), ("data", ctypes.c_char_p), ("length", ctypes.c_uint)]


class Trust(ctypes.Structure):
    """CERTCertTrust: what a certificate is trusted for."""

    _fields_ = [("ssl", ctypes.c_uint), ("email", ctypes.c_uint), ("object_signing", ctypes.c_uint)]


def load(folder):
    # libnss3 finds the others by name, libsoftokn3 beside itself.
    for name in ("libnspr4.so", "libplc4.so", "libplds4.so", "libnssutil3.so"):
        ctypes.CDLL(os.path.join(folder, name), mode=ctypes.RTLD_GLOBAL)
    nss = ctypes.CDLL(os.path.join(folder, "libnss3.so"), mode=ctypes.RTLD_GLOBAL)
    for function in ("CERT_NewTempCertificate", "PK11_GetInternalKeySlot", "CERT_GetDefaultCertDB"):
        getattr(nss, function).restype = ctypes.c_void_p
    return nss


def check(nss, what, good):
    if not good:
        sys.exit(f"trust: {what} failed: NSS error {nss.PORT_GetError()}")


def main(libraries, home, authorities):
    database = pathlib.Path(home, ".pki", "nssdb")
    database.mkdir(mode=0o700, parents=True, exist_ok=True)
    nss = load(libraries)
    check(nss, "NSS_InitReadWrite", nss.NSS_InitReadWrite(f"sql:{database}".encode()) == 0)
    store = ctypes.c_void_p(nss.CERT_GetDefaultCertDB())
    slot = ctypes.c_void_p(nss.PK11_GetInternalKeySlot())
    check(nss, "PK11_InitPin", nss.PK11_NeedUserInit(slot) == 0 or nss.PK11_InitPin(slot, None, b"") == 0)
    number = 0
    for file in authorities:
        pem = pathlib.Path(file).read_text()
        for block in re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", pem, re.DOTALL):
            number += 1
            der = ssl.PEM_cert_to_DER_cert(block)
            certificate = ctypes.c_void_p(nss.CERT_NewTempCertificate(store, ctypes.byref(Item(0, der, len(der))), None, 0, 1))
            check(nss, f"CERT_NewTempCertificate of {file}", certificate)
            name = f"e2e {number}".encode()
            check(nss, f"PK11_ImportCert of {file}", nss.PK11_ImportCert(slot, certificate, ctypes.c_ulong(CK_INVALID_HANDLE), name, 0) == 0)
            trust = Trust(ssl=CERTDB_TRUSTED_CA | CERTDB_VALID_CA)
            check(nss, f"CERT_ChangeCertTrust of {file}", nss.CERT_ChangeCertTrust(store, certificate, ctypes.byref(trust)) == 0)
            nss.CERT_DestroyCertificate(certificate)
    if number == 0:
        sys.exit("trust: no certificate in " + " ".join(authorities))
    nss.PK11_FreeSlot(slot)
    check(nss, "NSS_Shutdown", nss.NSS_Shutdown() == 0)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
