"""What lies in packaging/ is what systemd and Ringway take."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ringway.config.model import Config
from ringway.config.values import parse_address

PACKAGING = Path(__file__).parents[2] / "packaging"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_the_units(tmp_path: Path) -> None:
    for name in ("ringway.service", "ringway.socket"):
        text = (PACKAGING / name).read_text(encoding="utf-8")
        # The program must be there for it to be content.
        (tmp_path / name).write_text(text.replace("/opt/ringway/bin/ringway", sys.executable), encoding="utf-8")
    units = [str(tmp_path / name) for name in ("ringway.service", "ringway.socket")]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "ringway" in line]) == (0, [])


def test_the_addresses_of_the_socket_unit_can_be_configured() -> None:
    text = (PACKAGING / "ringway.socket").read_text(encoding="utf-8")
    found = re.findall(r"^ListenStream=(.*)$", text, re.M)
    assert found
    assert [str(parse_address(address)) for address in found] == found


def test_the_configuration_of_the_container() -> None:
    config = Config.model_validate(tomllib.loads((PACKAGING / "config.toml").read_text(encoding="utf-8")))
    port = parse_address(config.server.listen[0]).port
    text = (PACKAGING / "Containerfile").read_text(encoding="utf-8")
    assert f"HEALTH_PORT={port}" in text
    assert f"EXPOSE {port}\n" in text
