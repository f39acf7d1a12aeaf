# What is said of one configuration that must be refused. Errors of evaluation end it, so each is evaluated alone.
{
  library ? null,
  name,
}:
let
  lib = if library == null then import ../harness/lib else import library;
  refusal = (import ./refusals.nix).${name};
  plan = import ../harness/render.nix { inherit lib; inherit (refusal) configuration; };
in
if plan.failedAssertions != [ ] then plan.failedAssertions else builtins.deepSeq plan [ ]
