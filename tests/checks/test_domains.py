"""domains.def, the .proto files, their checks and their handlers name the same domains and types."""

import re

import tree

FRAME = {"envelope", "client"}


def domains():
    return [row[0] for row in tree.macro_rows("schemas/domains.def", "X")]


def test_every_domain_has_its_files():
    for name in domains():
        for path in (f"schemas/{name}.proto", f"schemas/{name}.c", f"workers/domains/{name}.c"):
            assert (tree.ROOT / path).is_file(), path


def test_every_proto_is_a_domain_or_the_frame():
    protos = {name.split("/")[-1].removesuffix(".proto") for name in tree.files("schemas/*.proto")}
    assert protos == FRAME | set(domains())


def test_every_type_of_a_proto_is_in_its_contract():
    """A comment `// Event meeting.convened`, `// Push ...`, `// Query ...` declares a type."""
    for name in domains():
        declared = set(re.findall(r"^// (?:Event|Push|Query) ([a-z_]+\.[a-z_]+)", tree.text(f"schemas/{name}.proto"), re.M))
        contract = tree.text(f"schemas/{name}.c")
        missing = {t for t in declared if f'"{t}"' not in contract}
        assert not missing, f"schemas/{name}.c lacks {missing}"


def test_every_type_is_in_the_protocol_document():
    document = tree.text("schemas/PROTOCOL.md")
    for name in domains():
        for kind in re.findall(r"^// (?:Event|Push|Query) ([a-z_]+\.[a-z_]+)", tree.text(f"schemas/{name}.proto"), re.M):
            assert kind in document, kind


def test_protos_share_the_package_and_the_syntax():
    for path in tree.files("schemas/*.proto"):
        assert 'syntax = "proto3";' in tree.text(path), path
        assert "package yizhan.v1;" in tree.text(path), path
