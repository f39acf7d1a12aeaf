{
  description = "Tenon, a self-hosted team workspace";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEachSystem = f: lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
      ours = system: self.packages.${system};
    in
    {
      packages = forEachSystem (pkgs: rec {
        default = tenon;
        tenon = pkgs.callPackage ./nixos-module/package.nix { };
        # `docker load < $(nix build --print-out-paths .#image)`
        image = pkgs.callPackage ./nixos-module/image.nix { inherit tenon; };
      });

      overlays.default = final: _: { tenon = final.callPackage ./nixos-module/package.nix { }; };

      # The program comes from the packages of whoever imports this, not from our lock file.
      nixosModules = {
        default = self.nixosModules.tenon;
        tenon.imports = [ ./nixos-module ];
      };

      devShells = forEachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = with pkgs; [
            cargo
            cargo-deny
            cargo-nextest
            clippy
            rust-analyzer
            rustc
            rustfmt

            caddy
            chromium
            nodejs
            openssl
            postgresql
            prometheus
            python3
            redis

            deadnix
            just
            nixfmt
          ];
        };
      });

      checks = forEachSystem (
        pkgs:
        let
          inherit (ours pkgs.stdenv.hostPlatform.system) tenon;
          reference = import ./vm-tests/module/reference.nix { inherit (pkgs) lib; };

          # The whole checkout, with the dependencies of the package and a command of cargo's in place of its build.
          cargo =
            name: programs: command:
            tenon.overrideAttrs (package: {
              pname = "tenon-${name}";
              src = self;
              nativeBuildInputs = package.nativeBuildInputs ++ programs;
              buildPhase = "cargo ${command}";
              doCheck = false;
              installPhase = "touch $out";
            });

          # All but the one that needs the program of an earlier commit.
          scenarios = lib.filterAttrs (file: _: lib.hasSuffix ".nix" file && file != "upgrade.nix") (
            builtins.readDir ./vm-tests
          );
          machines = lib.mapAttrs' (
            file: _:
            lib.nameValuePair "vm-${lib.removeSuffix ".nix" file}" (
              pkgs.testers.runNixOSTest {
                imports = [ (./vm-tests + "/${file}") ];
                defaults.imports = [ self.nixosModules.default ];
              }
            )
          ) scenarios;
        in
        machines
        // {
          package = tenon;
          clippy = cargo "clippy" [ pkgs.clippy ] "clippy --offline --workspace --all-targets -- -D warnings";
          tests = cargo "tests" (with pkgs; [
            openssl
            postgresql
            redis
          ]) "test --offline --workspace";
          options = pkgs.runCommand "tenon-options" { fresh = pkgs.writeText "nixos-options.md" reference; } ''
            diff "$fresh" ${./docs/reference/nixos-options.md}
            touch "$out"
          '';
        }
      );

      formatter = forEachSystem (pkgs: pkgs.nixfmt-tree);
    };
}
