# Figures of every process, and what looks at them: Prometheus, its rules, Grafana.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkDefault mkIf mkMerge mkOption types;
  cfg = config.services.tenon;
  inherit (cfg) monitoring;
  topology = import ./topology.nix { inherit config lib; };

  localPostgres = cfg.database.createLocally;
  localRedis = cfg.redis.createLocally;
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
      type = types.str;
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
        ruleFiles = [ ./alerts.yaml ];
        scrapeConfigs =
          [ (exporter "machine" exporters.node.port) ]
          ++ lib.optional localPostgres (exporter "postgres" exporters.postgres.port)
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
        assertion = lib.hasPrefix "127." monitoring.address || monitoring.address == "[::1]" || cfg.secrets.metricsTokenFile != null;
        message = "services.tenon.monitoring.address is not on loopback: anybody could read the figures. Set services.tenon.secrets.metricsTokenFile.";
      }
      {
        assertion = monitoring.alerts.enable -> monitoring.prometheus.enable;
        message = "services.tenon.monitoring.alerts are rules of the Prometheus of this machine, and there is none: set services.tenon.monitoring.prometheus.enable.";
      }
    ];
  };
}
