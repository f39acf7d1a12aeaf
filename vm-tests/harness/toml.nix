# Values as TOML: in each table first what is plain, then the tables in it.
{ lib }:
let
  inherit (builtins) isAttrs isList toJSON;
  inherit (lib) types;

  plain = value: if isList value then "[ ${lib.concatMapStringsSep ", " plain value} ]" else toJSON value;

  table =
    path: values:
    let
      plains = lib.filterAttrs (_: value: !isAttrs value) values;
      tables = lib.filterAttrs (_: isAttrs) values;
      heading = lib.optionalString (path != [ ] && plains != { }) "\n[${lib.concatStringsSep "." path}]\n";
    in
    heading
    + lib.concatStrings (lib.mapAttrsToList (name: value: "${name} = ${plain value}\n") plains)
    + lib.concatStrings (lib.mapAttrsToList (name: table (path ++ [ name ])) tables);

  value =
    with types;
    oneOf [
      bool
      int
      float
      str
      path
      (attrsOf value)
      (listOf value)
    ]
    // {
      description = "TOML value";
    };
in
{
  type = value;
  write = table [ ];
}
