# A flake in the place of nixpkgs: names, types and shapes, and derivations that nobody builds.
{
  outputs =
    { self }:
    let
      ours = import ./harness/lib;
      lib = ours // {
        importTOML = file: builtins.fromTOML (builtins.readFile file);
        fileset = {
          toSource = { root, fileset }: builtins.seq fileset root;
          unions = files: builtins.foldl' (all: file: assert builtins.pathExists file; all ++ [ file ]) [ ] files;
        };
        licenses.asl20 = { spdxId = "Apache-2.0"; };
        platforms.linux = [ "x86_64-linux" "aarch64-linux" ];
      };

      packagesOf =
        system:
        let
          make =
            { name, ... }@attributes:
            let
              made = derivation {
                inherit name system;
                builder = "/bin/sh";
                # Whatever the package refers to is evaluated.
                inputs = builtins.toJSON (removeAttrs attributes [ "meta" "nativeBuildInputs" "src" ]);
              };
            in
            made
            // attributes
            // {
              nativeBuildInputs = attributes.nativeBuildInputs or [ ];
              overrideAttrs = f: make (attributes // (let more = f (attributes // { nativeBuildInputs = [ ]; }); in more // { name = more.pname or name; }));
            };
          named = name: make { inherit name; };
          pkgs = lib.genAttrs [
            "cacert" "caddy" "cargo" "cargo-deny" "cargo-nextest" "chromium" "clippy" "deadnix" "installShellFiles" "just" "nixfmt"
            "nixfmt-tree" "nodejs" "openssl" "postgresql" "prometheus" "python3" "redis" "rust-analyzer" "rustc" "rustfmt"
          ] named // {
            inherit lib;
            stdenv = {
              hostPlatform = { inherit system; };
              buildPlatform.canExecute = _: true;
            };
            callPackage = file: more: let f = import file; in f (builtins.intersectAttrs (builtins.functionArgs f) pkgs // more);
            rustPlatform.buildRustPackage = attributes: assert builtins.pathExists attributes.cargoLock.lockFile; make ({ name = attributes.pname; } // attributes);
            dockerTools = {
              buildLayeredImage = make;
              fakeNss = named "fake-nss";
            };
            mkShell = { packages }: make { name = "shell"; packages = map (package: package.name) packages; };
            runCommand = name: environment: _: make ({ inherit name; } // environment);
            writeText = name: text: make { inherit name text; };
            testers.runNixOSTest = test: assert builtins.all builtins.pathExists test.imports; named "vm-test";
          };
        in
        pkgs;
    in
    {
      inherit lib;
      legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] packagesOf;
    };
}
