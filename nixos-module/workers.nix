# Workers: any number, each with its queues.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.services.tenon;
  unit = import ./unit.nix { inherit config lib; };
  topology = import ./topology.nix { inherit config lib; };

  serviceOf =
    process:
    let
      worker = cfg.workers.${process.name};
    in
    unit {
      role = "worker";
      description = "Tenon worker ${process.name}";
      command = "worker";
      reaches = [ "database" "redis" "files" "mail" "prometheus" ];
      extra = {
        after = [ "tenon-migrate.service" ];
        wants = [ "tenon-migrate.service" ];
        wantedBy = [ "tenon.target" ];
        environment = {
          TENON__METRICS__LISTEN = process.metrics;
          TENON__WORKER__CONCURRENCY = toString worker.concurrency;
          TENON__WORKER__QUEUES = mkIf (worker.queues != [ ]) (lib.concatStringsSep "," worker.queues);
        };
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
  options.services.tenon.workers = mkOption {
    default = { default = { }; };
    example = lib.literalExpression ''
      {
        mail = { queues = [ "mail" ]; concurrency = 16; };
        rest = { queues = [ "default" ]; };
      }
    '';
    description = "The workers of this machine, by name: each is `tenon-worker-<name>.service`. With none, jobs wait for a worker elsewhere.";
    type = types.attrsOf (
      types.submodule {
        options = {
          queues = mkOption {
            # The checks compare this list with the program's own.
            type = types.listOf (types.enum [ "default" "mail" ]);
            default = [ ];
            example = [ "mail" ];
            description = "Queues to take jobs from; empty means all.";
          };
          concurrency = mkOption {
            type = types.ints.positive;
            default = 8;
            description = "Jobs that run at once.";
          };
        };
      }
    );
  };

  config = mkIf cfg.enable {
    systemd.services = lib.listToAttrs (
      map (process: lib.nameValuePair process.unit (serviceOf process)) topology.workers
    );

    assertions = [
      {
        assertion = lib.all (name: builtins.match "[a-z0-9][a-z0-9-]*" name != null) (lib.attrNames cfg.workers);
        message = "services.tenon.workers: a worker's name is part of a unit's name; use small letters, digits and -.";
      }
    ];
  };
}
