# Figures of every process, and what looks at them.
{ config, lib, ... }:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.services.tenon;
  inherit (cfg) monitoring;
  topology = import ./topology.nix { inherit config lib; };
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
  };

  config = mkIf cfg.enable {
    services.prometheus = mkIf monitoring.prometheus.enable {
      enable = true;
      scrapeConfigs = [
        {
          job_name = "tenon";
          static_configs = map (process: {
            targets = [ process.metrics ];
            labels = { inherit (process) role unit; };
          }) topology.processes;
        }
      ];
    };

    assertions = [
      {
        assertion = lib.hasPrefix "127." monitoring.address || monitoring.address == "[::1]" || cfg.secrets.metricsTokenFile != null;
        message = "services.tenon.monitoring.address is not on loopback: anybody could read the figures. Set services.tenon.secrets.metricsTokenFile.";
      }
    ];
  };
}
