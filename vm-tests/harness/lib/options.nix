# Declaring options, and listing them for documentation.
{ basics, types }:
let
  inherit (builtins)
    attrNames
    concatMap
    filter
    foldl'
    isAttrs
    isList
    ;
  inherit (basics) last toList;
  isOption = value: isAttrs value && (value._type or null) == "option";

  list =
    location: options:
    concatMap (
      name:
      let
        here = location ++ [ name ];
        option = options.${name};
      in
      if isOption option then [ (describe here option) ] ++ list here (option.type.nested here) else list here option
    ) (filter (name: name != "_module" && isAttrs options.${name}) (attrNames options));

  describe = here: option: {
    name = builtins.concatStringsSep "." (option.location or here);
    loc = option.location or here;
    description = option.description or null;
    type = option.type.description or "unspecified";
    internal = option.internal or false;
    visible = option.visible or true;
  } // asText option "default" // asText option "example";

  asText =
    option: name:
    let
      value = option."${name}Text" or option.${name};
    in
    if option ? "${name}Text" || option ? ${name} then
      { ${name} = if (value._type or null) == "literalExpression" then value else literalExpression (pretty "" value); }
    else
      { };

  literalExpression = text: {
    _type = "literalExpression";
    inherit text;
  };

  # A value as Nix.
  pretty =
    indent: value:
    let
      deeper = indent + "  ";
      lines = concatMap (line: [ "${deeper}${line}\n" ]);
      block = open: close: items: if items == [ ] then "${open} ${close}" else "${open}\n${builtins.concatStringsSep "" (lines items)}${indent}${close}";
    in
    if isList value then
      block "[" "]" (map (pretty deeper) value)
    else if isAttrs value then
      block "{" "}" (map (name: "${name} = ${pretty deeper value.${name}};") (attrNames value))
    else if value == null then
      "null"
    else
      builtins.toJSON value;
in
{
  inherit isOption literalExpression;
  literalMD = literalExpression;

  mkOption = option: { _type = "option"; type = types.raw; } // option;
  mkEnableOption = name: {
    _type = "option";
    type = types.bool;
    default = false;
    example = true;
    description = "Whether to enable ${name}.";
  };
  mkPackageOption =
    pkgs: name:
    { default ? name, ... }:
    {
      _type = "option";
      type = types.package;
      default = foldl' (set: part: set.${part}) pkgs (toList default);
      description = "The ${last (toList name)} package to use.";
    };
  optionAttrSetToDocList = list [ ];
}
