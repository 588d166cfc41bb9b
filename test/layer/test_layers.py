#!/usr/bin/python3
"""The layer rule, looked at in what was built and in what is written.

  symbols   a pure layer needs nothing but memory, strings, its parsers, and the layers it may use:
            no clock, no socket, no file, no `rand`, no environment
  includes  no `../`, and a role names no other role

Usage: test_layers.py NM SOURCE_DIR LAYER=LIBRARY...   in the order of the layers, lowest first
"""
import pathlib
import re
import subprocess
import sys

MAY_USE = {
    "base": set(),
    "core": {"base"},
    "wire": {"base"},
    "crypto": {"base"},
    "stream": {"base", "core", "wire"},
    "tunnel": {"base", "core", "wire", "crypto"},
}
HARMLESS = re.compile(
    r"(bcmp|mem(cpy|move|set|cmp|chr|mem|rchr)|str(n?len|n?cmp|n?casecmp|r?chr|n?dup|c?spn|str|toul?l?|tod|tok_r)|is[a-z]+|to(lower|upper)"
    r"|malloc|calloc|realloc|reallocarray|free|qsort|bsearch|abort|v?sn?printf|log2?|exp2?|sqrt|l?l?round|floor|ceil|fmin|fmax|pow"
    r"|__(assert_fail|stack_chk_fail|ctype_\w+|isoc99_\w+)|__\w+_chk|_GLOBAL_OFFSET_TABLE_"
    r"|XXH\w+|XML_\w+|EVP_(?!RAND|PKEY_keygen|PKEY_generate|PKEY_Q_|CIPHER_CTX_rand)\w+|CRYPTO_memcmp|OPENSSL_cleanse|OSSL_\w+)$")


def symbols(nm, library, kind):
    lines = subprocess.run([nm, "--quiet", kind, library], check=True, capture_output=True, text=True).stdout.splitlines()
    return {line.split()[-1] for line in lines if line and not line.endswith(":")}


def check_symbols(nm, libraries):
    defined = {layer: symbols(nm, library, "--defined-only") for layer, library in libraries.items()}
    for layer, library in libraries.items():
        known = set(defined[layer]).union(*(defined[below] for below in MAY_USE[layer] if below in defined))
        foreign = {s for s in symbols(nm, library, "--undefined-only") if s not in known and not HARMLESS.match(s)}
        yield f"symbols of {layer}", f"needs {', '.join(sorted(foreign))}" if foreign else None


def check_includes(source):
    for path in sorted(source.rglob("*.[ch]")):
        wrong = [line for line in path.read_text().splitlines() if re.match(r'\s*#\s*include\s+"[^"]*/', line)]
        if wrong:
            yield f"includes of {path.relative_to(source)}", wrong[0].strip()
    yield "includes without a folder", None
    roles = {p.name: {h.name for h in p.glob("*.h")} for p in (source / "role").iterdir() if p.is_dir()}
    for role in roles:
        text = "".join(p.read_text() for p in (source / "role" / role).glob("*.[ch]"))
        included = set(re.findall(r'#\s*include\s+"([^"]+)"', text))
        others = {h for other, headers in roles.items() if other != role for h in headers} - roles[role]
        foreign = included & others
        yield f"role {role}", f"includes {', '.join(sorted(foreign))} of another role" if foreign else None


def main():
    nm, source = sys.argv[1], pathlib.Path(sys.argv[2])
    libraries = dict(argument.split("=", 1) for argument in sys.argv[3:])
    failed = passed = 0
    for name, wrong in [*check_symbols(nm, libraries), *check_includes(source)]:
        print(f"{'FAIL' if wrong else 'ok'}: {name}{': ' + wrong if wrong else ''}")
        failed += wrong is not None
        passed += wrong is None
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not libraries else 0


if __name__ == "__main__":
    sys.exit(main())
