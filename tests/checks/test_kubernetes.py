"""k8s/ renders, is valid against Kubernetes' own API schemas, and keeps the promises it makes for the processes."""

import os
import re
import subprocess

import kubernetes_validate
import pytest
import tree
import yaml

VERSION = "1.32"
MONITORING = "k8s/monitoring"  # for the Prometheus operator, whose kinds are none of Kubernetes' own
FOLDERS = sorted({path.rsplit("/", 1)[0] for path in tree.files("k8s/*kustomization.yaml")} - {MONITORING})


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
    known |= {word[1:] for word in re.findall(r"\$YZ_\w+", tree.text("k8s/base/nats-users.conf"))}
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


def test_monitoring_asks_the_pods_of_the_base():
    watched = {document["kind"]: document for document in render(MONITORING)}
    assert set(watched) == {"PodMonitor", "PrometheusRule", "ConfigMap"}
    monitor = watched["PodMonitor"]["spec"]
    (chosen,) = monitor["selector"]["matchExpressions"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    deployments = [d for d in render("k8s/base") if d["kind"] == "Deployment"]
    assert {d["spec"]["template"]["metadata"]["labels"][monitor["jobLabel"]] for d in deployments} == set(chosen["values"])
    for deployment in deployments:
        template = deployment["spec"]["template"]
        ports = {p["name"]: p["containerPort"] for c in template["spec"]["containers"] for p in c["ports"]}
        plain = template["metadata"]["annotations"]
        assert plain["prometheus.io/scrape"] == "true" and plain["prometheus.io/path"] == endpoint["path"]
        assert plain["prometheus.io/port"] == str(ports[endpoint["port"]])
    labels = watched["ConfigMap"]["metadata"]["labels"]
    assert labels["grafana_dashboard"] == "1" and "dashboard.json" in watched["ConfigMap"]["data"]


def settings_of(container):
    return {e["name"]: e.get("value") for e in container.get("env", [])}


def mounted_password(spec, container):
    """(secret, key) behind the container's YZ_NATS_PASSWORD_FILE."""
    folder, _, name = settings_of(container)["YZ_NATS_PASSWORD_FILE"].rpartition("/")
    volume = next(m["name"] for m in container["volumeMounts"] if m["mountPath"] == folder)
    secret = next(v["secret"] for v in spec["volumes"] if v["name"] == volume)
    assert len(secret["items"]) == 1, "a pod sees its own password only"
    assert secret["items"][0]["path"] == name
    return secret["secretName"], secret["items"][0]["key"]


def test_each_program_is_its_own_user_of_the_bus(rendered):
    found = {}
    for name, _, spec in pods(rendered):
        for container in spec["containers"]:
            if container["name"] != "nats":
                secret, key = mounted_password(spec, container)
                assert secret.startswith("yizhan-nats") and key == settings_of(container)["YZ_NATS_USER"], name
                found[container["name"]] = settings_of(container)["YZ_NATS_USER"]
    assert found == {"gateway": "gateway", "worker": "worker", "apply": "operator"}


def test_worker_and_operator_have_their_own_database_user(rendered):
    found = {}
    for _, _, spec in pods(rendered):
        for container in spec["containers"]:
            secrets = [source["secretRef"]["name"] for source in container.get("envFrom", []) if "secretRef" in source]
            found[container["name"]] = [re.sub("-[a-z0-9]{10}$", "", name) for name in secrets]
    assert found == {"gateway": [], "nats": [], "worker": ["yizhan-mongodb"], "apply": ["yizhan-mongodb-operator"]}


def test_the_bus_knows_the_users(rendered):
    config = next(d["data"] for d in rendered if d["kind"] == "ConfigMap" and "nats.conf" in d.get("data", {}))
    assert "include nats-users.conf" in config["nats.conf"].splitlines()
    assert config["nats-users.conf"] == tree.text("k8s/base/nats-users.conf")
    users = {word.removeprefix("user: ") for word in re.findall(r"user: \w+", config["nats-users.conf"])}
    nats = next(c for name, _, spec in pods(rendered) if name == "StatefulSet/nats" for c in spec["containers"])
    for user in users:
        password = next(e for e in nats["env"] if e["name"] == f"YZ_NATS_PASSWORD_{user.upper()}")
        secret = password["valueFrom"]["secretKeyRef"]
        assert secret["name"].startswith("yizhan-nats") and secret["key"] == user
    assert users == {"gateway", "worker", "operator"}


def test_compose_gives_each_program_its_own_user():
    services = yaml.safe_load(tree.text("k8s/compose.yaml"))["services"]
    for service, user in {"gateway": "gateway", "worker": "worker", "init": "operator"}.items():
        environment = services[service]["environment"]
        assert environment["YZ_NATS_USER"] == user
        assert environment["YZ_NATS_PASSWORD_FILE"] == f"/keys/nats-{user}.password"


def test_compose_names_real_services_and_known_settings():
    compose = yaml.safe_load(tree.text("k8s/compose.yaml"))
    images = [service.get("image", "") for service in compose["services"].values()]
    assert any(image.startswith("mongo:") for image in images) and any(image.startswith("nats:") for image in images)
    known = {f"YZ_{row[1].upper()}" for row in tree.macro_rows("common/conf.def", "(?:INT|STR)")}
    for name, service in compose["services"].items():
        environment = service.get("environment", {})
        assert not {key for key in environment if key.startswith("YZ_")} - known, name
