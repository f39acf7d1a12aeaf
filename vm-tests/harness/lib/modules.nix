# Modules: options and definitions from many places, put together.
{ lib, basics, properties, types }:
let
  inherit (builtins)
    any
    attrNames
    attrValues
    concatMap
    filter
    functionArgs
    head
    isAttrs
    isFunction
    isPath
    isString
    length
    map
    mapAttrs
    ;
  inherit (basics) genAttrs recursiveUpdate reverseList unique;
  inherit (properties) discharge dischargeDefault pushDown;

  at = builtins.concatStringsSep ".";
  isOption = value: isAttrs value && (value._type or null) == "option";
  named = name: sets: concatMap (set: if set ? ${name} then [ set.${name} ] else [ ]) sets;
  namesOf = sets: unique (concatMap attrNames sets);

  # Options declared in several places: members are put side by side.
  mergeDeclarations =
    location: declared:
    genAttrs (namesOf declared) (
      name:
      let
        here = location ++ [ name ];
        each = named name declared;
      in
      if !any isOption each then
        mergeDeclarations here each
      else if length each == 1 then
        head each
      else
        throw "The option `${at here}' is already declared."
    );

  evaluateOption =
    location: option: definitions:
    let
      given = concatMap discharge definitions;
      default = if option ? default then dischargeDefault option.default else [ ];
      value =
        if (option.readOnly or false) && length given > 1 then
          throw "The option `${at location}' is read-only, but it's set multiple times."
        else
          types.mergeDefinitions location option.type (given ++ default);
    in
    option // { inherit location; value = (option.apply or (x: x)) value; };

  # Options with their values, and the definitions that no option took.
  evaluate =
    location: options: definitions:
    let
      known = attrNames options;
      member =
        name:
        let
          here = location ++ [ name ];
          given = named name definitions;
        in
        if isOption options.${name} then
          rec {
            option = evaluateOption here options.${name} given;
            config = option.value;
            unknown = [ ];
          }
        else
          let
            inner = evaluate here options.${name} (concatMap pushDown given);
          in
          {
            option = inner.options;
            inherit (inner) config;
            unknown = map (definition: { ${name} = definition; }) inner.unknown;
          };
      members = genAttrs known member;
    in
    {
      options = mapAttrs (_: one: one.option) members;
      config = mapAttrs (_: one: one.config) members;
      unknown =
        filter (definition: definition != { }) (map (definition: removeAttrs definition known) definitions)
        ++ concatMap (one: one.unknown) (attrValues members);
    };

  pathOf =
    location: value:
    if isAttrs value && !(value ? _type) && length (attrNames value) == 1 then
      let
        name = head (attrNames value);
      in
      pathOf (location ++ [ name ]) value.${name}
    else
      location;
in
{
  evalModules =
    { modules, specialArgs ? { }, prefix ? [ ] }:
    let
      load =
        module:
        let
          imported = if isPath module || isString module then import module else module;
          arguments = { inherit lib config options; } // specialArgs;
          wanted = mapAttrs (name: _: arguments.${name} or config._module.args.${name}) (functionArgs imported);
          body = if isFunction imported then imported (arguments // wanted) else imported;
          isShort = !(body ? config || body ? options);
          own = {
            options = body.options or { };
            config = if isShort then removeAttrs body [ "imports" "freeformType" "_file" "key" ] else body.config or { };
            freeform = if body ? freeformType then [ body.freeformType ] else [ ];
          };
        in
        [ own ] ++ concatMap load (body.imports or [ ]);
      # The last module speaks first, as in nixpkgs.
      loaded = reverseList (concatMap load modules);

      ours._module.args = {
        _type = "option";
        type = types.attrsOf types.raw;
        default = { };
        internal = true;
      };
      declared = mergeDeclarations prefix ([ ours ] ++ map (module: module.options) loaded);
      evaluated = evaluate prefix declared (concatMap (module: pushDown module.config) loaded);

      freeform = concatMap (module: module.freeform) loaded;
      inherit (evaluated) options unknown;
      config =
        if freeform != [ ] then
          recursiveUpdate ((head freeform).merge prefix (if unknown == [ ] then [ { } ] else unknown)) evaluated.config
        else if unknown != [ ] then
          throw "The option `${at (pathOf prefix (head unknown))}' does not exist."
        else
          evaluated.config;
    in
    {
      inherit config freeform options;
    };
}
