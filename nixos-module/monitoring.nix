# Figures of every process, and what looks at them: Prometheus, its rules, Grafana.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkDefault mkIf mkMerge mkOption types;
  cfg = config.services.tenon;
  inherit (cfg) monitoring;
  topology = import ./topology.nix { inherit config lib; };

  localPostgres = cfg.database.createLocally;
  localRedis = cfg.redis.createLocally;
  addresses = import ./addresses.nix { inherit lib; };
  loopback = port: "127.0.0.1:${toString port}";

  tenon = {
    job_name = "tenon";
    static_configs = map (process: {
      targets = [ process.metrics ];
      labels = { inherit (process) role unit; };
    }) topology.processes;
  }
  // lib.optionalAttrs (cfg.secrets.metricsTokenFile != null) {
    authorization.credentials_file = "/run/credentials/prometheus.service/tenon-metrics-token";
  };

  # What the machine, Postgres, Redis and the certificate are like: other programs tell.
  exporter = name: port: {
    job_name = "tenon-${name}";
    static_configs = [ { targets = [ (loopback port) ]; } ];
  };
  certificate = {
    job_name = "tenon-certificate";
    metrics_path = "/probe";
    params.module = [ "tenon" ];
    static_configs = [
      {
        targets = [ "https://${toString cfg.domain}/api/v1/health" ];
        labels = lib.optionalAttrs cfg.proxy.caddy.internalAuthority { authority = "internal"; };
      }
    ];
    relabel_configs = [
      { source_labels = [ "__address__" ]; target_label = "__param_target"; }
      { source_labels = [ "__param_target" ]; target_label = "instance"; }
      { target_label = "__address__"; replacement = loopback config.services.prometheus.exporters.blackbox.port; }
    ];
  };
  inherit (config.services.prometheus) exporters;

  # Where data of ours grows. A disk of somebody else's, or of the system's, is not our alarm.
  directories =
    [ cfg.stateDir ]
    ++ lib.optional localPostgres config.services.postgresql.dataDir
    ++ lib.optional (cfg.backup.enable && cfg.backup.s3 == null) cfg.backup.directory;
  holds = mount: directory: mount == "/" || directory == mount || lib.hasPrefix "${mount}/" directory;
  mountOf =
    directory:
    lib.foldl' (
      best: mount: if holds mount (toString directory) && lib.stringLength mount > lib.stringLength best then mount else best
    ) "/" (lib.attrNames config.fileSystems);
  mounts = lib.unique (map mountOf directories);

  # The rules as they stand, of this machine's disks and of as many processors as its Postgres may use.
  rules = pkgs.writeText "alerts.yaml" (
    lib.replaceStrings
      [ ''mountpoint=~".*"'' "1000) > 0.8" ]
      [
        ''mountpoint=~${builtins.toJSON (lib.concatMapStringsSep "|" lib.escapeRegex mounts)}''
        "${if cfg.resources.postgres.cpu == null then "1000" else toString cfg.resources.postgres.cpu}) > 0.8"
      ]
      (builtins.readFile ./alerts.yaml)
  );

  # Ports that others have on this machine: each of ours must be free.
  ports =
    lib.optionals (cfg.listen.address != null) (map (api: { inherit (api) port; of = api.unit; }) topology.apis)
    ++ map (process: { port = process.metricsPort; of = "the figures of ${process.unit}"; }) topology.processes
    ++ lib.optional monitoring.prometheus.enable { inherit (config.services.prometheus) port; of = "Prometheus"; }
    ++ lib.concatLists (
      lib.mapAttrsToList (name: one: lib.optional (one.enable or false) { inherit (one) port; of = "the exporter ${name}"; }) {
        inherit (exporters) blackbox node postgres process redis;
      }
    );
  shared = lib.filter (one: lib.length (lib.filter (other: other.port == one.port) ports) > 1) ports;

  # What Grafana encrypts passwords in its database with: made once, where nobody else reads.
  grafanaKey = "${config.services.grafana.dataDir}/secret_key";
  makeGrafanaKey = ''
    if [ ! -s ${grafanaKey} ]; then
      (umask 0077 && head -c 32 /dev/urandom | base64 > ${grafanaKey}.new)
      mv ${grafanaKey}.new ${grafanaKey}
    fi
  '';

  probe = pkgs.writeText "tenon-blackbox.yml" (builtins.toJSON {
    modules.tenon = {
      prober = "http";
      timeout = "10s";
      # An authority of our own is no reason to miss the day on which its certificate ends.
      http.tls_config.insecure_skip_verify = cfg.proxy.caddy.internalAuthority;
    };
  });
in
{
  options.services.tenon.monitoring = {
    address = mkOption {
      type = addresses.ip;
      apply = addresses.bare;
      default = "127.0.0.1";
      description = "Address on which each process answers `/metrics`, `/health` and `/readiness`. Other than on loopback it needs `secrets.metricsTokenFile`.";
    };
    firstPort = mkOption {
      type = types.port;
      default = 9464;
      description = "Port of the first process; each further one has the next: API processes, the scheduler, the workers by name.";
    };
    prometheus.enable = lib.mkEnableOption "a Prometheus on this machine that collects the figures";
    alerts.enable = mkOption {
      type = types.bool;
      default = monitoring.prometheus.enable;
      defaultText = lib.literalExpression "monitoring.prometheus.enable";
      description = "Whether that Prometheus has Tenon's rules, and the exporters that they ask: of the machine, of a local Postgres and Redis, of the certificate. Where alerts go, `services.prometheus.alertmanagers` says.";
    };
    grafana.enable = lib.mkEnableOption "a Grafana on this machine with Tenon's dashboard";
  };

  config = mkIf cfg.enable {
    services.prometheus = mkMerge [
      (mkIf monitoring.prometheus.enable {
        enable = true;
        listenAddress = mkDefault "127.0.0.1";
        scrapeConfigs = [ tenon ];
        # The token is not there while the system is built.
        checkConfig = mkIf (cfg.secrets.metricsTokenFile != null) (mkDefault "syntax-only");
      })
      (mkIf monitoring.alerts.enable {
        ruleFiles = [ rules ];
        scrapeConfigs =
          [ (exporter "machine" exporters.node.port) ]
          ++ lib.optionals localPostgres [
            (exporter "postgres" exporters.postgres.port)
            (exporter "process" exporters.process.port)
          ]
          ++ lib.optional localRedis (exporter "redis" exporters.redis.port)
          ++ lib.optional topology.proxied certificate;
        exporters = {
          node = {
            enable = true;
            listenAddress = mkDefault "127.0.0.1";
          };
          postgres = mkIf localPostgres {
            enable = true;
            listenAddress = mkDefault "127.0.0.1";
            runAsLocalSuperUser = true;
          };
          # What Postgres takes of the processors, its own figures do not tell.
          process = mkIf localPostgres {
            enable = true;
            listenAddress = mkDefault "127.0.0.1";
            settings.process_names = [
              {
                name = "postgres";
                # The second is what a wrapper of nixpkgs leaves of the name.
                comm = [ "postgres" ".postgres-wrapp" ];
              }
            ];
          };
          redis = mkIf localRedis {
            enable = true;
            listenAddress = mkDefault "127.0.0.1";
            extraFlags = [ "-redis.addr=unix://${config.services.redis.servers.tenon.unixSocket}" ];
          };
          blackbox = mkIf topology.proxied {
            enable = true;
            listenAddress = mkDefault "127.0.0.1";
            configFile = probe;
          };
        };
      })
    ];

    systemd.services = mkMerge [
      (mkIf (monitoring.prometheus.enable && cfg.secrets.metricsTokenFile != null) {
        prometheus.serviceConfig.LoadCredential = [ "tenon-metrics-token:${cfg.secrets.metricsTokenFile}" ];
      })
      (mkIf (monitoring.alerts.enable && localRedis) {
        prometheus-redis-exporter.serviceConfig.SupplementaryGroups = [ config.services.redis.servers.tenon.group ];
      })
      (mkIf monitoring.grafana.enable { grafana.preStart = makeGrafanaKey; })
    ];

    services.grafana = mkIf monitoring.grafana.enable {
      enable = true;
      # NixOS asks for one, and has none of its own.
      settings.security.secret_key = mkDefault "$__file{${grafanaKey}}";
      provision = {
        enable = true;
        dashboards.settings.providers = [
          {
            name = "Tenon";
            options.path = "/etc/tenon/dashboards";
          }
        ];
        datasources.settings.datasources = lib.optional monitoring.prometheus.enable {
          name = "Prometheus";
          type = "prometheus";
          url = "http://${loopback config.services.prometheus.port}";
        };
      };
    };
    environment.etc."tenon/dashboards/tenon.json" = mkIf monitoring.grafana.enable { source = ./dashboard.json; };

    assertions = [
      {
        assertion = addresses.isLoopback monitoring.address || cfg.secrets.metricsTokenFile != null;
        message = "services.tenon.monitoring.address is not on loopback: anybody could read the figures. Set services.tenon.secrets.metricsTokenFile.";
      }
      {
        assertion = shared == [ ];
        message = "services.tenon: one port is asked for more than once: ${
          lib.concatMapStringsSep ", " (one: "${toString one.port} for ${one.of}") shared
        }. Set services.tenon.monitoring.firstPort or services.tenon.listen.port.";
      }
      {
        assertion = lib.all (one: one.port <= 65535) ports;
        message = "services.tenon: there is no port above 65535: lower services.tenon.monitoring.firstPort or services.tenon.listen.port.";
      }
      {
        assertion = monitoring.alerts.enable -> monitoring.prometheus.enable;
        message = "services.tenon.monitoring.alerts are rules of the Prometheus of this machine, and there is none: set services.tenon.monitoring.prometheus.enable.";
      }
    ];
  };
}
