# The program `tenon`.
{
  installShellFiles,
  lib,
  rustPlatform,
  stdenv,
}:
let
  root = ../.;
  manifest = lib.importTOML ../Cargo.toml;
  # What the program is made of: a change of the documentation does not build it anew.
  source = lib.fileset.toSource {
    inherit root;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../crates
      ../migrations
    ];
  };
in
rustPlatform.buildRustPackage {
  pname = "tenon";
  inherit (manifest.workspace.package) version;
  src = source;

  # The profile for packages: some percent faster.
  buildType = "dist";

  # Every crate is in the lock file with its hash: nothing here goes stale when a dependency changes.
  cargoLock.lockFile = ../Cargo.lock;
  cargoBuildFlags = [ "--package=tenon-server" ];

  nativeBuildInputs = [ installShellFiles ];
  # What it says of itself, where it can be run.
  postInstall = lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    for shell in bash zsh fish; do
      $out/bin/tenon completions $shell > tenon.$shell
    done
    installShellCompletion --cmd tenon --bash tenon.bash --zsh tenon.zsh --fish tenon.fish
    $out/bin/tenon man manual
    installManPage manual/*
  '';

  # The tests need a Postgres, a Redis and more; `checks.tests` of the flake runs them.
  doCheck = false;

  meta = {
    description = "A self-hosted team workspace";
    license = lib.licenses.asl20;
    mainProgram = "tenon";
    platforms = lib.platforms.linux;
  };
}
