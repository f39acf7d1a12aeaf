# A file of settings that `tenon config check` accepted while the system was built. A system that is built for machines of
# another kind cannot run the program yet: there `tenon-migrate` is the first to refuse what cannot work.
{ config, lib, pkgs }:
name: settings:
let
  format = pkgs.formats.toml { };
  # TOML has no null: what is null is not written.
  runs = pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform;
  written = lib.filterAttrsRecursive (_: value: value != null) settings;
in
pkgs.runCommand name
  {
    file = format.generate name written;
    preferLocalBuild = true;
  }
  ''
    cp "$file" settings.toml
    ${lib.optionalString runs "${lib.getExe config.services.tenon.package} config check settings.toml"}
    cp settings.toml "$out"
  ''
