# Units of systemd as files, as NixOS writes them.
#
# A unit that only adds to one that NixOS supplies, such as limits for Postgres, becomes a drop-in for that one.
{ lib, pkgs, platform }:
let
  inherit (builtins) isBool isList toJSON;

  value = one: if isBool one then lib.boolToString one else toString one;
  assignments =
    set: lib.concatStrings (lib.mapAttrsToList (key: values: lib.concatMapStrings (one: "${key}=${value one}\n") (all values)) set);
  # An empty list says nothing.
  all = values: if isList values then values else [ values ];

  relations = {
    After = "after";
    Before = "before";
    BindsTo = "bindsTo";
    Conflicts = "conflicts";
    OnFailure = "onFailure";
    PartOf = "partOf";
    Requires = "requires";
    Wants = "wants";
  };

  unitSection =
    unit:
    let
      related = lib.mapAttrs (_: key: lib.concatStringsSep " " (lib.unique unit.${key})) (
        lib.filterAttrs (_: key: unit.${key} != [ ]) relations
      );
      text = lib.optionalAttrs (unit.description != "") { Description = unit.description; };
      nixos = lib.optionalAttrs (platform == "nixos" && unit.restartTriggers != [ ]) {
        X-Restart-Triggers = lib.concatStringsSep " " (map toString unit.restartTriggers);
      };
    in
    section "Unit" (text // related // { Documentation = unit.documentation; } // unit.unitConfig // nixos);

  section = name: set: lib.optionalString (assignments set != "") "[${name}]\n${assignments set}";
  sections = list: lib.concatStringsSep "\n" (lib.filter (text: text != "") list);

  install =
    unit:
    lib.optionalString (platform == "debian") (
      section "Install" {
        WantedBy = unit.wantedBy;
        RequiredBy = unit.requiredBy;
      }
    );

  # A Debian's PATH has the programs already, but for those of a certain Postgres.
  environment =
    service:
    let
      standard = if platform == "debian" then [ "/usr" ] else [ ];
      path = lib.unique (map toString service.path ++ standard);
      own = lib.optionalAttrs (service.path != [ ]) { PATH = lib.concatMapStringsSep ":" (package: "${package}/bin") path; };
    in
    lib.mapAttrsToList (name: text: toJSON "${name}=${text}") (
      lib.filterAttrs (_: text: text != null) (own // service.environment)
    );

  # What a switch looks for.
  ofSwitches =
    service:
    lib.optionalAttrs (platform == "nixos") (
      lib.optionalAttrs (!service.restartIfChanged) { X-RestartIfChanged = false; }
      // lib.optionalAttrs (!service.stopIfChanged) { X-StopIfChanged = false; }
    );

  # Scripts are files of their own.
  scriptOf =
    service: kind: pkgs.writeText "unit-script-${kind}" "#!/bin/sh\nset -e\n${service.${kind}}";
  scriptsOf = service: map (scriptOf service) (lib.filter (kind: service.${kind} != "") [ "preStart" "script" ]);
  commands =
    service:
    lib.optionalAttrs (service.preStart != "") { ExecStartPre = [ (scriptOf service "preStart").outPath ]; }
    // lib.optionalAttrs (service.script != "") { ExecStart = (scriptOf service "script").outPath; };

  body = {
    service = service: section "Service" ({ Environment = environment service; } // ofSwitches service // commands service // service.serviceConfig);
    socket = socket: section "Socket" ({ ListenStream = socket.listenStreams; } // socket.socketConfig);
    timer = timer: section "Timer" timer.timerConfig;
    path = path: section "Path" path.pathConfig;
    slice = slice: section "Slice" slice.sliceConfig;
    target = _: "";
  };

  isAddition = kind: unit: kind == "service" && !(unit.serviceConfig ? ExecStart) && unit.script == "";

  fileOf =
    kind: name: unit:
    let
      isOurs = !isAddition kind unit;
      place = if isOurs then "${name}.${kind}" else "${name}.${kind}.d/tenon.conf";
    in
    lib.nameValuePair "etc/systemd/system/${place}" (
      sections [ (unitSection unit) (body.${kind} unit) (lib.optionalString isOurs (install unit)) ]
    );

  linksOf =
    kind: name: unit:
    let
      link = directory: wanting: {
        link = "etc/systemd/system/${wanting}.${directory}/${name}.${kind}";
        target = "../${name}.${kind}";
      };
    in
    map (link "wants") unit.wantedBy ++ map (link "requires") unit.requiredBy;

  enabled = lib.filterAttrs (_: unit: unit.enable);
in
systemd:
let
  kinds = {
    service = lib.mapAttrs (_: service: service) systemd.services;
    socket = systemd.sockets;
    timer = systemd.timers // startAt;
    path = systemd.paths;
    slice = systemd.slices;
    target = systemd.targets;
  };
  # `startAt` is short for a timer.
  startAt = lib.mapAttrs (_: service: {
    inherit (service) description;
    enable = true;
    documentation = [ ];
    unitConfig = { };
    restartTriggers = [ ];
    timerConfig.OnCalendar = service.startAt;
  } // lib.genAttrs [ "after" "before" "bindsTo" "conflicts" "onFailure" "partOf" "requiredBy" "requires" "wants" ] (_: [ ]) // { wantedBy = [ "timers.target" ]; }) (
    lib.filterAttrs (_: service: service.startAt != [ ]) systemd.services
  );
  each = f: lib.concatLists (lib.mapAttrsToList (kind: units: lib.mapAttrsToList (f kind) (enabled units)) kinds);
in
{
  files = lib.listToAttrs (each fileOf);
  links = lib.concatLists (each linksOf);
  scripts = lib.concatMap scriptsOf (lib.attrValues (enabled systemd.services));
}
