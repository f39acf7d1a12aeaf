# What each role may use of the machine.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkIf mkOption types;
  cfg = config.services.tenon;
  limits = import ./limits.nix { inherit lib; };
  inherit (import ./addresses.nix { inherit lib; }) matching;

  # What is killed is back within seconds, unless NixOS, or somebody else, has a view of that.
  comesBack = lib.mapAttrs (_: lib.mkOverride 1400) {
    Restart = "on-failure";
    RestartSec = 2;
  };

  role =
    about: default:
    lib.mapAttrs
      (_: option: mkOption option)
      {
        cpu = {
          type = types.nullOr types.numbers.positive;
          default = default.cpu;
          description = "Processors that ${about} may use; fractions are allowed, null means all.";
        };
        memory = {
          type = types.nullOr (
            matching "[0-9]+(\\.[0-9]+)?[KMGTPE]?|[0-9]+(\\.[0-9]+)?%|infinity" "amount of memory such as 512M, 2G or 25%"
          );
          default = default.memory;
          description = "Memory that ${about} may use, in systemd's words; null means all.";
        };
        tasks = {
          type = types.nullOr types.ints.positive;
          default = default.tasks;
          description = "Threads that ${about} may have; null means as many as systemd allows.";
        };
      };
in
{
  options.services.tenon.resources = {
    api = role "each API process" { cpu = 1; memory = "1G"; tasks = 512; };
    worker = role "each worker" { cpu = 0.5; memory = "512M"; tasks = 512; };
    scheduler = role "the scheduler" { cpu = 0.25; memory = "256M"; tasks = 128; };
    command = role "a migration, a backup or a restore drill" { cpu = null; memory = "1G"; tasks = 512; };
    # The machine's Postgres may serve others, who would be killed with us.
    postgres = role "the Postgres of this machine, with whoever else uses it," { cpu = null; memory = null; tasks = null; };
    redis = role "a local Redis, which is Tenon's alone," { cpu = 0.5; memory = "512M"; tasks = null; };
  };

  config = mkIf cfg.enable {
    # `mkDefault`: somebody else may have a view of the machine's Postgres, too.
    systemd.services = lib.mkMerge [
      (mkIf cfg.database.createLocally {
        postgresql.serviceConfig = lib.mapAttrs (_: mkDefault) (limits cfg.resources.postgres) // comesBack;
      })
      (mkIf cfg.redis.createLocally {
        redis-tenon.serviceConfig = limits cfg.resources.redis // comesBack;
      })
    ];
  };
}
