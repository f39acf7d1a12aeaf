"""What the documentation says holds: its Nix is accepted, and the options that it names exist."""

import functools
import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from . import nix
from .outcome import Failed
from .places import HARNESS, MODULE, REPOSITORY, program

BLOCK = re.compile(r"^```nix( flake)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"(?<![\w.])services\.tenon((?:\.[A-Za-z0-9<>*_-]+)+)")


def checks() -> dict[str, Callable[[], None]]:
    """Each page with Nix in it is a check, and so are the names of options in all of them."""
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs" / "admin").glob("*.md"))]
    with_nix = [page for page in pages if BLOCK.search(page.read_text())]
    return {
        f"the Nix of {page.relative_to(REPOSITORY)} is accepted": functools.partial(_is_accepted, page)
        for page in with_nix
    } | {
        "the options that pages name exist": functools.partial(_options_exist, pages),
        "the key that a page makes is one": the_key_that_a_page_makes_is_one,
    }


def _is_accepted(page: Path) -> None:
    for flake, text in BLOCK.findall(page.read_text()):
        with tempfile.NamedTemporaryFile("w", suffix=".nix") as file:
            file.write(text)
            file.flush()
            try:
                failed = nix.expression(_system(file.name) if flake else _configuration(file.name))
            except nix.EvaluationError as error:
                raise Failed(f"{text}\n{error}") from error
        if failed:
            raise Failed(f"{text}\n{'; '.join(failed)}")


def _configuration(file: str) -> str:
    """A piece of a configuration: whatever it leaves out of the smallest one is as there."""
    return f"""
        let
          lib = import {HARNESS}/lib;
          plan = import {HARNESS}/render.nix {{
            configuration = {{
              imports = [ {file} ];
              services.tenon = {{ enable = lib.mkDefault true; }};
            }};
          }};
        in builtins.seq (builtins.deepSeq plan.files plan.services) plan.failedAssertions"""


def _system(file: str) -> str:
    """A flake with a system in it, which has our module from its input."""
    return f"""
        let
          lib = import {HARNESS}/lib;
          flake = import {file};
          nixosSystem =
            {{ modules, ... }}: import {HARNESS}/render.nix {{ configuration.imports = modules; module = {{ }}; }};
          failed = plan: builtins.deepSeq plan.files plan.failedAssertions;
          outputs = flake.outputs {{
            self = outputs;
            nixpkgs.lib = lib // {{ inherit nixosSystem; }};
            tenon.nixosModules.default = {MODULE};
          }};
          plans = builtins.attrValues outputs.nixosConfigurations;
        in assert plans != [ ] && flake ? inputs.tenon.url; builtins.concatLists (map failed plans)"""


def _options_exist(pages: list[Path]) -> None:
    known = set(
        nix.expression(
            f"""let lib = import {HARNESS}/lib;
            in map (option: option.name) (lib.optionAttrSetToDocList (import {HARNESS}/evaluated.nix {{ }}).options)"""
        )
    )
    pattern = re.compile("|".join(_as_pattern(name) for name in known if name.startswith("services.tenon.")))
    freely = "services.tenon.settings."
    for page in pages:
        for match in OPTION.finditer(page.read_text()):
            name = f"services.tenon{match[1]}"
            if not (pattern.fullmatch(name) or name.startswith(freely) or _is_group(name, known)):
                raise Failed(f"{page.relative_to(REPOSITORY)}: there is no option {name}")


def the_key_that_a_page_makes_is_one() -> None:
    """The command for keys that several machines share, as it stands there."""
    page = (REPOSITORY / "docs" / "admin" / "nixos-by-example.md").read_text()
    [command] = re.findall(r"^\$ (printf .* > signing-keys)$", page, re.MULTILINE)
    if not program().exists():
        raise Failed(f"{program()} does not exist: run `cargo build`, or let TENON name the program")
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["sh", "-c", command], cwd=directory, check=True)
        settings = Path(directory, "settings.toml")
        settings.write_text(f'[auth]\nsigning_keys = ["{Path(directory, "signing-keys").read_text().strip()}"]\n')
        done = subprocess.run([program(), "config", "check", settings], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(done.stderr.strip())


def _as_pattern(name: str) -> str:
    return re.escape(name).replace("<name>", r"[\w<>-]+")


def _is_group(name: str, known: set[str]) -> bool:
    return any(option.startswith(f"{name}.") for option in known)
