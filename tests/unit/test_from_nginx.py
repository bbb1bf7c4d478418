"""Each configuration of docs/from-nginx.md and of the README is one that `ringway check` takes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ringway.control.certificates.certificates import write_self_signed

ROOT = Path(__file__).parents[2]


def examples() -> list[tuple[str, str]]:
    found = []
    for name in ("docs/from-nginx.md", "README.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        found += [(name, block) for block in re.findall(r"^```toml\n(.*?)^```$", text, re.M | re.S)]
    return found


def test_there_are_examples() -> None:
    assert len(examples()) > 5


@pytest.mark.parametrize(("name", "text"), examples())
def test_an_example_is_taken(tmp_path: Path, name: str, text: str) -> None:
    """With what it names in the file system made in a folder of its own."""
    text = re.sub(r'"(/(?:etc|var|srv|path)/[^"]*)"', rf'"{tmp_path}\1"', text)
    for path in re.findall(rf'"({tmp_path}[^"]*)"', text):
        (Path(path).parent if "." in Path(path).name else Path(path)).mkdir(parents=True, exist_ok=True)
    pairs = re.findall(r'cert_path = "(.*?)"\s+key_path = "(.*?)"', text)
    for folder in re.findall(r'certificates_path = "(.*?)"', text):
        pairs.append((f"{folder}/example.com/fullchain.pem", f"{folder}/example.com/privkey.pem"))
    for certificate, key in pairs:
        made = write_self_signed(str(tmp_path / "made"), ["example.com"], force=True)
        Path(certificate).parent.mkdir(parents=True, exist_ok=True)
        Path(made[0]).rename(certificate)
        Path(made[1]).rename(key)
    (tmp_path / "site").mkdir(exist_ok=True)  # the relative path of the README
    file = tmp_path / "config.toml"
    file.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "ringway", "check", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{file}: configuration OK\n")
