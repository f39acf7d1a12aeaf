# Properties of definitions: conditions, merges, priorities, order.
let
  inherit (builtins)
    concatMap
    filter
    foldl'
    isAttrs
    isBool
    map
    mapAttrs
    sort
    ;
  is = kind: value: isAttrs value && (value._type or null) == kind;
  override = priority: content: {
    _type = "override";
    inherit priority content;
  };
  order = priority: content: {
    _type = "order";
    inherit priority content;
  };
  ordinary = 100;
in
rec {
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
  mkOverride = override;
  mkForce = override 50;
  mkDefault = override 1000;
  mkOptionDefault = override 1500;
  mkOrder = order;
  mkBefore = order 500;
  mkAfter = order 1500;

  # The definition of a set as several, each a plain set: properties move down to its members.
  pushDown =
    value:
    if is "merge" value then
      concatMap pushDown value.contents
    else if is "if" value then
      map (mapAttrs (_: mkIf value.condition)) (pushDown value.content)
    else if is "override" value then
      map (mapAttrs (_: override value.priority)) (pushDown value.content)
    else
      [ value ];

  # The definition of an option as plain values, each with its priority and place.
  discharge =
    value:
    if is "merge" value then
      concatMap discharge value.contents
    else if is "if" value then
      if !isBool value.condition then
        throw "mkIf was called with a condition that is neither true nor false"
      else if value.condition then
        discharge value.content
      else
        [ ]
    else if is "override" value then
      map (definition: definition // { inherit (value) priority; }) (discharge value.content)
    else if is "order" value then
      map (definition: definition // { place = value.priority; }) (discharge value.content)
    else
      [
        {
          inherit value;
          priority = ordinary;
          place = 1000;
        }
      ];

  # As `discharge`, for the default of an option.
  dischargeDefault =
    value:
    map (definition: if definition.priority == ordinary then definition // { priority = 1500; } else definition) (
      discharge value
    );

  # What counts: the values of the strongest priority, in their order.
  strongest =
    definitions:
    let
      best = foldl' (least: definition: if definition.priority < least then definition.priority else least) 9999 definitions;
    in
    map (definition: definition.value) (
      sort (a: b: a.place < b.place) (filter (definition: definition.priority == best) definitions)
    );
}
