# The module with a configuration, as a plan of what would be on a machine: files, links, accounts, and what the services
# of NixOS are asked for.
{
  lib ? import ./lib,
  module ? ../../nixos-module,
  configuration ? { },
  platform ? "nixos",
  cross ? false,
}:
let
  pkgs = import ./pkgs.nix { inherit lib platform cross; };
  units = import ./units.nix { inherit lib pkgs platform; };
  proxies = import ./proxies.nix { inherit lib; };

  evaluated = import ./evaluated.nix { inherit lib module configuration platform pkgs; };
  inherit (evaluated) config;
  inherit (config) services;

  rendered = units config.systemd;

  etc = lib.mapAttrs' (
    name: entry: lib.nameValuePair "etc/${name}" (if entry.text != null then entry.text else contents entry.source)
  ) (lib.filterAttrs (_: entry: !isLink entry) config.environment.etc);
  # A file of a package is a link to it.
  isLink = entry: builtins.isString entry.source;
  etcLinks = lib.mapAttrsToList (name: entry: { link = "etc/${name}"; target = entry.source; }) (
    lib.filterAttrs (_: isLink) config.environment.etc
  );
  contents = source: if builtins.isPath source then builtins.readFile source else source.text;

  # Rules are beside the configuration of Prometheus, wherever the checkout is.
  ruleFile = file: "/etc/prometheus/${if builtins.isPath file then baseNameOf file else file.name}";
  rules = lib.listToAttrs (
    map (file: lib.nameValuePair (lib.removePrefix "/" (ruleFile file)) (contents file)) services.prometheus.ruleFiles
  );

  # What the exporter of the certificate is told.
  probe = services.prometheus.exporters.blackbox.configFile or null;
  probes = lib.optionalAttrs (probe != null) { ${lib.removePrefix "/" probe.outPath} = probe.text; };

  # Programs whose text is ours: `tenon` for administrators, and scripts of units.
  scripts = lib.filter (package: package ? program) config.environment.systemPackages ++ rendered.scripts;
  placeOf =
    script:
    if !(script ? program) then lib.removePrefix "/" script.outPath
    else if platform == "debian" then "usr/local/s${script.program}"
    else lib.removePrefix "/" "${script.outPath}/${script.program}";
in
{
  files = rendered.files // etc // rules // probes // lib.listToAttrs (map (script: lib.nameValuePair (placeOf script) script.text) scripts);
  executables = map placeOf scripts;
  links = rendered.links ++ etcLinks;

  # What is run while the system is built, for each file that comes of it.
  builds = lib.mapAttrs' (name: entry: lib.nameValuePair "etc/${name}" entry.source.command) (
    lib.filterAttrs (_: entry: builtins.isAttrs entry.source && entry.source ? command) config.environment.etc
  );

  inherit (config.users) users groups;
  inherit (config.networking) hosts;
  ports = config.networking.firewall.allowedTCPPorts;
  udpPorts = config.networking.firewall.allowedUDPPorts;
  tmpfiles = config.systemd.tmpfiles.rules;
  packages = lib.listToAttrs (map (package: lib.nameValuePair package.outPath package.pname) pkgs.installable);
  systemPackages = map toString config.environment.systemPackages;

  services = {
    postgresql = removeAttrs services.postgresql [ "package" ] // { inherit (services.postgresql.package) version; };
    redis = services.redis.servers;
    caddy = { inherit (services.caddy) enable; configFile = proxies.caddyfile services.caddy; };
    nginx =
      let
        site = proxies.nginxSite services.nginx;
      in
      { inherit (services.nginx) enable; inherit site; configFile = proxies.nginxConfig site; };
    prometheus = {
      inherit (services.prometheus) enable exporters listenAddress port;
      configFile = proxies.prometheusConfig services.prometheus (map ruleFile services.prometheus.ruleFiles);
    };
    inherit (services) grafana;
  };

  failedAssertions = map (one: one.message) (lib.filter (one: !one.assertion) config.assertions);
  inherit (config) warnings;
}
