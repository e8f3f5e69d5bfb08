"""A worker with rule packs of its own: good ones are used, bad ones end it at start with a text that says where."""

import json
import os
import secrets
import shutil
import subprocess

import pytest

import sanitizers
from stack import built
from wire import ROOT


@pytest.fixture
def folder(tmp_path):
    """A copy of the packs that are built in."""
    return shutil.copytree(ROOT / "schemas/rules", tmp_path / "rules")


def change(folder, pack, edit):
    path = folder / f"{pack}.json"
    root = json.loads(path.read_text())
    edit(root)
    path.write_text(json.dumps(root))


def start(folder, tmp_path):
    """Exit code and log of a worker that is not even given a broker: the packs are read first."""
    secret = tmp_path / "code.secret"
    secret.write_bytes(secrets.token_bytes(32))
    secret.chmod(0o600)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("YZ_")}
    done = subprocess.run(
        [built("yz-worker"), "--admin-port", "0", "--rules-dir", folder, "--code-secret-file", secret],
        env={**clean, **sanitizers.environment(tmp_path)}, capture_output=True, text=True, timeout=60)  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("edit, told", [
    (lambda root: root["versions"][0]["rules"].update(quorum_permille=1001),
     'place="versions[0].rules.quorum_permille" reason="out of bounds"'),
    (lambda root: root["versions"][0]["rules"].update(quorom_permille=500),
     'place="versions[0].rules.quorom_permille" reason="there is no such rule"'),
    (lambda root: root["versions"].append(root["versions"][0]),
     'place="versions[1]" reason="the version\'s name stands twice"'),
    (lambda root: root["versions"].clear(), 'place="versions" reason="there are 1 to 32"'),
])  # fmt: skip
def test_a_bad_pack_ends_the_worker_with_its_place(folder, tmp_path, edit, told):
    change(folder, "meeting", edit)
    code, log = start(folder, tmp_path)
    assert code == 2, log
    assert f"event=rules_unusable pack=meeting {told}" in log and "event=start_failed code=invalid_value" in log


def test_a_pack_that_is_missing_ends_the_worker(folder, tmp_path):
    (folder / "study.json").unlink()
    code, log = start(folder, tmp_path)
    assert code == 2 and f'pack=study place="{folder}/study.json" reason="cannot be opened"' in log, log


def test_a_folder_of_good_packs_is_used(folder, new_stack):
    def later(root):
        first = root["versions"][0]
        root["versions"].append({**first, "version": "own-2", "effective_from": "2026-02-01"})

    change(folder, "meeting", later)
    stack = new_stack(rules_dir=folder)
    assert "event=rules_unusable" not in stack.workers[0].text()
    assert stack.admin(stack.workers[0], "/readyz")[0] == 200
