"""The boot script of a machine, run for real in a folder of its own, with the cloud and Docker played by stubs."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from machine_plans import serving_plan, vllm_like

from slipway.bootstrap import Machine, cloud_init
from slipway.platforms import ollama

pytestmark = pytest.mark.unit

VOLUME = "vol-0123456789abcdef0"
MARKER = "sk-MARKER-'\"$HOME"
PLACES = ("/etc/slipway", "/run/slipway", "/var/lib/slipway", "/var/log/slipway.log", "/dev/disk/by-id", "/opt/aws")

# Each stub writes its name and arguments to `calls`; what it answers is decided by files a test lays out.
STUBS = {
    "aws": """case $2 in
  attach-volume)
    if [ -e "$ROOT/busy" ]; then rm "$ROOT/busy"; exit 1; fi
    touch "$ROOT/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0" ;;
  get-secret-value) cat "$ROOT/secret" ;;
esac""",
    "curl": """case $* in
  *api/token*) printf token ;;
  *availability-zone*) cat >/dev/null; printf us-east-1a ;;
  *instance-id*) cat >/dev/null; printf i-0abc ;;
  *) [ ! -e "$ROOT/down" ] ;;
esac""",
    "blkid": '[ -e "$ROOT/formatted" ] || exit "$(cat "$ROOT/blkid" 2>/dev/null || echo 2)"',
    "mkfs.ext4": 'touch "$ROOT/formatted"',
    "mount": 'touch "$ROOT/mounted"',
    "mountpoint": '[ -e "$ROOT/mounted" ]',
    "resize2fs": "",
    "install": 'for word in "$@"; do case $word in "$ROOT"*) mkdir -p "$word" ;; esac; done',
    "docker": 'case $1 in image | network) [ "$2" != inspect ] ;; esac',
    "systemctl": "",
    "sleep": "",
    "flock": "",
}


class Box:
    """One machine: the files of its user data below `root`, and the commands its script may call."""

    def __init__(self, root: Path, workloads: Sequence[object]) -> None:
        self.root = root
        text = cloud_init(
            Machine(
                stack="dev",
                region="us-east-1",
                log_group="logs",
                volumes={"us-east-1a": VOLUME},
                secret_arns={"apiKey": "arn:api-key", "hfToken": "arn:hf-token"},
                packages=(),
                gpu=True,
            ),
            workloads,  # type: ignore[arg-type]
        )
        for file in yaml.safe_load(text)["write_files"]:
            content = file["content"]
            for place in PLACES:
                content = content.replace(place, f"{root}{place}")
            target = root / file["path"].lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content.replace("9>/run/slipway.lock", f"9>{root}/lock"))
        for place in ("dev/disk/by-id", "var/log", "run", "bin"):
            (root / place).mkdir(parents=True, exist_ok=True)
        for name, body in STUBS.items():
            stub = root / "bin" / name
            stub.write_text(f'#!/bin/bash\nprintf \'%s\\n\' "{name} $*" >>"$ROOT/calls"\n{body}\n')
            stub.chmod(0o755)
        self.lay("secret", MARKER)

    def lay(self, name: str, content: str = "") -> None:
        (self.root / name).write_text(content)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/bash", str(self.root / "usr/local/sbin/slipway"), *words],
            env={"PATH": f"{self.root}/bin:/usr/bin:/bin", "ROOT": str(self.root), "HOME": "/nowhere"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def calls(self, command: str) -> list[str]:
        lines = (self.root / "calls").read_text().splitlines()
        return [line.replace(str(self.root), "") for line in lines if line.startswith(f"{command} ")]

    def log(self) -> str:
        return (self.root / "var/log/slipway.log").read_text()


@pytest.fixture
def vllm(tmp_path: Path) -> Box:
    return Box(tmp_path, (vllm_like(),))


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path, ollama.workloads(serving_plan()))


def test_a_blank_volume_is_attached_formatted_and_mounted(box: Box):
    assert box.run("prepare", "ollama").returncode == 0
    device = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0"
    assert box.calls("aws") == [
        f"aws ec2 attach-volume --region us-east-1 --volume-id {VOLUME} --instance-id i-0abc --device /dev/sdf"
    ]
    assert box.calls("mkfs.ext4") == [f"mkfs.ext4 -q -m 0 {device}"]
    assert box.calls("mount") == [f"mount -o noatime,nodev,nosuid {device} /var/lib/slipway"]


def test_a_second_run_changes_nothing(box: Box):
    box.run("prepare", "ollama")
    (box.root / "calls").unlink()
    assert box.run("prepare", "ollama").returncode == 0
    assert [box.calls(command) for command in ("aws", "mkfs.ext4", "mount")] == [[], [], []]


def test_a_volume_with_data_is_never_formatted(box: Box):
    """The volume outlives the machine: its successor finds a file system on it."""
    box.lay("formatted")
    assert box.run("prepare", "ollama").returncode == 0
    assert box.calls("mkfs.ext4") == []
    assert len(box.calls("mount")) == 1


def test_a_volume_that_cannot_be_read_is_never_formatted(box: Box):
    """blkid answers 8 when it finds contradicting signatures: there is something on it."""
    box.lay("blkid", "8")
    found = box.run("prepare", "ollama")
    assert found.returncode == 1
    assert f"cannot tell what is on {VOLUME}" in found.stderr
    assert box.calls("mkfs.ext4") == []
    assert box.calls("mount") == []


def test_a_volume_the_predecessor_still_holds_is_waited_for(box: Box):
    box.lay("busy")
    assert box.run("prepare", "ollama").returncode == 0
    assert len(box.calls("aws")) == 2
    assert "attach: try 1 of 120 failed" in box.log()


def test_a_zone_without_a_volume_fails_loudly(box: Box):
    (box.root / "etc/slipway/volumes").write_text("us-east-1f vol-1\n")
    found = box.run("prepare", "ollama")
    assert found.returncode == 1
    assert "no data volume in us-east-1a" in found.stderr


def test_secrets_stand_in_a_file_only_root_reads_and_nowhere_else(vllm: Box):
    found = vllm.run("prepare", "chat")
    file = vllm.root / "run/slipway/chat.env"
    assert file.read_text() == f"VLLM_API_KEY={MARKER}\nHF_TOKEN={MARKER}\n"
    assert file.stat().st_mode & 0o777 == 0o600
    elsewhere = [
        path
        for path in vllm.root.rglob("*")
        if path.is_file() and path not in (file, vllm.root / "secret") and MARKER in path.read_text()
    ]
    assert elsewhere == []
    assert MARKER not in found.stdout + found.stderr


def test_a_secret_with_a_line_break_is_refused(vllm: Box):
    vllm.lay("secret", "one\nTWO=2")
    found = vllm.run("prepare", "chat")
    assert found.returncode == 1
    assert "the secret for VLLM_API_KEY holds a line break" in found.stderr
    assert not (vllm.root / "run/slipway/chat.env").exists()


def test_the_image_is_pulled_before_the_server_is_watched(box: Box):
    box.run("prepare", "ollama")
    assert box.calls("docker")[-2:] == [
        "docker image inspect ollama/ollama:0.32.15",
        "docker pull --quiet ollama/ollama:0.32.15",
    ]


def test_the_container_gets_its_arguments_as_they_are(tmp_path: Path):
    """A chat template or JSON among the arguments holds spaces, quotes and dollars."""
    box = Box(tmp_path, (vllm_like(args=("model", '{"a": "it\'s $HOME"}', "100% *")),))
    docker = tmp_path / "bin/docker"
    docker.write_text('#!/bin/bash\nprintf "%s\\0" "$@" >"$ROOT/arguments"\n')
    assert box.run("serve", "chat").returncode == 0
    words = (tmp_path / "arguments").read_text().split("\0")[:-1]
    assert words[0] == "run"
    assert words[-4:] == ["vllm/vllm-openai:v0.33.0", "model", '{"a": "it\'s $HOME"}', "100% *"]


def test_set_up_sends_every_call(box: Box):
    assert box.run("setup", "ollama").returncode == 0
    sent = [call for call in box.calls("curl") if "-X POST" in call]
    assert [call.split("--data-binary ")[1] for call in sent] == [
        "@/etc/slipway/ollama.call-0.json http://127.0.0.1:11434/api/pull",
        "@/etc/slipway/ollama.call-1.json http://127.0.0.1:11434/api/create",
        "@/etc/slipway/ollama.call-2.json http://127.0.0.1:11434/api/generate",
    ]
    assert "ollama: set up" in box.log()


def test_set_up_stops_at_a_failing_call(box: Box):
    (box.root / "bin/curl").write_text("#!/bin/bash\ncase $* in *api/create*) exit 22 ;; esac\n")
    found = box.run("setup", "ollama")
    assert found.returncode == 1
    assert "failed: ollama: POST /api/create (ollama.call-1.json)" in box.log()
    assert "ollama: set up" not in box.log()


def test_a_server_is_restarted_after_as_many_failures_as_it_may_have(box: Box):
    (box.root / "run/slipway").mkdir(parents=True)
    box.run("watch", "ollama")  # answers: ready
    box.lay("down")
    restarted: list[int] = []
    for tick in (1, 2, 3):
        box.run("watch", "ollama")
        if "systemctl restart slipway@ollama.service" in box.calls("systemctl"):
            restarted.append(tick)
    assert restarted == [3]


def test_one_answer_forgives_earlier_failures(box: Box):
    (box.root / "run/slipway").mkdir(parents=True)
    box.run("watch", "ollama")
    for _ in range(3):
        box.lay("down")
        box.run("watch", "ollama")
        box.run("watch", "ollama")
        (box.root / "down").unlink()
        box.run("watch", "ollama")
    assert "systemctl restart slipway@ollama.service" not in box.calls("systemctl")


def test_a_starting_server_has_the_patience_of_its_start_up_probe(box: Box):
    """The start-up probe of Ollama allows 120 s: twelve ticks, not the three of its liveness probe."""
    (box.root / "run/slipway").mkdir(parents=True)
    box.lay("down")
    for _ in range(11):
        box.run("watch", "ollama")
    assert "systemctl restart slipway@ollama.service" not in box.calls("systemctl")
    box.run("watch", "ollama")
    assert "systemctl restart slipway@ollama.service" in box.calls("systemctl")


def test_a_machine_without_the_agent_still_boots(box: Box):
    assert box.run("agent").returncode == 0
    assert "no CloudWatch agent" in box.log()


def test_an_unknown_phase_is_an_error(box: Box):
    assert box.run("deploy").returncode == 1
