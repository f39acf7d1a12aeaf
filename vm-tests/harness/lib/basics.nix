# Lists, sets and strings.
let
  inherit (builtins)
    attrNames
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    genList
    head
    isAttrs
    isList
    length
    listToAttrs
    map
    match
    replaceStrings
    split
    stringLength
    substring
    tail
    ;
in
rec {
  # Lists.
  id = x: x;
  last = list: elemAt list (length list - 1);
  unique = builtins.foldl' (seen: x: if elem x seen then seen else seen ++ [ x ]) [ ];
  optional = condition: x: if condition then [ x ] else [ ];
  optionals = condition: list: if condition then list else [ ];
  range = first: final: if first > final then [ ] else genList (index: first + index) (final - first + 1);
  imap0 = f: list: genList (index: f index (elemAt list index)) (length list);
  reverseList = list: genList (index: elemAt list (length list - index - 1)) (length list);
  flatten = x: if isList x then concatMap flatten x else [ x ];
  toList = x: if isList x then x else [ x ];

  # Sets.
  nameValuePair = name: value: { inherit name value; };
  genAttrs = names: f: listToAttrs (map (name: nameValuePair name (f name)) names);
  attrValues = builtins.attrValues;
  filterAttrs =
    keep: set: listToAttrs (map (name: nameValuePair name set.${name}) (filter (name: keep name set.${name}) (attrNames set)));
  filterAttrsRecursive =
    keep: set: builtins.mapAttrs (_: value: if isAttrs value then filterAttrsRecursive keep value else value) (filterAttrs keep set);
  mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  optionalAttrs = condition: set: if condition then set else { };
  hasAttrByPath = path: set: path == [ ] || isAttrs set && set ? ${head path} && hasAttrByPath (tail path) set.${head path};
  attrByPath =
    path: default: set:
    if path == [ ] then
      set
    else if isAttrs set && set ? ${head path} then
      attrByPath (tail path) default set.${head path}
    else
      default;
  setAttrByPath = path: value: if path == [ ] then value else { ${head path} = setAttrByPath (tail path) value; };
  recursiveUpdate =
    a: b:
    a
    // builtins.mapAttrs (
      name: value: if isAttrs value && isAttrs (a.${name} or null) then recursiveUpdate a.${name} value else value
    ) b;
  isDerivation = x: (x.type or null) == "derivation";

  # Strings.
  optionalString = condition: text: if condition then text else "";
  concatStrings = concatStringsSep "";
  concatMapStrings = f: list: concatStrings (map f list);
  concatMapStringsSep = separator: f: list: concatStringsSep separator (map f list);
  concatLines = concatMapStrings (line: line + "\n");
  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
  hasSuffix =
    suffix: text:
    let
      start = stringLength text - stringLength suffix;
    in
    start >= 0 && substring start (stringLength text) text == suffix;
  hasInfix = infix: text: length (split (escapeRegex infix) text) > 1;
  removePrefix =
    prefix: text:
    if hasPrefix prefix text then substring (stringLength prefix) (stringLength text) text else text;
  removeSuffix =
    suffix: text:
    if hasSuffix suffix text then substring 0 (stringLength text - stringLength suffix) text else text;
  splitString = separator: text: filter builtins.isString (split (escapeRegex separator) text);
  escapeRegex =
    let
      special = [ "\\" "[" "{" "(" ")" "^" "$" "?" "*" "+" "|" "." ];
    in
    replaceStrings special (map (character: "\\${character}") special);
  # Only what a shell could misread is quoted.
  escapeShellArg =
    value:
    let
      text = toString value;
    in
    if match "[[:alnum:],._+:@%/-]+" text == null then "'${replaceStrings [ "'" ] [ "'\\''" ] text}'" else text;
  escapeShellArgs = concatMapStringsSep " " escapeShellArg;
  boolToString = value: if value then "true" else "false";
  versionAtLeast = version: least: builtins.compareVersions version least >= 0;
  versionOlder = version: limit: builtins.compareVersions version limit < 0;
  generators.mkValueStringDefault = _: value: if builtins.isBool value then boolToString value else toString value;

  # Packages.
  lowPrio = package: package // { meta = package.meta or { } // { priority = 10; }; };
  getExe' = package: name: "${package}/bin/${name}";
  getExe = package: getExe' package (package.meta.mainProgram or package.pname or package.name);
}
