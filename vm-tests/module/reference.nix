# docs/reference/nixos-options.md: every option of the module, from the module.
{
  lib ? import ../harness/lib,
}:
let
  inherit (import ../harness/evaluated.nix { inherit lib; }) options;

  shown = option: !option.internal && option.visible && lib.hasPrefix "services.tenon." option.name;
  documented = lib.filter shown (lib.optionAttrSetToDocList options);
  sorted = builtins.sort (a: b: a.name < b.name) documented;

  # A line for what is short, a block for what is not.
  code =
    label: text:
    if lib.hasInfix "\n" text then "${label}:\n\n```nix\n${lib.removeSuffix "\n" text}\n```\n" else "${label}: `${text}`\n";

  section =
    option:
    "\n## `${option.name}`\n\n"
    + "${lib.removeSuffix "\n" option.description}\n\n"
    + "Type: ${option.type}\n"
    + lib.optionalString (option ? default) ("\n" + code "Default" option.default.text)
    + lib.optionalString (option ? example) ("\n" + code "Example" option.example.text);
in
''
  # Options of the NixOS module

  This page is made from the module by `just gen`. How to use it: [Installing on NixOS](../admin/install-on-nixos.md). What
  can be set in `services.tenon.settings`: [Configuration](configuration.md).
''
+ lib.concatMapStrings section sorted
