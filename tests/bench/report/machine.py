"""On what was measured: machine and versions."""

import os
import pathlib
import platform
import re
import subprocess

LIBRARIES = ("libwebsockets", "libuv", "libnats", "libmongoc-1.0", "libprotobuf-c", "libjwt", "openssl")


def _first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return ((done.stdout or done.stderr).strip().splitlines() or ["unknown"])[0]


def _processor():
    match = re.search(r"^model name\s*:\s*(.+)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return match[1] if match else platform.processor() or platform.machine()


def _memory_gb():
    text = pathlib.Path("/proc/meminfo").read_text()
    return round(int(re.search(r"MemTotal:\s+(\d+)", text)[1]) / 1024 / 1024, 1)


def describe(root):
    """{what: text} for the report's head."""
    system = re.search(r'^PRETTY_NAME="?([^"\n]+)', pathlib.Path("/etc/os-release").read_text(), re.M)
    versions = {name: _first_line(["pkg-config", "--modversion", name]) for name in LIBRARIES}
    database = os.environ.get("YZ_DATABASE_SERVER", "mongod")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": f"{_memory_gb()} GB",
        "system": f"{system[1] if system else 'unknown'}, Linux {platform.release()}",
        "compiler": _first_line(["cc", "--version"]),
        "commit": _first_line(["git", "-C", str(root), "describe", "--always", "--dirty"]),
        "nats-server": _first_line([os.environ.get("YZ_NATS_SERVER", "nats-server"), "--version"]),
        "database": f"{pathlib.Path(database).name} {_first_line([database, '--version'])}",
        "libraries": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "load average": f"{os.getloadavg()[0]:.2f} at the start",
    }
