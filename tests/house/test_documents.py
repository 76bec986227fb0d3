"""What the documents say is so: the README's example runs, every command is named, the import is light."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gemlet.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readmes_example_prints_what_it_says(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = re.search(r"```python\n(.*?)```", README, re.S)[1]
    code = example.replace('"google/embeddinggemma-300m"', repr(str(checkpoint)))
    assert code != example
    exec(compile(code, "README.md", "exec"), {})
    said = re.findall(r"\d\.\d{4}", example.rsplit("#", 1)[1])
    printed = [float(number) for number in re.findall(r"\d\.\d+", capsys.readouterr().out)]
    assert np.abs(np.array(printed) - np.array(said, float)).max() <= 5e-5  # four digits are shown


def test_the_readme_names_every_command() -> None:
    commands = README.split("## Command line")[1]
    for name in COMMANDS:
        assert f"`{name}`" in commands


def test_links_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_importing_gemlet_brings_nothing_heavy() -> None:
    heavy = ["torch", "transformers", "tokenizers", "huggingface_hub", "platformdirs", "tqdm", "click", "numpy"]
    code = f"import sys, gemlet; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
