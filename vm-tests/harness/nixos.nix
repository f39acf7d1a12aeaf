# The options of NixOS that the module, or a test, sets. What they bring about on a machine, `supply.py` says.
{ config, lib, pkgs, platform, ... }:
let
  inherit (lib) mkOption types;

  bool = mkOption { type = types.bool; default = false; };
  text = default: mkOption { type = types.str; inherit default; };
  texts = mkOption { type = types.listOf types.str; default = [ ]; };
  lines = mkOption { type = types.lines; default = ""; };
  anything = mkOption { type = types.attrsOf types.anything; default = { }; };
  maybe = type: mkOption { type = types.nullOr type; default = null; };
  # What a section of a unit says: lists from several places are put together.
  section = mkOption { type = types.attrsOf (types.either (types.listOf types.unspecified) types.unspecified); default = { }; };
  many = options: mkOption { type = types.attrsOf (types.submodule { inherit options; }); default = { }; };

  anExporter = port: {
    enable = bool;
    listenAddress = text "0.0.0.0";
    port = mkOption { type = types.port; default = port; };
    configFile = maybe types.unspecified;
    settings = anything;
    extraFlags = texts;
    runAsLocalSuperUser = bool;
  };

  relations = lib.genAttrs [
    "after"
    "before"
    "bindsTo"
    "conflicts"
    "onFailure"
    "partOf"
    "requiredBy"
    "requires"
    "wantedBy"
    "wants"
  ] (_: texts);

  unit = relations // {
    enable = mkOption { type = types.bool; default = true; };
    description = text "";
    documentation = texts;
    unitConfig = section;
    restartTriggers = mkOption { type = types.listOf types.unspecified; default = [ ]; };
  };

  service = unit // {
    environment = mkOption { type = types.attrsOf (types.nullOr types.str); default = { }; };
    path = mkOption { type = types.listOf types.unspecified; default = [ ]; };
    restartIfChanged = mkOption { type = types.bool; default = true; };
    stopIfChanged = mkOption { type = types.bool; default = true; };
    startAt = mkOption { type = types.either types.str (types.listOf types.str); default = [ ]; };
    preStart = lines;
    script = lines;
    serviceConfig = section;
  };
in
{
  options = {
    assertions = mkOption { type = types.listOf types.unspecified; default = [ ]; };
    warnings = texts;

    users.users = anything;
    users.groups = anything;

    fileSystems = many { device = maybe types.str; fsType = text "auto"; };

    networking.firewall.allowedTCPPorts = mkOption { type = types.listOf types.port; default = [ ]; };
    networking.firewall.allowedUDPPorts = mkOption { type = types.listOf types.port; default = [ ]; };
    networking.hosts = mkOption { type = types.attrsOf (types.listOf types.str); default = { }; };

    # For NixOS' driver; our machines take what they need.
    virtualisation = lib.genAttrs [ "cores" "diskSize" "memorySize" ] (_: maybe types.ints.positive);

    environment.systemPackages = mkOption { type = types.listOf types.unspecified; default = [ ]; };
    environment.etc = many {
      text = maybe types.lines;
      source = maybe types.unspecified;
      mode = text "symlink";
    };

    security.acme.acceptTerms = bool;
    security.acme.defaults.email = maybe types.str;

    systemd.services = many service;
    systemd.sockets = many (unit // { listenStreams = texts; socketConfig = section; });
    systemd.timers = many (unit // { timerConfig = section; });
    systemd.paths = many (unit // { pathConfig = section; });
    systemd.targets = many unit;
    systemd.slices = many (unit // { sliceConfig = section; });
    systemd.tmpfiles.rules = texts;

    services.postgresql = {
      enable = bool;
      enableTCPIP = bool;
      dataDir = text "/var/lib/postgresql/${config.services.postgresql.package.psqlSchema}";
      package = mkOption { type = types.package; default = pkgs.postgresql; };
      settings = anything;
      authentication = lines;
      identMap = lines;
      ensureDatabases = texts;
      ensureUsers = mkOption {
        default = [ ];
        type = types.listOf (
          types.submodule {
            options = {
              name = mkOption { type = types.str; };
              ensureDBOwnership = bool;
              ensureClauses.createdb = maybe types.bool;
              ensureClauses.replication = maybe types.bool;
            };
          }
        );
      };
    };

    services.redis.servers = mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule (
          { name, ... }:
          {
            options = {
              enable = bool;
              user = text "redis-${name}";
              group = text "redis-${name}";
              port = mkOption { type = types.port; default = 0; };
              unixSocket = text "/run/redis-${name}/redis.sock";
              bind = mkOption { type = types.nullOr types.str; default = "127.0.0.1"; };
              requirePass = maybe types.str;
              unixSocketPerm = mkOption { type = types.int; default = 660; };
              save = mkOption { type = types.listOf types.unspecified; default = [ ]; };
              settings = anything;
            };
          }
        )
      );
    };

    services.caddy = {
      enable = bool;
      user = text "caddy";
      group = text "caddy";
      globalConfig = lines;
      virtualHosts = many { extraConfig = lines; useACMEHost = maybe types.str; };
    };

    services.httpd.enable = bool;

    services.nginx = {
      enable = bool;
      user = text "nginx";
      group = text "nginx";
      recommendedTlsSettings = bool;
      recommendedProxySettings = bool;
      upstreams = many { servers = anything; };
      virtualHosts = many {
        forceSSL = bool;
        enableACME = bool;
        useACMEHost = maybe types.str;
        listen = mkOption { type = types.listOf types.anything; default = [ ]; };
        sslCertificate = maybe types.str;
        sslCertificateKey = maybe types.str;
        extraConfig = lines;
        locations = many {
          proxyPass = maybe types.str;
          proxyWebsockets = bool;
          recommendedProxySettings = mkOption { type = types.bool; default = config.services.nginx.recommendedProxySettings; };
          root = maybe types.str;
          tryFiles = maybe types.str;
          extraConfig = lines;
        };
      };
    };

    services.prometheus = {
      enable = bool;
      listenAddress = text "127.0.0.1";
      port = mkOption { type = types.port; default = 9090; };
      checkConfig = mkOption { type = types.either types.bool (types.enum [ "syntax-only" ]); default = true; };
      globalConfig = anything;
      alertmanagers = mkOption { type = types.listOf types.anything; default = [ ]; };
      alertmanager = anything;
      ruleFiles = mkOption { type = types.listOf types.unspecified; default = [ ]; };
      scrapeConfigs = mkOption { type = types.listOf types.anything; default = [ ]; };
      exporters = lib.mapAttrs (_: port: anExporter port) {
        blackbox = 9115;
        node = 9100;
        postgres = 9187;
        process = 9256;
        redis = 9121;
      };
    };

    services.grafana = {
      enable = bool;
      dataDir = text "/var/lib/grafana";
      settings = mkOption {
        default = { };
        type = types.submodule {
          freeformType = types.attrsOf types.anything;
          options.security.secret_key = maybe types.str;
        };
      };
      provision.enable = bool;
      provision.datasources.settings.datasources = mkOption { type = types.listOf types.anything; default = [ ]; };
      provision.dashboards.settings.providers = mkOption { type = types.listOf types.anything; default = [ ]; };
    };
  };

  # What NixOS says of a unit that the module has a view of, too.
  config.systemd.services = lib.mkIf (platform == "nixos" && config.services.postgresql.enable) {
    postgresql.serviceConfig.Restart = "always";
  };

  # What NixOS itself refuses.
  config.assertions = [
    {
      assertion = config.services.grafana.enable -> config.services.grafana.settings.security.secret_key != null;
      message = "Grafana's secret key (services.grafana.settings.security.secret_key) doesn't have a default value anymore.";
    }
  ];
}
