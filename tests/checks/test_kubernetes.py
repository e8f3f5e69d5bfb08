"""k8s/ renders, is valid against Kubernetes' own API schemas, and keeps the promises it makes for the processes."""

import os
import subprocess

import kubernetes_validate
import pytest
import tree
import yaml

VERSION = "1.32"
FOLDERS = sorted({path.rsplit("/", 1)[0] for path in tree.files("k8s/*kustomization.yaml")})


def render(folder):
    program = os.environ.get("YZ_KUSTOMIZE") or subprocess.run(
        [tree.ROOT / "scripts/services", "kustomize"], capture_output=True, text=True, check=True).stdout.strip()
    done = subprocess.run([program, "build", tree.ROOT / folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@pytest.fixture(scope="module", params=FOLDERS)
def rendered(request):
    return render(request.param)


def pods(documents):
    """(name of the workload, pod template's spec)"""
    for document in documents:
        template = document.get("spec", {}).get("template", {})
        if "spec" in template:
            yield f"{document['kind']}/{document['metadata']['name']}", document, template["spec"]


def test_there_is_a_base_and_an_overlay():
    assert any(f.startswith("k8s/base") for f in FOLDERS) and any(f.startswith("k8s/overlays/") for f in FOLDERS)


def test_every_object_is_valid(rendered):
    for document in rendered:
        kubernetes_validate.validate(document, VERSION, strict=True)


def test_every_container_has_limits_and_little_power(rendered):
    for name, _, spec in pods(rendered):
        assert spec.get("automountServiceAccountToken") is False, name
        for container in spec["containers"] + spec.get("initContainers", []):
            where = f"{name}, {container['name']}"
            assert container["resources"]["requests"]["memory"], where
            assert container["resources"]["limits"]["memory"], where
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, where
            assert security["readOnlyRootFilesystem"] is True, where
            assert security["capabilities"]["drop"] == ["ALL"], where


def test_what_serves_is_probed(rendered):
    for name, document, spec in pods(rendered):
        if document["kind"] == "Job":
            continue
        for container in spec["containers"]:
            assert "readinessProbe" in container and "livenessProbe" in container, f"{name}, {container['name']}"


def test_every_setting_in_the_environment_exists(rendered):
    known = {f"YZ_{row[1].upper()}" for row in tree.macro_rows("common/conf.def", "(?:INT|STR)")}
    for document in rendered:
        names = set(document.get("data", {})) if document["kind"] == "ConfigMap" else set()
        if document["kind"] != "ConfigMap":
            for _, _, spec in pods([document]):
                names |= {e["name"] for c in spec["containers"] for e in c.get("env", [])}
        unknown = {name for name in names if name.startswith("YZ_")} - known
        assert not unknown, f"{document['kind']}/{document['metadata']['name']}: {unknown}"


def test_the_gateway_has_time_to_drain(rendered):
    drain_ms = {row[1]: row[2] for row in tree.macro_rows("common/conf.def", "INT")}["drain_ms"]
    gateways = [spec for name, _, spec in pods(rendered) if name.endswith("/gateway") or "gateway" in name]
    assert gateways
    for spec in gateways:
        assert spec["terminationGracePeriodSeconds"] * 1000 > int(drain_ms)


def test_nats_is_a_cluster_of_three_on_disks(rendered):
    sets = [d for d in rendered if d["kind"] == "StatefulSet" and "nats" in d["metadata"]["name"]]
    assert len(sets) == 1
    assert sets[0]["spec"]["replicas"] == 3
    assert sets[0]["spec"]["volumeClaimTemplates"]
    budgets = [d for d in rendered if d["kind"] == "PodDisruptionBudget"]
    assert any("nats" in budget["metadata"]["name"] for budget in budgets)
    config = next(text for d in rendered if d["kind"] == "ConfigMap" for text in d.get("data", {}).values()
                  if "jetstream" in text)
    assert "sync_interval: always" in config


def test_compose_names_real_services_and_known_settings():
    compose = yaml.safe_load(tree.text("k8s/compose.yaml"))
    images = [service.get("image", "") for service in compose["services"].values()]
    assert any(image.startswith("mongo:") for image in images) and any(image.startswith("nats:") for image in images)
    known = {f"YZ_{row[1].upper()}" for row in tree.macro_rows("common/conf.def", "(?:INT|STR)")}
    for name, service in compose["services"].items():
        environment = service.get("environment", {})
        assert not {key for key in environment if key.startswith("YZ_")} - known, name
