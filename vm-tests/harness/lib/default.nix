# As much of nixpkgs' `lib` as the module uses, so that `nix-instantiate` alone can evaluate it where nixpkgs cannot be
# reached. The same names mean the same; where nixpkgs is at hand, `vm-tests/check` evaluates everything with its lib
# as well, and fails on any difference.
let
  basics = import ./basics.nix;
  properties = import ./properties.nix;
  types = import ./types.nix { inherit basics properties modules; };
  modules = import ./modules.nix { inherit lib basics properties types; };
  options = import ./options.nix { inherit basics types; };

  lib =
    builtins
    // basics
    // {
      inherit (properties)
        mkAfter
        mkBefore
        mkDefault
        mkForce
        mkIf
        mkMerge
        mkOptionDefault
        mkOrder
        mkOverride
        ;
      inherit (modules) evalModules;
      inherit (options)
        isOption
        literalExpression
        literalMD
        mkEnableOption
        mkOption
        mkPackageOption
        optionAttrSetToDocList
        ;
      inherit types;
    };
in
lib
