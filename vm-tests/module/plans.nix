# Every configuration as a plan; of every refusal, what is said.
{
  library ? null,
  module ? ../../nixos-module,
  only ? null,
}:
let
  lib = if library == null then import ../harness/lib else import library;
  render =
    configuration: platform: import ../harness/render.nix { inherit lib module configuration platform; };
  configurations = import ./configurations.nix;
in
{
  plans = lib.mapAttrs (_: configuration: render configuration "nixos") (
    if only == null then configurations else lib.genAttrs only (name: configurations.${name})
  );
  debian = render (import ./debian.nix) "debian";
}
