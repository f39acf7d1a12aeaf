# A file of settings that `tenon config check` accepted while the system was built.
{ config, lib, pkgs }:
name: settings:
let
  format = pkgs.formats.toml { };
  # TOML has no null: what is null is not written.
  written = lib.filterAttrsRecursive (_: value: value != null) settings;
in
pkgs.runCommand name
  {
    file = format.generate name written;
    preferLocalBuild = true;
  }
  ''
    cp "$file" settings.toml
    ${lib.getExe config.services.tenon.package} config check settings.toml
    cp settings.toml "$out"
  ''
