# The module with a configuration, evaluated: its options, and what they bring about.
{
  lib ? import ./lib,
  module ? ../../nixos-module,
  configuration ? { },
  platform ? "nixos",
  pkgs ? import ./pkgs.nix { inherit lib platform; },
}:
lib.evalModules {
  modules = [
    ./nixos.nix
    module
    configuration
    { _module.args = { inherit pkgs platform; }; }
  ];
}
