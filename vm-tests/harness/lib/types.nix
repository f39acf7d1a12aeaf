# Types of options: what they accept, and how several definitions become one value.
{ basics, properties, modules }:
let
  inherit (builtins)
    all
    any
    attrNames
    concatMap
    elem
    filter
    foldl'
    head
    isAttrs
    isBool
    isFloat
    isFunction
    isInt
    isList
    isPath
    isString
    length
    map
    mapAttrs
    match
    tail
    ;
  inherit (basics) concatMapStringsSep filterAttrs genAttrs hasPrefix isDerivation last unique;
  inherit (properties) discharge strongest;

  at = builtins.concatStringsSep ".";

  type =
    { name, description ? name, class ? null, check ? (_: true), merge ? equal, nested ? (_: { }), ... }@given:
    { _type = "option-type"; inherit name description class check merge nested; } // given;

  # All definitions must say the same.
  equal =
    location: values:
    if all (value: value == head values) values then
      head values
    else
      throw "The option `${at location}' has conflicting definition values.";

  integer =
    description: accept:
    type { name = "int"; inherit description; class = "nonRestrictiveClause"; check = x: isInt x && accept x; };

  startsAtRoot = x: hasPrefix "/" (toString x);

  mergeDefinitions =
    location: type: definitions:
    let
      values = strongest definitions;
      wrong = filter (value: !(type.check value)) values;
    in
    if definitions == [ ] then
      if type ? empty then type.empty else throw "The option `${at location}' was accessed but has no value defined. Try setting the option."
    else if wrong != [ ] then
      throw "A definition for option `${at location}' is not of type `${type.description}'."
    else
      type.merge location values;

  # The description of a type within another's: in brackets unless its grammatical class reads well there.
  within = classes: inner: if elem inner.class classes then inner.description else "(${inner.description})";
in
rec {
  inherit mergeDefinitions;

  raw = type { name = "raw"; description = "raw value"; class = "noun"; };
  unspecified = raw;
  anything = type {
    name = "anything";
    class = "noun";
    merge =
      location: values:
      if all (value: isAttrs value && !isDerivation value) values then
        (attrsOf anything).merge location values
      else if length values == 1 then
        head values
      else
        equal location values;
  };

  bool = type { name = "bool"; description = "boolean"; class = "noun"; check = isBool; };
  int = integer "signed integer" (_: true) // { class = "noun"; };
  float = type { name = "float"; description = "floating point number"; class = "noun"; check = isFloat; };
  number = either int float;
  numbers.positive = number // {
    description = "positive integer or floating point number, meaning >0";
    class = "nonRestrictiveClause";
    check = x: number.check x && x > 0;
  };
  port =
    integer "16 bit unsigned integer; between 0 and 65535 (both inclusive)" (x: x >= 0 && x <= 65535)
    // { class = "noun"; };
  ints = {
    positive = integer "positive integer, meaning >0" (x: x > 0);
    unsigned = integer "unsigned integer, meaning >=0" (x: x >= 0);
    between =
      least: most:
      integer "integer between ${toString least} and ${toString most} (both inclusive)" (x: x >= least && x <= most);
  };

  str = type { name = "str"; description = "string"; class = "noun"; check = isString; };
  strMatching = pattern: str // { description = "string matching the pattern ${pattern}"; class = "noun"; check = x: isString x && match pattern x != null; };
  separatedString = separator: str // { merge = _: builtins.concatStringsSep separator; };
  lines = separatedString "\n" // { description = "strings concatenated with \"\\n\""; };
  path = type {
    name = "path";
    description = "absolute path"; class = "noun";
    check = x: (isString x || isPath x || isDerivation x) && startsAtRoot x;
  };
  package = type { name = "package"; class = "noun"; check = x: isDerivation x || isString x && hasPrefix "/nix/store/" x; };
  enum =
    values:
    type {
      name = "enum";
      description = "one of ${concatMapStringsSep ", " builtins.toJSON values}";
      class = "conjunction";
      check = x: elem x values;
    };

  nullOr =
    inner:
    type {
      name = "nullOr";
      description = "null or ${within [ "noun" "conjunction" ] inner}";
      class = "conjunction";
      check = x: x == null || inner.check x;
      inherit (inner) nested;
      empty = null;
      merge =
        location: values:
        if all (value: value == null) values then
          null
        else if any (value: value == null) values then
          throw "The option `${at location}' is defined both null and not null."
        else
          inner.merge location values;
    };
  listOf =
    inner:
    type {
      name = "listOf";
      description = "list of ${within [ "noun" "composite" ] inner}";
      class = "composite";
      check = isList;
      empty = [ ];
      nested = location: inner.nested (location ++ [ "*" ]);
      merge =
        location: lists:
        let
          item =
            value:
            let
              definitions = discharge value;
            in
            if definitions == [ ] then [ ] else [ (mergeDefinitions (location ++ [ "[]" ]) inner definitions) ];
        in
        concatMap (concatMap item) lists;
    };
  attrsOf =
    inner:
    type {
      name = "attrsOf";
      description = "attribute set of ${within [ "noun" "composite" ] inner}";
      class = "composite";
      check = isAttrs;
      empty = { };
      nested = location: inner.nested (location ++ [ "<name>" ]);
      merge =
        location: sets:
        let
          definitions = genAttrs (unique (concatMap attrNames sets)) (
            name: concatMap (set: if set ? ${name} then discharge set.${name} else [ ]) sets
          );
        in
        mapAttrs (name: mergeDefinitions (location ++ [ name ]) inner) (filterAttrs (_: found: found != [ ]) definitions);
    };
  lazyAttrsOf = attrsOf;
  attrs = type { name = "attrs"; description = "attribute set"; check = isAttrs; merge = _: foldl' (a: b: a // b) { }; };
  functionTo = inner: type {
    name = "functionTo";
    description = "function that evaluates to a(n) ${inner.description}";
    check = isFunction;
    merge = location: functions: argument: inner.merge location (map (f: f argument) functions);
  };

  either =
    one: other:
    type {
      name = "either";
      description = "${within [ "noun" "conjunction" ] one} or ${within [ "noun" "conjunction" "composite" ] other}";
      class = "conjunction";
      check = x: one.check x || other.check x;
      merge =
        location: values:
        if all one.check values then
          one.merge location values
        else if all other.check values then
          other.merge location values
        else
          equal location values;
    };
  oneOf = types: foldl' either (head types) (tail types);
  addCheck = inner: accept: inner // { check = x: inner.check x && accept x; };

  submodule = module: submoduleWith { modules = if isList module then module else [ module ]; };
  submoduleWith =
    { modules, specialArgs ? { } }:
    let
      evaluate =
        location: definitions:
        evalModules {
          inherit specialArgs;
          prefix = location;
          modules =
            modules'
            ++ [ { _module.args.name = if location == [ ] then "<name>" else last location; } ]
            ++ map (definition: if isAttrs definition then { config = definition; } else definition) definitions;
        };
      modules' = modules;
      open = (evaluate [ ] [ ]).freeform;
      valueOf = evaluated: removeAttrs evaluated.config [ "_module" ];
    in
    type {
      name = "submodule";
      description =
        if open == [ ] then "submodule" else "open submodule of ${within [ "noun" "composite" ] (head open)}";
      check = x: isAttrs x || isFunction x || isPath x;
      empty = valueOf (evaluate [ ] [ ]);
      merge = location: definitions: valueOf (evaluate location definitions);
      nested = location: (evaluate location [ ]).options;
    };
  inherit (modules) evalModules;
}
