/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private, for tests: what a real Guix 1.5.0 wrote. Item `b` holds the file name
   of item `a`, which holds "hello world\n"; the key pair is a throw-away one of
   `guix archive --generate-key`, and signing is deterministic, so that our
   writers must make the very same bytes. */
#pragma once

#define VECTOR_PATH_A "/gnu/store/qmcmp026j2j6q2r0zy187v4bab5aj0pi-a"
#define VECTOR_PATH_B "/gnu/store/8a6w80mdrwq3zbdj3n79nqbp002dg9q5-b"

/* /etc/guix/signing-key.pub and .sec */
static const char vector_public_key[] =
    "(public-key \n"
    " (ecc \n"
    "  (curve Ed25519)\n"
    "  (q #FBF0B0F23D69B86B03882F41621342133E3CE48DA37D1F4177CE0773886F5BF6#)\n"
    "  )\n"
    " )\n";

static const char vector_private_key[] =
    "(private-key \n"
    " (ecc \n"
    "  (curve Ed25519)\n"
    "  (q #FBF0B0F23D69B86B03882F41621342133E3CE48DA37D1F4177CE0773886F5BF6#)\n"
    "  (d #54FD04EACCB42CF7AB46B29B7319744F2A039BC309B6B99AF1483513F3555B98#)\n"
    "  )\n"
    " )\n";

/* /etc/guix/acl as Debian's package makes it */
static const char vector_acl[] =
    "(acl\n"
    " (entry\n"
    "  (public-key\n"
    "   (ecc\n"
    "    (curve Ed25519)\n"
    "    (q #8D156F295D24B0D9A86FA5741A840FF2D24F60F7B6C4134814AD55625971B394#)\n"
    "    )\n"
    "   )\n"
    "  (tag\n"
    "   (guix import)\n"
    "   )\n"
    "  )\n"
    " (entry\n"
    "  (public-key\n"
    "   (ecc\n"
    "    (curve Ed25519)\n"
    "    (q #7D602902D3A2DBB83F8A0FB98602A754C5493B0B778C8D1DD4E0F41DE14DE34F#)\n"
    "    )\n"
    "   )\n"
    "  (tag\n"
    "   (guix import)\n"
    "   )\n"
    "  )\n"
    " )\n";

/* of `b`, by guix publish --cache on the host "vm" */
static const char vector_narinfo[] =
    "StorePath: /gnu/store/8a6w80mdrwq3zbdj3n79nqbp002dg9q5-b\n"
    "NarHash: sha256:0ymx0bfxi1rxlrmnfhmdqdndz55w4zri1cs4g0q73dp8906cpfvh\n"
    "NarSize: 160\n"
    "References: qmcmp026j2j6q2r0zy187v4bab5aj0pi-a\n"
    "Signature: 1;vm;KHNpZ25hdHVyZSAKIChkYXRhIAogIChmbGFncyByZmM2OTc5KQogIChoYXNoIHNoYTI1"
    "NiAjQjhENEQyNDRBRjQwNEI0MkU3QThCQjgxMjI1OUEyNDFGMzk1RkJDQjU2MUIyOEU2QjIzQzM5OTE4Mzgz"
    "NTU2NyMpCiAgKQogKHNpZy12YWwgCiAgKGVjZHNhIAogICAociAjMDEzMTZFN0U5MjZCNzU5MzBCNTZBRDU0"
    "RDBBNTU4OENCN0FDNjA3NEEwNUNEMjMzNDJFOTBFQzVEODdFNTM5MiMpCiAgIChzICMwOEJFQTc1NTYxMEZD"
    "NTZDMDkyOUMyM0M1MzdENTEwQUQ5QjFEMTRBRTFBRkVCMDkyNzRBMzc3REFBRDhCNjExIykKICAgKQogICkK"
    "IChwdWJsaWMta2V5IAogIChlY2MgCiAgIChjdXJ2ZSBFZDI1NTE5KQogICAocSAjRkJGMEIwRjIzRDY5Qjg2"
    "QjAzODgyRjQxNjIxMzQyMTMzRTNDRTQ4REEzN0QxRjQxNzdDRTA3NzM4ODZGNUJGNiMpCiAgICkKICApCiAp"
    "Cg==\n"
    "URL: nar/gzip/8a6w80mdrwq3zbdj3n79nqbp002dg9q5-b\n"
    "Compression: gzip\n"
    "FileSize: 127\n"
    "URL: nar/lzip/8a6w80mdrwq3zbdj3n79nqbp002dg9q5-b\n"
    "Compression: lzip\n"
    "FileSize: 137\n";

/* guix archive --export -r of `b`, in base64 */
static const char vector_archive[] =
    "AQAAAAAAAAANAAAAAAAAAG5peC1hcmNoaXZlLTEAAAABAAAAAAAAACgAAAAAAAAABAAAAAAAAAB0eXBlAAAA"
    "AAcAAAAAAAAAcmVndWxhcgAIAAAAAAAAAGNvbnRlbnRzDAAAAAAAAABoZWxsbyB3b3JsZAoAAAAAAQAAAAAA"
    "AAApAAAAAAAAAE5JWEUAAAAALQAAAAAAAAAvZ251L3N0b3JlL3FtY21wMDI2ajJqNnEycjB6eTE4N3Y0YmFi"
    "NWFqMHBpLWEAAAAAAAAAAAAAAAAAAAAAAAAAAQAAAAAAAACuAQAAAAAAAChzaWduYXR1cmUgCiAoZGF0YSAK"
    "ICAoZmxhZ3MgcmZjNjk3OSkKICAoaGFzaCBzaGEyNTYgI0EzQUExRjlDQ0MyQUNCNTZGNkIwOEUzOUY3MUVB"
    "Rjc5NjVBRDY3M0ZFRTgyQThCMDc2NzU3NDMxNUQ0MUNDNjcjKQogICkKIChzaWctdmFsIAogIChlY2RzYSAK"
    "ICAgKHIgIzBCNTk2MkMwRDU2RTRGMzFBMDI4NEM1NDYxNjY3QkFBQ0FBMDkwOTI2MzBBMTc1Q0ZGRDAyMzE3"
    "REUwMThCRTUjKQogICAocyAjMDk1OUEyM0Y0RDJCODM2QTc0ODJEOUQyMTQ1OTM3MTdCRjE4Q0E5Q0UzQ0Mz"
    "OUZCRjNCNzk4NEEwRTQ3NTg3QSMpCiAgICkKICApCiAocHVibGljLWtleSAKICAoZWNjIAogICAoY3VydmUg"
    "RWQyNTUxOSkKICAgKHEgI0ZCRjBCMEYyM0Q2OUI4NkIwMzg4MkY0MTYyMTM0MjEzM0UzQ0U0OERBMzdEMUY0"
    "MTc3Q0UwNzczODg2RjVCRjYjKQogICApCiAgKQogKQoAAAEAAAAAAAAADQAAAAAAAABuaXgtYXJjaGl2ZS0x"
    "AAAAAQAAAAAAAAAoAAAAAAAAAAQAAAAAAAAAdHlwZQAAAAAHAAAAAAAAAHJlZ3VsYXIACAAAAAAAAABjb250"
    "ZW50cy4AAAAAAAAAL2dudS9zdG9yZS9xbWNtcDAyNmoyajZxMnIwenkxODd2NGJhYjVhajBwaS1hCgAAAQAA"
    "AAAAAAApAAAAAAAAAE5JWEUAAAAALQAAAAAAAAAvZ251L3N0b3JlLzhhNnc4MG1kcndxM3piZGozbjc5bnFi"
    "cDAwMmRnOXE1LWIAAAABAAAAAAAAAC0AAAAAAAAAL2dudS9zdG9yZS9xbWNtcDAyNmoyajZxMnIwenkxODd2"
    "NGJhYjVhajBwaS1hAAAAAAAAAAAAAAABAAAAAAAAAK4BAAAAAAAAKHNpZ25hdHVyZSAKIChkYXRhIAogIChm"
    "bGFncyByZmM2OTc5KQogIChoYXNoIHNoYTI1NiAjRkUzQjA4MDdDMjU0MzA2NDU2OUJBQTQ1MTNDOTc2NDlB"
    "QUEyOUM3MDkzRDZBRkRFNDdBMUU5NDRGQkE5NjcwRiMpCiAgKQogKHNpZy12YWwgCiAgKGVjZHNhIAogICAo"
    "ciAjMDMxRjM1NzdFOTIxMUU4MjYxRDJGRTU1RDJCMDVENTc4MDBGQjc2OUYwQUJDODI5RUI1MTI1M0NGREY2"
    "NTFDNCMpCiAgIChzICMwRjFFRDhDMkM0QzQ1NERGOENDNkQ1MUUzREVENzIyNUNBNTFDNUExMTRFNkExQjky"
    "NkM1ODA5QTkzRTU1M0VGIykKICAgKQogICkKIChwdWJsaWMta2V5IAogIChlY2MgCiAgIChjdXJ2ZSBFZDI1"
    "NTE5KQogICAocSAjRkJGMEIwRjIzRDY5Qjg2QjAzODgyRjQxNjIxMzQyMTMzRTNDRTQ4REEzN0QxRjQxNzdD"
    "RTA3NzM4ODZGNUJGNiMpCiAgICkKICApCiApCgAAAAAAAAAAAAA=";
