# A test file as `evaluate.py` wants it: the name, the script, and a plan for each machine.
#
# As in the flake, every machine has the module; a test only configures it.
{
  file,
  module ? ../../nixos-module,
}:
let
  lib = import ./lib;
  imported = import file;
  test = if builtins.isFunction imported then imported { inherit lib; } else imported;
in
{
  inherit (test) name testScript;
  plans = builtins.mapAttrs (_: node: import ./render.nix { inherit lib module; configuration = node; }) test.nodes;
}
