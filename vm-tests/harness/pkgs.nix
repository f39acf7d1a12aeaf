# As much of nixpkgs' `pkgs` as the module uses. Nothing is built: a package is a name with a path, and a generated file
# carries its text along.
#
# On NixOS every package has a path of its own in the store; on Debian all of them are below /usr.
{ lib, platform, cross ? false }:
let
  inherit (builtins) hashString substring;
  toml = import ./toml.nix { inherit lib; };

  storePath = name: seed: "/nix/store/${substring 0 32 (hashString "sha256" (name + seed))}-${name}";

  package =
    name: version: extra:
    {
      type = "derivation";
      pname = name;
      inherit name version;
      outPath = if platform == "debian" then "/usr" else storePath name "";
      meta.mainProgram = name;
    }
    // extra;

  file = name: text: {
    type = "derivation";
    inherit name text;
    outPath = storePath name text;
  };

  packages = lib.mapAttrs (name: version: package name version { }) {
    caddy = "2.10.0";
    coreutils = "9.7";
    curl = "8.14.1";
    nginx = "1.28.0";
    openssl = "3.5.2";
    prometheus = "3.5.0";
    python3 = "3.13.7";
    redis = "8.0.3";
    tenon = "0.1.0";
  } // {
    postgresql = postgresql "17.6";
    postgresql_13 = postgresql "13.21";
    tenon-web = package "tenon-web" "0.1.0" { outPath = if platform == "debian" then "/usr/share/tenon/web" else storePath "tenon-web" ""; };
  };
  postgresql =
    version:
    package "postgresql" version {
      psqlSchema = lib.head (lib.splitString "." version);
      outPath = if platform == "debian" then "/usr/lib/postgresql/15" else storePath "postgresql" version;
    };
in
packages
// {
  inherit lib;
  # What the plan says there is to install.
  installable = lib.attrValues packages;

  # A machine that builds for one of another kind cannot run the result.
  stdenv = {
    buildPlatform.canExecute = _: !cross;
    hostPlatform = { };
  };

  # The only package of ours that is called for is the program.
  callPackage = _: _: packages.tenon;

  writeText = file;
  formats.toml = _: {
    inherit (toml) type;
    generate = name: value: file name (toml.write value);
  };

  # A check passes its file through, and says what it would run.
  runCommand = name: environment: command: (environment.file or (file name "")) // { inherit command; };

  writeShellApplication =
    { name, text, ... }:
    let
      script = "#!/bin/sh\nset -eu\n${text}";
    in
    file name script // { program = "bin/${name}"; };
}
