# The scheduler: one process a machine at most; of several machines one leads, and another takes over.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.services.tenon;
  unit = import ./unit.nix { inherit config lib; };
  topology = import ./topology.nix { inherit config lib; };

  serviceOf =
    process:
    unit {
      role = "scheduler";
      description = "Tenon scheduler";
      command = "scheduler";
      reaches = [ "database" "redis" "files" "prometheus" ];
      extra = {
        after = [ "tenon-migrate.service" ];
        wants = [ "tenon-migrate.service" ];
        wantedBy = [ "tenon.target" ];
        environment.TENON__METRICS__LISTEN = process.metrics;
        serviceConfig = {
          Type = "notify";
          ExecReload = "${pkgs.coreutils}/bin/kill -HUP $MAINPID";
          Restart = "always";
          WatchdogSec = 30;
          # One that is frozen hears nothing milder.
          WatchdogSignal = "SIGKILL";
          TimeoutStopSec = 60;
        };
      };
    };
in
{
  options.services.tenon.scheduler.enable = mkOption {
    type = types.bool;
    default = true;
    description = "Whether this machine enqueues what is done regularly. Any number of machines may: one of them leads.";
  };

  config = mkIf cfg.enable {
    systemd.services = lib.listToAttrs (
      map (process: lib.nameValuePair process.unit (serviceOf process)) topology.scheduler
    );
  };
}
