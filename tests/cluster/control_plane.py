"""A real Kubernetes control plane for tests: etcd, API server, controller manager, scheduler and kwok.

It lives in a network namespace of its own, reached over one veth pair, so that nothing sent to a cluster address can
leave the machine. No container runs: kwok plays the kubelets, everything else is the real program.
"""

import contextlib
import ipaddress
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import urllib3
import yaml
from leftovers import Record, clear_leftovers

READY_SECONDS = 120
SERVICE_RANGE = "10.96.0.0/16"
POD_RANGE = "10.244.0.0/16"
# The default of 20 requests a second, meant to spare busy API servers, would cost half of the start.
UNTHROTTLED = ("--kube-api-qps=1000", "--kube-api-burst=2000")


@dataclass(frozen=True, slots=True)
class Access:
    """How a client reaches the API server as cluster administrator."""

    server: str
    token: str
    ca_file: Path
    kubeconfig: Path


class ControlPlane:
    """One control plane; use as a context manager. `programs` maps a program's name to its binary.

    What an ended test run left behind is removed first; what a running one uses is left alone.
    """

    def __init__(self, programs: Mapping[str, Path], folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._token = secrets.token_hex(16)
        mark = secrets.token_hex(3)
        self._namespace = f"slipway-{mark}"
        self._outer, self._inner = f"slip-{mark}o", f"slip-{mark}i"
        network = ipaddress.ip_network(f"10.213.{secrets.randbelow(256)}.{secrets.randbelow(64) * 4}/30")
        self._outside, self._inside = (str(address) for address in network.hosts())
        self._record = Record(namespace=self._namespace, link=self._outer, folder=str(folder))
        self.started_seconds = 0.0

    def __enter__(self) -> Access:
        clear_leftovers()
        began = time.monotonic()
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._record.write()
            self._make_namespace()
            self._make_keys()
            access = self._write_access()
            self._start_all()
            self._wait_ready(access)
        except BaseException:
            self.__exit__()
            raise
        self.started_seconds = time.monotonic() - began
        return access

    def __exit__(self, *_: object) -> None:
        """Kill instead of asking: an API server takes 15 s to say goodbye, and there is nothing to keep."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()
        for command in (("ip", "netns", "delete", self._namespace), ("ip", "link", "delete", self._outer)):
            subprocess.run(command, check=False, capture_output=True)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._record.remove()

    def log(self, program: str) -> str:
        """What a program printed, for the message of a failing test."""
        return (self._folder / f"{program}.log").read_text(errors="replace")

    def _make_namespace(self) -> None:
        inside = ("ip", "netns", "exec", self._namespace)
        for command in (
            ("ip", "netns", "add", self._namespace),
            ("ip", "link", "add", self._outer, "type", "veth", "peer", "name", self._inner, "netns", self._namespace),
            ("ip", "address", "add", f"{self._outside}/30", "dev", self._outer),
            ("ip", "link", "set", self._outer, "up"),
            (*inside, "ip", "address", "add", f"{self._inside}/30", "dev", self._inner),
            (*inside, "ip", "link", "set", self._inner, "up"),
            (*inside, "ip", "link", "set", "lo", "up"),
            # Cluster addresses end here. There is no default route, so nothing else leaves either.
            (*inside, "ip", "route", "add", "blackhole", SERVICE_RANGE),
            (*inside, "ip", "route", "add", "blackhole", POD_RANGE),
        ):
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()} (network namespaces need root)")

    def _make_keys(self) -> None:
        """One key for TLS and for service accounts: the cluster lives for a test run."""
        request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        names = f"subjectAltName=IP:{self._inside},IP:127.0.0.1,DNS:localhost"
        files = ["-keyout", str(self._folder / "server.key"), "-out", str(self._folder / "server.crt")]
        subprocess.run(
            [*request.split(), "-subj", "/CN=kube-apiserver", "-addext", names, *files], check=True, capture_output=True
        )
        _write_private(self._folder / "tokens.csv", f'{self._token},admin,admin,"system:masters"\n')

    def _write_access(self) -> Access:
        server = f"https://{self._inside}:6443"
        certificate = self._folder / "server.crt"
        cluster = {"server": server, "certificate-authority": str(certificate)}
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        }
        _write_private(self._folder / "kubeconfig", yaml.safe_dump(kubeconfig))
        return Access(server, self._token, certificate, self._folder / "kubeconfig")

    def _start(self, program: str, *arguments: str) -> None:
        # Whatever ends this process, its programs end with it.
        wrapper = f"setpriv --pdeathsig KILL ip netns exec {self._namespace}"
        with (self._folder / f"{program}.log").open("wb") as log:
            self._processes[program] = subprocess.Popen(
                [*wrapper.split(), str(self._programs[program]), *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env={"PATH": os.environ["PATH"], "HOME": str(self._folder)},
                start_new_session=True,
            )
        self._record.add(self._processes[program].pid)

    def _start_all(self) -> None:
        folder, kubeconfig = self._folder, f"--kubeconfig={self._folder / 'kubeconfig'}"
        self._start(
            "etcd",
            f"--data-dir={folder / 'etcd'}",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--unsafe-no-fsync",
            "--log-level=warn",
        )
        self._start(
            "kube-apiserver",
            "--etcd-servers=http://127.0.0.1:2379",
            "--secure-port=6443",
            "--bind-address=0.0.0.0",
            f"--advertise-address={self._inside}",
            f"--tls-cert-file={folder / 'server.crt'}",
            f"--tls-private-key-file={folder / 'server.key'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder / 'server.crt'}",
            f"--service-account-signing-key-file={folder / 'server.key'}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--allow-privileged=true",
            # EKS turns it on: pods that ask for an extended resource tolerate its taint by themselves.
            "--enable-admission-plugins=ExtendedResourceToleration",
        )
        self._start(
            "kube-controller-manager",
            kubeconfig,
            f"--service-account-private-key-file={folder / 'server.key'}",
            f"--root-ca-file={folder / 'server.crt'}",
            "--leader-elect=false",
            # Simulated nodes do not fall silent; on a busy machine their heartbeats only come late.
            "--node-monitor-grace-period=180s",
            *UNTHROTTLED,
        )
        self._start("kube-scheduler", kubeconfig, "--leader-elect=false", *UNTHROTTLED)
        self._start("kwok", kubeconfig, "--manage-all-nodes=true", f"--cidr={POD_RANGE}")

    def _wait_ready(self, access: Access) -> None:
        deadline = time.monotonic() + READY_SECONDS
        client = urllib3.PoolManager(ca_certs=str(access.ca_file), retries=False, timeout=2)
        while not self._is_ready(client, access):
            for program, process in self._processes.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{program} ended at start:\n{self.log(program)[-2000:]}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"no API server after {READY_SECONDS} s:\n{self.log('kube-apiserver')[-2000:]}")
            time.sleep(0.1)

    @staticmethod
    def _is_ready(client: urllib3.PoolManager, access: Access) -> bool:
        """The API server answers, and the controller manager has made the first service account."""
        url = f"{access.server}/api/v1/namespaces/default/serviceaccounts/default"
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            return client.request("GET", url, headers={"Authorization": f"Bearer {access.token}"}).status == 200
        return False


def _write_private(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text)
